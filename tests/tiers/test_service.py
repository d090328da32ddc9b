"""Defining and assigning tiers."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from server.kernel.outbox import OutboxEvent
from server.tiers import queries, service
from server.tiers.errors import TierInvalidError, TierNotFoundError, TierReasonRequiredError
from server.tiers.rules import DEFAULT_TIERS, Face
from tests.conftest import START
from tests.factories.points import STAFF, a_member


def assign(session, member_id, code, reason="Spent enough"):
    return service.assign(session, member_id, code, reason=reason, actor=STAFF, now=START)


def test_default_tiers_are_defined_once(session):
    assert queries.of_member(session, a_member(session, now=START)).code == "standard"
    assert service.ensure_default_tiers(session) == 4
    assert service.ensure_default_tiers(session) == 0
    assert [tier.name for tier in queries.definitions(session)] == ["普通会员", "银卡会员", "金卡会员", "黑金会员"]


def test_a_member_holds_the_lowest_tier_until_assigned(session):
    service.ensure_default_tiers(session)
    member_id = a_member(session, now=START)
    assert queries.of_member(session, member_id).code == "standard"
    assert assign(session, member_id, "gold").points_multiplier_percent == 125
    assign(session, member_id, "gold")
    assign(session, member_id, "silver", reason="Year end")
    assert [(change.from_code, change.to_code, change.reason) for change in queries.changes(session, member_id)] == [
        ("gold", "silver", "Year end"),
        ("standard", "gold", "Spent enough"),
    ]
    events = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == "tiers.changed").order_by(OutboxEvent.id)).all()
    assert [(event.payload["to"], event.payload["upgrade"]) for event in events] == [("gold", True), ("silver", False)]


def test_an_unknown_tier_or_an_empty_reason_is_refused_and_nothing_changes(session):
    service.ensure_default_tiers(session)
    member_id = a_member(session, now=START)
    with pytest.raises(TierNotFoundError):
        assign(session, member_id, "platinum")
    with pytest.raises(TierReasonRequiredError):
        assign(session, member_id, "gold", reason=" ")
    assert queries.changes(session, member_id) == []


def test_a_tier_can_be_changed_but_not_to_nonsense(session):
    service.ensure_default_tiers(session)
    gold = replace(DEFAULT_TIERS[2], name="金卡", points_multiplier_percent=130)
    service.define(session, gold, actor=STAFF, now=START)
    service.define(session, replace(gold, code="platinum", rank=25), actor=STAFF, now=START)
    assert [tier.code for tier in queries.definitions(session)] == ["standard", "silver", "gold", "platinum", "black"]
    for wrong in (
        replace(gold, rank=10),
        replace(gold, points_multiplier_percent=90),
        replace(gold, name=" "),
        replace(gold, code="Gold!"),
        replace(gold, rank=-1),
        replace(gold, face=Face("red", "#000000", "#FFFFFF")),
    ):
        with pytest.raises(TierInvalidError):
            service.define(session, wrong, actor=STAFF, now=START)
    assert queries.of_member(session, a_member(session, now=START)).code == "standard"
    assert queries.next_above(session, 20).code == "platinum"


def test_a_merge_keeps_the_better_tier(session):
    service.ensure_default_tiers(session)
    one, other = a_member(session, now=START), a_member(session, now=START)
    assign(session, one, "gold")
    service.merge_members(session, one, other, now=START)
    assert queries.of_member(session, other).code == "gold"
    service.merge_members(session, a_member(session, now=START), other, now=START)
    assert queries.of_member(session, other).code == "gold"
    # The record that ended is nobody's any more.
    assert {count.code: count.members for count in queries.headcounts(session)}["gold"] == 1


@pytest.mark.committing
def test_a_race_of_assignments_leaves_an_unbroken_chain(core):
    core.db.run(service.ensure_default_tiers)
    member_id = core.db.run(lambda session: a_member(session, now=START))
    threads = [
        threading.Thread(target=lambda code=code: core.db.run(lambda session: assign(session, member_id, code)))
        for code in ("silver", "gold", "black", "silver")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with core.db.reading() as session:
        chain = queries.changes(session, member_id)
        assert queries.of_member(session, member_id).code in {change.to_code for change in chain}
        assert sorted(change.from_code for change in chain).count("standard") >= 1
