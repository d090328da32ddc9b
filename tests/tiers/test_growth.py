"""Growth in the database: earned, taken back, looked at again; replayed, raced and killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from server.flows import growth, intake, merge
from server.flows.history import HistoryIntake
from server.kernel.actors import SystemActor
from server.kernel.outbox import OutboxEvent
from server.kernel.pagination import PageRequest
from server.members.errors import MergeRefusedError
from server.orders import queries as orders
from server.orders.drafts import RefundLine
from server.tiers import proofs, queries, service
from server.tiers.errors import (
    GrowthDraftChangedError,
    GrowthDraftMissingError,
    GrowthRuleInvalidError,
    TierLockInvalidError,
    TierNotLockedError,
    TierReasonRequiredError,
)
from server.tiers.models import GrowthEntry, GrowthOrder
from server.tiers.qualifying import CALENDAR_YEAR, CHECK_IN, RATING
from server.tiers.service import Activity
from tests.conftest import START
from tests.factories.orders import SHOP, an_event, told
from tests.factories.points import STAFF, a_member
from tests.factories.tiers import PLAIN, a_rule, a_sale, a_sale_draft, the_account

ROOT = Path(__file__).parents[2]
DAY = timedelta(days=1)


def held(session, member_id):
    return queries.of_member(session, member_id).code


def causes(session, member_id):
    return [change.cause for change in reversed(queries.changes(session, member_id, only_moves=False))]


def news(session, topic):
    return session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == topic).order_by(OutboxEvent.id)).all()


def refund(session, draft, event_id, *, now, **fields):
    recorded = told(session, draft, an_event("refunded", now, event_id=event_id, refund_id=event_id, **fields), now=now)
    growth.settle_order(session, recorded.order_id, now=now)


def a_settled_draft(session, member_id, yuan, *, at):
    draft = a_sale_draft(member_id, yuan, at=at)
    taken = intake.take_in_order(session, draft, actor=SHOP, now=at)
    growth.settle_order(session, taken.order_id, now=at)
    return draft


# --- Earned and taken back ---


@pytest.mark.requirement("CARD3")
def test_an_order_brings_growth_once_and_the_tier_is_reached_at_once(session):
    a_rule(session, now=START, per_order=10)
    member_id = a_member(session, now=START)
    taken = a_sale(session, member_id, 5_100, at=START)
    assert growth.settle_order(session, taken.order_id, now=START + DAY) == 0
    standing = queries.progress(session, member_id, now=START)
    assert (standing.growth, standing.threshold, standing.next_code, standing.missing) == (5_110, 5_000, "black", 14_890)
    assert (held(session, member_id), causes(session, member_id)) == ("gold", ["upgrade"])
    assert (standing.period_starts_on, standing.period_ends_on) == (date(2026, 6, 15), date(2027, 6, 14))
    (event,) = news(session, "tiers.changed")
    assert {key: event.payload[key] for key in ("from", "to", "upgrade", "cause")} == {
        "from": "standard", "to": "gold", "upgrade": True, "cause": "upgrade",
    }  # fmt: skip
    assert [(entry.kind, entry.growth) for entry in queries.entries(session, member_id, PageRequest()).items] == [
        ("frequency", 10),
        ("spend", 5_100),
    ]
    assert proofs.prove(session) == []


def test_without_a_rule_or_a_member_nothing_is_earned_and_the_order_is_taken_up_later(session):
    service.ensure_default_tiers(session)
    member_id = a_member(session, now=START)
    taken = a_sale(session, member_id, 2_000, at=START)
    assert session.scalar(sa.select(sa.func.count()).select_from(GrowthOrder)) == 0
    assert queries.progress(session, member_id, now=START).growth == 0
    assert growth.build(session, START) == 0
    a_rule(session, now=START)
    assert growth.build(session, START + DAY) == 1
    assert growth.build(session, START + DAY) == 0
    assert growth.settle_order(session, taken.order_id, now=START) == 0
    # The sale was fresh when it came in: the upgrade is one, with its gift, although it comes a little late.
    assert (held(session, member_id), causes(session, member_id)) == ("silver", ["upgrade"])


@pytest.mark.parametrize("seed", range(4))
def test_partial_refunds_in_any_order_take_exactly_what_was_earned_and_the_tier_stays_until_its_period_ends(session, seed):
    a_rule(session, now=START, per_order=10)
    member_id = a_member(session, now=START)
    draft = a_settled_draft(session, member_id, 1_001, at=START)
    cuts = [33_333, 33_333, 33_434]
    random.Random(seed).shuffle(cuts)
    for number, fen in enumerate(cuts):
        at = START + timedelta(days=40 * (number + 1))
        refund(session, draft, f"r{number}", now=at, refund_fen=fen, lines=(RefundLine(1, 0, fen),))
        # Reported again, it takes nothing more.
        refund(session, draft, f"r{number}", now=at, refund_fen=fen, lines=(RefundLine(1, 0, fen),))
        assert proofs.prove(session) == []
    later = START + timedelta(days=121)
    assert queries.progress(session, member_id, now=later).growth == 0
    assert held(session, member_id) == "silver"
    total = session.scalar(sa.select(sa.func.sum(GrowthEntry.growth)).where(GrowthEntry.member_id == member_id))
    assert int(total) == 0
    # It counts on the order's own day, so that at no later moment the window is short.
    days = set(session.scalars(sa.select(GrowthEntry.counted_on).where(GrowthEntry.member_id == member_id)))
    assert days == {date(2026, 6, 15)}


def test_a_cancelled_order_takes_everything_back(session):
    a_rule(session, now=START, per_order=10)
    member_id = a_member(session, now=START)
    draft = a_settled_draft(session, member_id, 100, at=START)
    assert queries.progress(session, member_id, now=START).growth == 110
    recorded = told(session, draft, an_event("cancelled", START + DAY), now=START + DAY)
    assert [event.payload["order_id"] for event in news(session, "orders.cancelled")] == [str(recorded.order_id)]
    growth.settle_order(session, recorded.order_id, now=START + DAY)
    assert queries.progress(session, member_id, now=START + DAY).growth == 0
    assert proofs.prove(session) == []


def test_points_paid_and_shipping_bring_no_growth(session):
    a_rule(session, now=START)
    member_id = a_member(session, now=START, points=5_000)
    a_sale(session, member_id, 300, at=START, points_paid_fen=10_000, points_redeemed=1_000, shipping_fen=2_000)
    assert queries.progress(session, member_id, now=START).growth == 200


def test_the_days_activities_are_limited_and_each_counts_once(session):
    a_rule(session, now=START, activities={CHECK_IN: 8, RATING: 5}, activity_daily_max=10)
    member_id = a_member(session, now=START)
    late = datetime(2026, 6, 15, 15, 59, tzinfo=UTC)  # one minute before midnight in Shanghai
    assert service.earn_activity(session, member_id, Activity(CHECK_IN, "a", late), now=late) == 8
    assert service.earn_activity(session, member_id, Activity(CHECK_IN, "a", late), now=late) == 0
    assert service.earn_activity(session, member_id, Activity(RATING, "b", late), now=late) == 2
    assert service.earn_activity(session, member_id, Activity(RATING, "c", late), now=late) == 0
    midnight = late + timedelta(minutes=1)
    assert service.earn_activity(session, member_id, Activity(CHECK_IN, "d", midnight), now=midnight) == 8
    assert queries.progress(session, member_id, now=midnight).growth == 18
    assert sorted(session.scalars(sa.select(GrowthEntry.counted_on).distinct())) == [date(2026, 6, 15), date(2026, 6, 16)]


# --- Time ---


def test_the_job_lets_days_leave_the_window_and_the_cache_stays_exact(session):
    a_rule(session, now=START)
    member_id = a_member(session, now=START)
    a_sale(session, member_id, 300, at=datetime(2024, 2, 29, 4, 0, tzinfo=UTC))
    a_sale(session, member_id, 200, at=datetime(2024, 6, 30, 4, 0, tzinfo=UTC))
    leap = datetime(2025, 2, 28, 4, 0, tzinfo=UTC)
    # On 28 February the 29th of the year before still counts, and nobody is looked at in vain.
    assert (the_account(session, member_id, now=leap).growth, service.reassess_due(session, leap)) == (500, 0)
    first_of_march = leap + DAY
    # Read before the job has been there, it is exact all the same.
    assert queries.progress(session, member_id, now=first_of_march).growth == 200
    assert the_account(session, member_id, now=first_of_march).growth == 500
    assert (service.reassess_due(session, first_of_march), service.reassess_due(session, first_of_march)) == (1, 0)
    assert the_account(session, member_id, now=first_of_march).growth == 200
    assert proofs.prove(session) == []


def test_a_whole_life_upgraded_warned_in_grace_and_one_step_down_at_a_time(session):
    a_rule(session, now=START)
    member_id = a_member(session, now=START)
    a_sale(session, member_id, 6_000, at=START)
    day = START
    seen = {}
    for _ in range(4 * 366):
        service.reassess_due(session, day)
        seen.setdefault((held(session, member_id), len(news(session, "tiers.at_risk"))), day.date())
        day += DAY
    # The growth of the first period's first day keeps the tier for a second one; each step opens a period of its own.
    assert seen == {
        ("gold", 0): date(2026, 6, 15),
        ("gold", 1): date(2028, 5, 15),
        ("silver", 1): date(2028, 7, 15),
        ("silver", 2): date(2029, 6, 14),
        ("standard", 2): date(2029, 8, 14),
    }
    assert causes(session, member_id) == ["upgrade", "renewal", "downgrade", "downgrade"]
    assert proofs.prove(session) == []


def test_a_lock_holds_against_growth_and_time_and_its_end_sets_free(session):
    a_rule(session, now=START)
    member_id = a_member(session, now=START)
    service.lock(session, member_id, date(2026, 12, 31), reason="Complaint settled", tier_code="gold", actor=STAFF, now=START)
    a_sale(session, member_id, 30_000, at=START + DAY)
    assert (held(session, member_id), queries.progress(session, member_id, now=START).locked_until) == ("gold", date(2026, 12, 31))
    eve = datetime(2026, 12, 31, 15, 59, tzinfo=UTC)
    service.reassess_due(session, eve)
    assert held(session, member_id) == "gold"
    assert service.reassess_due(session, eve + timedelta(minutes=1)) == 1
    assert (held(session, member_id), causes(session, member_id)) == ("black", ["lock", "unlock", "upgrade"])
    with pytest.raises(TierNotLockedError):
        service.unlock(session, member_id, reason="again", actor=STAFF, now=eve)


def test_a_lock_needs_a_reason_and_a_day_ahead_and_may_be_taken_off_by_hand(session):
    a_rule(session, now=START)
    member_id = a_member(session, now=START)
    for until, reason, error in (
        (date(2026, 6, 14), "x", TierLockInvalidError),
        (date(2031, 6, 16), "x", TierLockInvalidError),
        (date(2026, 6, 15), " ", TierReasonRequiredError),
    ):
        with pytest.raises(error):
            service.lock(session, member_id, until, reason=reason, actor=STAFF, now=START)
    service.lock(session, member_id, date(2026, 6, 15), reason="x", actor=STAFF, now=START)
    a_sale(session, member_id, 1_500, at=START)
    assert held(session, member_id) == "standard"
    with pytest.raises(TierReasonRequiredError):
        service.unlock(session, member_id, reason="", actor=STAFF, now=START)
    assert service.unlock(session, member_id, reason="Mistake", actor=STAFF, now=START).code == "silver"


def test_a_tier_given_by_hand_has_a_period_and_is_lost_like_any_other(session):
    a_rule(session, now=START, grace_days=0)
    member_id = a_member(session, now=START)
    service.assign(session, member_id, "black", reason="Founder", actor=STAFF, now=START)
    standing = queries.progress(session, member_id, now=START)
    assert (standing.period_ends_on, standing.keep_missing, standing.at_risk) == (date(2027, 6, 14), 20_000, False)
    near = datetime(2027, 5, 20, 4, 0, tzinfo=UTC)
    service.reassess_due(session, near)
    assert queries.progress(session, member_id, now=near).at_risk
    service.reassess_due(session, near + 30 * DAY)
    assert held(session, member_id) == "gold"


# --- The rule ---


def test_a_draft_is_published_once_with_a_reason_and_members_follow_bit_by_bit(session):
    a_rule(session, now=START)
    people = [a_member(session, now=START) for _ in range(5)]
    for member_id in people:
        a_sale(session, member_id, 800, at=START)
    service.save_draft(session, PLAIN, edits=None, actor=STAFF, now=START)
    with pytest.raises(GrowthDraftChangedError):
        service.save_draft(session, PLAIN, edits=None, actor=STAFF, now=START)
    eased = {"silver": 500, "gold": 5_000, "black": 20_000}
    from dataclasses import replace

    service.save_draft(session, replace(PLAIN, thresholds=eased), edits=0, actor=STAFF, now=START)
    with pytest.raises(GrowthDraftChangedError):
        service.publish(session, edits=0, reason="eased", actor=STAFF, now=START)
    with pytest.raises(TierReasonRequiredError):
        service.publish(session, edits=1, reason=" ", actor=STAFF, now=START)
    assert {held(session, member_id) for member_id in people} == {"standard"}
    assert service.publish(session, edits=1, reason="eased", actor=STAFF, now=START) == 2
    with pytest.raises(GrowthDraftMissingError):
        service.publish(session, edits=1, reason="eased", actor=STAFF, now=START)
    assert [service.reassess_due(session, START, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert {held(session, member_id) for member_id in people} == {"silver"}
    service.save_draft(session, PLAIN, edits=None, actor=STAFF, now=START)
    service.drop_draft(session, edits=0, actor=STAFF, now=START)
    assert service.save_draft(session, PLAIN, edits=None, actor=STAFF, now=START) == 4
    with pytest.raises(GrowthRuleInvalidError):
        service.save_draft(session, replace(PLAIN, thresholds={"nobody": 1}), edits=0, actor=STAFF, now=START)


def test_the_preview_says_what_publishing_then_does(session):
    from dataclasses import replace

    from server.tiers import overview

    a_rule(session, now=START)
    people = [a_member(session, now=START) for _ in range(6)]
    for number, member_id in enumerate(people):
        a_sale(session, member_id, 400 * (number + 1), at=START)
    draft = replace(PLAIN, thresholds={"silver": 500, "gold": 1_500, "black": 20_000})
    found = overview.preview(session, draft, now=START)
    before = {member_id: held(session, member_id) for member_id in people}
    service.save_draft(session, draft, edits=None, actor=STAFF, now=START)
    service.publish(session, edits=0, reason="x", actor=STAFF, now=START)
    service.reassess_due(session, START)
    moved = {}
    for member_id in people:
        if before[member_id] != held(session, member_id):
            pair = (before[member_id], held(session, member_id))
            moved[pair] = moved.get(pair, 0) + 1
    assert {(move.before, move.after): move.members for move in found.moves} == moved != {}
    assert (found.looked_at, found.complete) == (6, True)


def test_a_calendar_year_rule_counts_from_new_year_in_the_shops_zone(session):
    a_rule(session, now=START, window=CALENDAR_YEAR)
    member_id = a_member(session, now=START)
    eve = datetime(2026, 12, 31, 15, 59, tzinfo=UTC)
    a_sale(session, member_id, 100, at=eve)
    a_sale(session, member_id, 50, at=eve + timedelta(minutes=1))
    assert queries.progress(session, member_id, now=eve + timedelta(minutes=2)).growth == 50


# --- History and merges ---


def test_imported_history_is_built_once_bit_by_bit_and_is_no_news(session):
    a_rule(session, now=START)
    people = [a_member(session, now=START) for _ in range(3)]
    drafts = [
        a_sale_draft(people[number % 3], 100, at=START - timedelta(days=300 - number), store="S1", channel="store") for number in range(60)
    ]
    intake_ = HistoryIntake(SystemActor("import"))
    assert {outcome.result for outcome in intake_.take_in(session, drafts, now=START)} == {"created"}
    assert [growth.build(session, START, 25) for _ in range(4)] == [25, 25, 10, 0]
    for member_id in people:
        assert queries.progress(session, member_id, now=START).growth == 2_000
        assert (held(session, member_id), causes(session, member_id)) == ("silver", ["import"])
    assert {event.payload["cause"] for event in news(session, "tiers.changed")} == {"import"}
    assert proofs.prove(session) == []


def test_a_merge_moves_growth_by_its_days_and_later_refunds_find_it(session):
    a_rule(session, now=START)
    one, other = a_member(session, now=START), a_member(session, now=START)
    draft = a_settled_draft(session, one, 700, at=START)
    a_sale(session, other, 400, at=START + DAY)
    merge.merge(session, one, other, reason="one person", actor=STAFF, now=START + 2 * DAY)
    assert queries.progress(session, other, now=START + 2 * DAY).growth == 1_100
    assert (held(session, other), causes(session, other)) == ("silver", ["upgrade"])
    assert service.merge_members(session, one, other, now=START + 2 * DAY) == {}
    refund(session, draft, "r", now=START + 3 * DAY)
    assert queries.progress(session, other, now=START + 3 * DAY).growth == 400
    # What still names the record that ended counts for the survivor.
    assert service.earn_activity(session, one, Activity(CHECK_IN, "x", START), now=START) == 0
    at = START + timedelta(days=365)
    assert queries.progress(session, other, now=at).growth == 400
    assert proofs.prove(session) == []


def test_a_merge_carries_tier_period_and_lock_of_the_better_record(session):
    a_rule(session, now=START)
    one, other = a_member(session, now=START), a_member(session, now=START)
    service.lock(session, one, date(2026, 8, 1), reason="Promise", tier_code="gold", actor=STAFF, now=START - 100 * DAY)
    merge.merge(session, one, other, reason="one person", actor=STAFF, now=START)
    standing = queries.progress(session, other, now=START)
    assert (held(session, other), standing.locked_until) == ("gold", date(2026, 8, 1))
    assert standing.period_starts_on == (START - 100 * DAY).date()


# --- The gift ---


@pytest.mark.requirement("CARD4")
def test_the_gift_of_a_tier_is_given_once_for_the_period_it_begins(session):
    from server.points import queries as points

    a_rule(session, now=START)
    member_id = a_member(session, now=START)
    a_sale(session, member_id, 5_000, at=START)
    (event,) = news(session, "tiers.changed")
    from uuid import UUID

    change_id = UUID(event.payload["change_id"])
    before = points.balance(session, member_id, now=START)
    assert growth.give_upgrade_gift(session, change_id, now=START)
    assert not growth.give_upgrade_gift(session, change_id, now=START)
    assert points.balance(session, member_id, now=START).available - before.available == 200
    (gift,) = queries.gifts(session, member_id)
    assert (gift.tier_code, gift.points, gift.coupon_problem) == ("gold", 200, None)


def test_a_tier_given_by_hand_brings_no_gift_and_a_coupon_that_is_gone_does_not_hold_up_the_points(session):
    from dataclasses import replace
    from uuid import UUID

    from server.tiers.rules import DEFAULT_TIERS, Perks

    a_rule(session, now=START)
    service.define(session, replace(DEFAULT_TIERS[1], perks=Perks(upgrade_points=5, upgrade_coupon="none")), actor=STAFF, now=START)
    one, other = a_member(session, now=START), a_member(session, now=START)
    service.assign(session, one, "silver", reason="VIP", actor=STAFF, now=START)
    a_sale(session, other, 1_000, at=START)
    given = [growth.give_upgrade_gift(session, UUID(event.payload["change_id"]), now=START) for event in news(session, "tiers.changed")]
    assert given == [False, True]
    (gift,) = queries.gifts(session, other)
    assert (gift.points, gift.coupon_id, gift.coupon_problem) == (5, None, "coupon_template_not_found")


# --- Races and kills ---


@pytest.fixture
def shop(core):
    """Give the id of a member of a shop with a rule."""

    def prepare(session):
        a_rule(session, now=START)
        return a_member(session, now=START)

    return core.db.run(prepare)


def in_parallel(works, threads=8):
    start = threading.Barrier(threads)

    def run(share):
        start.wait()
        for work in share:
            work()

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(run, works[number::threads]) for number in range(threads)]:
            done.result()


@pytest.mark.committing
def test_sixty_four_orders_at_once_lose_nothing_and_reach_each_tier_once(core, shop):
    ids = [
        core.db.run(lambda session: intake.take_in_order(session, a_sale_draft(shop, 100, at=START), actor=SHOP, now=START).order_id)
        for _ in range(64)
    ]

    def settle(order_id):
        return lambda: core.db.run(lambda session: growth.settle_order(session, order_id, now=START), attempts=20)

    in_parallel([settle(order_id) for order_id in [*ids, *ids]])
    with core.db.reading() as session:
        assert queries.progress(session, shop, now=START).growth == 6_400
        assert causes(session, shop) == ["upgrade", "upgrade"]
        assert proofs.prove(session) == []


@pytest.mark.committing
def test_refunds_recalculation_and_new_orders_at_once_end_where_they_would_one_by_one(core, shop):
    def prepare(session):
        drafts = [a_sale_draft(shop, 100, at=START) for _ in range(24)]
        return [(draft, intake.take_in_order(session, draft, actor=SHOP, now=START).order_id) for draft in drafts]

    sales = core.db.run(prepare)
    later = START + timedelta(days=3)

    def settle(order_id):
        return lambda: core.db.run(lambda session: growth.settle_order(session, order_id, now=later), attempts=20)

    def give_back(number, draft, order_id):
        def work(session):
            refund(session, draft, f"r{number}", now=later, refund_fen=4_000, lines=(RefundLine(1, 0, 4_000),))

        return lambda: core.db.run(work, attempts=20)

    def look():
        core.db.run(lambda session: service.reassess_due(session, later + timedelta(days=400), 50), attempts=20)

    works = [settle(order_id) for _, order_id in sales] + [give_back(n, *sale) for n, sale in enumerate(sales)] + [look] * 8
    random.Random(3).shuffle(works)
    in_parallel(works)
    with core.db.reading() as session:
        assert queries.progress(session, shop, now=later).growth == 24 * 60
        assert proofs.prove(session) == []
        assert all(not orders.find(session, order_id).exceptions for _, order_id in sales)


@pytest.mark.committing
def test_a_merge_in_the_middle_of_orders_loses_nothing(core, shop):
    other = core.db.run(lambda session: a_member(session, now=START))
    drafts = [a_sale_draft(shop, 50, at=START) for _ in range(32)]
    ids = [
        core.db.run(lambda session, draft=draft: intake.take_in_order(session, draft, actor=SHOP, now=START).order_id) for draft in drafts
    ]

    def settle(order_id):
        return lambda: core.db.run(lambda session: growth.settle_order(session, order_id, now=START), attempts=30)

    def join():
        core.db.run(lambda session: merge.merge(session, shop, other, reason="one person", actor=STAFF, now=START), attempts=30)

    works = [settle(order_id) for order_id in ids]
    works.insert(12, join)
    in_parallel(works)
    with pytest.raises(MergeRefusedError):
        join()
    with core.db.reading() as session:
        assert queries.progress(session, other, now=START).growth == 1_600
        assert queries.progress(session, shop, now=START).growth == 0
        assert held(session, other) == "silver"
        assert proofs.prove(session) == []


@pytest.mark.committing
def test_one_gift_however_many_hands_deliver_it(core, shop):
    from uuid import UUID

    core.db.run(lambda session: a_sale(session, shop, 1_000, at=START))
    with core.db.reading() as session:
        change_id = UUID(news(session, "tiers.changed")[0].payload["change_id"])
    given = []
    in_parallel([lambda: given.append(core.db.run(lambda s: growth.give_upgrade_gift(s, change_id, now=START), attempts=20))] * 8)
    assert sorted(given) == [False] * 7 + [True]
    with core.db.reading() as session:
        assert len(queries.gifts(session, shop)) == 1


@pytest.mark.committing
def test_one_of_two_publishers_of_a_draft_wins(core, shop):
    core.db.run(lambda session: service.save_draft(session, PLAIN, edits=None, actor=STAFF, now=START))
    outcomes = []

    def publish():
        try:
            outcomes.append(core.db.run(lambda s: service.publish(s, edits=0, reason="x", actor=STAFF, now=START), attempts=20))
        except (GrowthDraftChangedError, GrowthDraftMissingError) as refusal:
            outcomes.append(refusal.code)

    in_parallel([publish] * 4, threads=4)
    assert outcomes.count(2) == 1


KILLED = """
import os, signal, sys
from config.settings import load_settings
from server.bootstrap import build_core
from server.flows import growth
from server.tiers import accounts

core = build_core(load_settings(database_url=sys.argv[1], data_dir=sys.argv[2], log_level="ERROR"))
real, calls = accounts.refresh, []

def refresh(*args, **named):
    calls.append(1)
    done = real(*args, **named)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return done

accounts.refresh = refresh
from datetime import datetime
now = datetime.fromisoformat(sys.argv[3])
while core.db.run(lambda session: growth.build(session, now, 5)):
    pass
"""


@pytest.mark.committing
def test_a_build_that_is_killed_half_way_goes_on_where_it_was(core, shop, tmp_path):
    def prepare(session):
        for _ in range(20):
            intake.take_in_order(session, a_sale_draft(shop, 100, at=START), actor=SHOP, now=START)

    core.db.run(prepare)
    url = core.db.engine.url.render_as_string(hide_password=False)
    child = subprocess.run(
        [sys.executable, "-c", KILLED, url, str(tmp_path), START.isoformat()], cwd=ROOT, env=os.environ.copy(), check=False
    )
    assert child.returncode == -signal.SIGKILL
    with core.db.reading() as session:
        # The first five stand, of the second five nothing does.
        assert session.scalar(sa.select(sa.func.count()).select_from(GrowthOrder)) == 5
        assert queries.progress(session, shop, now=START).growth == 500
        assert proofs.prove(session) == []
    while core.db.run(lambda session: growth.build(session, START, 5)):
        pass
    with core.db.reading() as session:
        assert queries.progress(session, shop, now=START).growth == 2_000
        assert causes(session, shop) == ["upgrade"]
        assert proofs.prove(session) == []
