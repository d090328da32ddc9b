"""Caps over a rule's life, campaigns, and points for events, through the flows that give them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import permutations
from types import SimpleNamespace
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.flows import first_order, merge
from server.flows.history import HistoryIntake
from server.members.models import Member
from server.orders import queries
from server.orders.drafts import MemberRef
from server.orders.models import Order
from server.points import occasions, proofs
from server.points import queries as points
from server.points import service as points_service
from server.points.models import PointsEntry, PointsEventGrant, PointsRuleBudget, PointsRuleShare
from server.points.rulebook import RuleDraft
from server.points.rules import EVENT, MULTIPLIER, PER_AMOUNT, EarningEvent
from tasks.jobs import points as jobs
from tests.conftest import START
from tests.factories.orders import SHOP, SYSTEM, a_draft, a_line, a_till_draft, an_event, an_order, told
from tests.factories.points import a_member

NOW = START  # a Monday
pytestmark = pytest.mark.requirement("PTS2")


def a_rule(session, kind, code, document, **more):
    return points_service.save_rule(session, RuleDraft(code, kind, code.title(), document, **more), actor=SYSTEM, now=NOW)


def capped(session):
    a_rule(session, PER_AMOUNT, "campaign", {"fen_per_point": 100, "max_points_in_all": 250, "max_points_per_member": 120})


def sale(place, *, fen=10_000, **more):
    return a_till_draft(
        now=NOW, external_no=f"C-{place}", member=MemberRef(external_id=f"buyer-{place % 3}"), lines=(a_line(amount_fen=fen),), **more
    )


def given(session):
    total = session.scalar(sa.select(sa.func.sum(PointsEntry.points)))
    shares = dict(session.execute(sa.select(PointsRuleShare.code, sa.func.sum(PointsRuleShare.given)).group_by(PointsRuleShare.code)).all())
    budget = session.scalar(sa.select(PointsRuleBudget.given))
    return int(total), int(shares["campaign"]), budget


@pytest.mark.parametrize("way", ["one by one", "chunk"])
def test_a_budget_and_a_members_share_of_it_are_never_outrun(session, way):
    capped(session)
    drafts = [sale(place) for place in range(6)]
    if way == "chunk":
        intake = HistoryIntake(SHOP)
        outcomes = [outcome.points for part in (drafts[:4], drafts[4:]) for outcome in intake.take_in(session, part, now=NOW)]
    else:
        outcomes = [queries.find(session, an_order(session, draft, now=NOW).order_id).points_earned for draft in drafts]
    # The fourth is the first buyer's second sale: 20 of 120 are left to them; then 250 − 120 − 100 = 30 to all.
    assert outcomes == [100, 100, 50, 0, 0, 0]
    assert given(session) == (250, 250, 250)
    empty = session.execute(sa.select(Order.points_entry_id, Order.points_trace).where(Order.external_no == "C-3")).one()
    assert (empty.points_entry_id, empty.points_trace["why"][0]["cap_of"]) == (None, "in_all")
    assert proofs.prove(session) == []
    session.execute(sa.update(PointsRuleBudget).values(given=249))
    assert [(drift.check, drift.subject, drift.expected, drift.found) for drift in proofs.prove(session)] == [
        ("rule_budget", "campaign", 250, 249)
    ]


@pytest.mark.committing
def test_sales_that_come_at_once_share_one_budget(core):
    core.db.run(capped)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda place: core.db.run(lambda session: an_order(session, sale(place), now=NOW)), range(4)))
    with core.db.reading() as session:
        assert given(session) == (250, 250, 250)
        assert proofs.prove(session) == []


def test_a_member_day_counts_by_the_day_of_the_sale_however_late_it_is_told(session):
    a_rule(session, PER_AMOUNT, "purchase", {"fen_per_point": 100})
    a_rule(session, MULTIPLIER, "member-day", {"percent": 300, "weekdays": [1], "channels": ["till"]}, valid_until=NOW + timedelta(hours=1))
    a_rule(session, MULTIPLIER, "over", {"percent": 900}, valid_until=NOW - timedelta(hours=1))
    tuesday = NOW + timedelta(days=1)
    for draft in (sale(1), sale(2, paid_at=tuesday, placed_at=tuesday)):
        an_order(session, draft, now=tuesday + timedelta(days=1))
    found = dict(session.execute(sa.select(Order.external_no, Order.points_earned)).all())
    assert found == {"C-1": 300, "C-2": 100}


def test_two_records_count_as_one_after_a_merge(session):
    capped(session)
    a_rule(session, PER_AMOUNT, "daily", {"fen_per_point": 100, "max_points_per_day": 120, "stacks": True})
    a_rule(session, EVENT, "joined", {"event": "sign_up", "points": 50})
    drafts = [sale(0, fen=9000), sale(1, fen=2000)]
    one, other = (queries.find(session, an_order(session, draft, now=NOW).order_id).member_id for draft in drafts)
    for member_id in (one, other):
        assert occasions.give(session, member_id, EarningEvent.SIGN_UP, member_id.hex, occurred_at=NOW, now=NOW).points == 50
    merge.merge(session, one, other, reason="same", actor=SYSTEM, now=NOW)
    assert points.balance(session, other, now=NOW).available == 2 * (90 + 20) + 50
    assert occasions.give(session, other, EarningEvent.SIGN_UP, "again", occurred_at=NOW, now=NOW) is None
    assert queries.find(session, an_order(session, sale(4), now=NOW).order_id).points_earned == 2 * (120 - 90 - 20)
    assert proofs.prove(session) == []


def event_of(topic, **payload):
    return SimpleNamespace(topic=topic, payload={name: str(value) for name, value in payload.items()}, occurred_at=NOW)


def test_events_give_once_or_as_often_a_day_as_the_rule_says(session, core):
    a_rule(session, EVENT, "joined", {"event": "sign_up", "points": 50, "pending_days": 7})
    a_rule(session, EVENT, "filled-in", {"event": "profile_completed", "points": 30})
    a_rule(session, EVENT, "filled-in-more", {"event": "profile_completed", "points": 5, "priority": 1})
    a_rule(session, EVENT, "rated", {"event": "ticket_rated", "points": 3, "max_times_per_day": 2})
    member_id = a_member(session, now=NOW)
    context = SimpleNamespace(clock=SimpleNamespace(now=lambda: NOW))
    jobs.on_member_enrolled(session, event_of("members.enrolled", member_id=member_id), context)
    assert points.balance(session, member_id, now=NOW).pending == 0  # an import made the record, nobody joined
    session.execute(sa.update(Member).where(Member.id == member_id).values(joined_via="wechat"))
    session.expire_all()
    for _ in range(2):
        jobs.on_member_enrolled(session, event_of("members.enrolled", member_id=member_id), context)
        jobs.on_profile_completed(session, event_of("members.profile_completed", member_id=member_id), context)
        for number in range(3):
            jobs.on_ticket_rated(session, event_of("feedback.ticket_rated", member_id=member_id, ticket_id=UUID(int=number)), context)
    found = points.balance(session, member_id, now=NOW)
    assert (found.pending, found.available) == (50, 5 + 2 * 3)
    sources = set(session.scalars(sa.select(PointsEntry.source_key).where(PointsEntry.source_key.startswith("event:sign"))))
    assert sources == {f"event:sign_up:{member_id.hex}"}


@pytest.mark.committing
def test_an_event_that_is_told_at_once_to_many_gives_once(core):
    core.db.run(lambda session: a_rule(session, EVENT, "filled-in", {"event": "profile_completed", "points": 30}))
    member_id = core.db.run(lambda session: a_member(session, now=NOW))

    def told_once(_place):
        event = EarningEvent.PROFILE_COMPLETED
        core.db.run(lambda session: occasions.give(session, member_id, event, member_id.hex, occurred_at=NOW, now=NOW))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(told_once, range(4)))
    with core.db.reading() as session:
        assert points.balance(session, member_id, now=NOW).available == 30


def test_first_order_points_go_to_the_next_order_when_the_first_is_refunded(session):
    a_rule(session, EVENT, "first", {"event": "first_order", "points": 40})
    # The first's payment, the second's, the first's refund: the news in any order.
    for news in permutations(range(3)):
        buyer = MemberRef(external_id=f"buyer-{news}")
        drafts = [a_draft(now=NOW + timedelta(minutes=place), external_no=f"F-{news}-{place}", member=buyer) for place in range(2)]
        ids = [an_order(session, draft, now=NOW).order_id for draft in drafts]
        told(session, drafts[0], an_event("refunded", NOW, refund_id="r", refund_fen=10_000), now=NOW)
        for which in news:
            first_order.settle(session, ids[which % 2], now=NOW)
        member_id = queries.find(session, ids[0]).member_id
        grants = session.execute(
            sa.select(PointsEventGrant.business_key, PointsEventGrant.slot).where(PointsEventGrant.member_id == member_id)
        ).all()
        assert [tuple(grant) for grant in grants] == [(ids[1].hex, "once")]
    told(session, drafts[1], an_event("cancelled", NOW), now=NOW)
    assert not first_order.settle(session, ids[1], now=NOW)
    third = an_order(session, a_draft(now=NOW + timedelta(hours=1), member=buyer), now=NOW).order_id
    assert first_order.settle(session, third, now=NOW)
    assert not first_order.settle(session, third, now=NOW)
    assert points.balance(session, member_id, now=NOW).available == 40
    assert proofs.prove(session) == []


def test_who_bought_before_the_rule_was_there_gets_nothing_for_a_later_order(session):
    first = an_order(session, a_draft(now=NOW - timedelta(days=30)), now=NOW).order_id
    a_rule(session, EVENT, "first", {"event": "first_order", "points": 40})
    later = an_order(session, a_draft(now=NOW), now=NOW).order_id
    assert not first_order.settle(session, later, now=NOW)
    assert first != later
