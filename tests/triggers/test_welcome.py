"""The welcome pack and coupons for a tier: once for each person, whoever they turn out to be."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.coupons import service as coupon_service
from server.flows import merge
from server.kernel.outbox import OutboxEvent
from server.tiers import service as tiers
from server.triggers import service
from server.triggers.rules import TriggerKind
from tasks.jobs import triggers as jobs
from tests.conftest import START
from tests.factories.coupons import TILL
from tests.factories.members import PHONES, a_member, an_unclaimed_member
from tests.factories.tiers import a_rule, a_sale
from tests.factories.triggers import STAFF, a_trigger, coupons, gifts, states

NOW = START
LATER = NOW + timedelta(hours=1)
pytestmark = pytest.mark.requirement("CPN2")


def a_welcome(session, **more):
    return a_trigger(session, TriggerKind.WELCOME, now=NOW - timedelta(days=1), **more)


def joined(session, member_id, at=NOW):
    return service.welcome(session, member_id, occurred_at=at, now=LATER)


def merged(session, from_id, into_id):
    return merge.merge(session, from_id, into_id, reason="same person", actor=STAFF, now=LATER)


def test_who_joins_by_logging_in_is_welcomed_once(session):
    a_welcome(session, packs=2)
    member_id = a_member(session, now=NOW)
    event = SimpleNamespace(payload={"member_id": str(member_id)}, occurred_at=NOW)
    core = SimpleNamespace(clock=SimpleNamespace(now=lambda: LATER))
    for _ in range(3):
        jobs.on_member_enrolled(session, event, core)
    assert coupons(session, member_id) == ["issued", "issued"]
    assert {gift.business_key for gift in gifts(session)} == {member_id.hex}


def test_a_record_of_a_till_and_who_joined_before_the_rule_get_nothing(session):
    a_welcome(session)
    record = an_unclaimed_member(session, now=NOW, phone=PHONES[1])
    early = a_member(session, now=NOW)
    assert joined(session, record) == 0
    assert joined(session, early, NOW - timedelta(days=2)) == 0
    assert gifts(session) == []


def test_a_version_with_another_pack_welcomes_nobody_twice(session):
    a_welcome(session)
    member_id = a_member(session, now=NOW)
    joined(session, member_id)
    a_trigger(session, TriggerKind.WELCOME, now=NOW - timedelta(hours=1))
    assert joined(session, member_id) == 0
    assert coupons(session) == ["issued"]


def test_a_merge_before_the_news_is_handled_welcomes_the_survivor_once(session):
    a_welcome(session)
    old, one, two = an_unclaimed_member(session, now=NOW, phone=PHONES[1]), a_member(session, now=NOW), a_member(session, now=NOW)
    merged(session, one, old)
    merged(session, two, old)
    assert [joined(session, one), joined(session, two), joined(session, one)] == [1, 0, 0]
    assert coupons(session, old) == ["issued"]


@pytest.mark.requirement("MEM6")
def test_two_welcomes_become_one_by_a_merge(session):
    template = a_welcome(session, budget_fen=10_000)
    one, two = a_member(session, now=NOW), a_member(session, now=NOW)
    joined(session, one)
    joined(session, two)
    merged(session, one, two)
    assert sorted(coupons(session, two)) == ["issued", "voided"]
    assert sorted(states(session)) == [("given", None), ("revoked", "given_twice")]
    assert joined(session, one) == 0
    from server.coupons import queries as coupon_queries

    assert coupon_queries.find_template(session, template).budget_committed_fen == 2_000
    kept = next(gift for gift in gifts(session) if gift.state == "given")
    assert kept.business_key == two.hex
    assert {gift.member_id for gift in gifts(session)} == {two}


def test_a_merge_takes_back_the_one_that_is_not_in_use(session):
    a_welcome(session)
    one, two = a_member(session, now=NOW), a_member(session, now=NOW)
    joined(session, one)
    joined(session, two)
    used = gifts(session, member_id=one)[0]
    coupon_service.redeem(session, used.coupon_id, channel="till", external_no="N-1", discount_fen=2_000, actor=TILL, now=LATER)
    merged(session, one, two)
    assert sorted(coupons(session, two)) == ["redeemed", "voided"]
    assert sorted(states(session)) == [("given", None), ("revoked", "given_twice")]
    assert joined(session, two) == 0


def test_a_merge_with_a_record_whose_welcome_was_refused_keeps_the_coupon(session):
    a_welcome(session, stock=1)
    one, two, three = (a_member(session, now=NOW) for _ in range(3))
    assert [joined(session, each) for each in (one, two, three)] == [1, 0, 0]
    merged(session, one, two)
    assert coupons(session, two) == ["issued"]
    merged(session, three, two)
    assert coupons(session, two) == ["issued"]
    assert joined(session, three) == 0


def test_a_tier_reached_by_growth_gives_once_and_only_for_the_tiers_named(session):
    a_rule(session, now=NOW - timedelta(days=2))
    a_trigger(session, TriggerKind.TIER_UP, now=NOW - timedelta(days=1), tiers=("gold", "black"))
    member_id, by_hand = a_member(session, now=NOW), a_member(session, now=NOW)
    a_sale(session, member_id, 1_000, at=NOW)
    a_sale(session, member_id, 5_000, at=NOW + timedelta(minutes=1))
    tiers.assign(session, by_hand, "gold", reason="VIP", actor=STAFF, now=NOW)
    events = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == "tiers.changed").order_by(OutboxEvent.occurred_at)).all()
    assert len(events) == 3
    core = SimpleNamespace(clock=SimpleNamespace(now=lambda: LATER))
    for _ in range(2):
        for event in events:
            jobs.on_tier_changed(session, event, core)
    assert [(gift.member_id, gift.state) for gift in gifts(session)] == [(member_id, "given")]
    assert coupons(session) == ["issued"]


def test_any_tier_gives_when_none_is_named_and_a_change_there_is_not_gives_nothing(session):
    a_rule(session, now=NOW - timedelta(days=2))
    a_trigger(session, TriggerKind.TIER_UP, now=NOW - timedelta(days=1))
    member_id = a_member(session, now=NOW)
    a_sale(session, member_id, 1_000, at=NOW)
    (event,) = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == "tiers.changed")).all()
    assert service.reach_tier(session, UUID(event.payload["change_id"]), now=LATER) == 1
    assert service.reach_tier(session, member_id, now=LATER) == 0
