"""What members are told of their redemptions: once each, as things stand when it is told."""

from __future__ import annotations

import sqlalchemy as sa

from server.kernel.outbox import Event, OutboxEvent
from server.kernel.pagination import PageRequest
from server.notifications import queries as notifications
from server.rewards import service
from tasks.subscriptions import SUBSCRIPTIONS
from tests.conftest import START
from tests.factories.members import a_member
from tests.factories.points import Points, a_source
from tests.factories.points import service as points
from tests.factories.rewards import STAFF, SYSTEM, a_redemption, a_reward

NOW = START


def hear(session, core, topic):
    """Hand every event of a topic to its listeners, twice."""
    for row in session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == topic)).all() * 2:
        for subscription in SUBSCRIPTIONS[topic]:
            event = Event(row.id, row.key, row.topic, row.aggregate_type, row.aggregate_id, row.version, row.payload, row.occurred_at)
            subscription.load()(session, event, core)


def told(session, member):
    return sorted((one.code, one.body % one.texts) for one in notifications.inbox(session, member, PageRequest(100)).items)


def test_placing_shipping_and_cancelling_are_each_told_once(session, core):
    member = a_member(session, now=NOW)
    points.accrue(session, member, Points(500), source=a_source(), reason="Gift", actor=SYSTEM, now=NOW)
    reward = a_reward(session, now=NOW)
    one, two = (a_redemption(session, member, reward, now=NOW) for _ in range(2))
    hear(session, core, "rewards.placed")
    service.ship(session, one.id, carrier="顺丰速运", tracking_no="SF1", actor=STAFF, now=NOW)
    service.cancel(session, two.id, actor=STAFF, now=NOW, reason="缺货")
    for topic in ("rewards.placed", "rewards.shipped", "rewards.cancelled"):
        hear(session, core, topic)
    found = told(session, member)
    assert [code for code, _ in found] == ["reward_cancelled", "reward_placed", "reward_placed", "reward_shipped"]
    bodies = dict(found)
    assert "SF1" in bodies["reward_shipped"]
    assert "100" in bodies["reward_cancelled"]


def test_what_was_cancelled_before_it_was_told_is_told_as_cancelled_alone(session, core):
    member = a_member(session, now=NOW)
    points.accrue(session, member, Points(500), source=a_source(), reason="Gift", actor=SYSTEM, now=NOW)
    one = a_redemption(session, member, a_reward(session, now=NOW), now=NOW)
    service.ship(session, one.id, carrier="顺丰速运", tracking_no="SF1", actor=STAFF, now=NOW)
    service.cancel(session, one.id, actor=STAFF, now=NOW, reason="退回")
    for topic in ("rewards.placed", "rewards.shipped", "rewards.cancelled"):
        hear(session, core, topic)
    assert [code for code, _ in told(session, member)] == ["reward_cancelled"]


def test_a_redemption_nobody_knows_is_passed_over(session, core):
    from server.kernel.ids import uuid7

    unknown = Event(uuid7(), "k", "rewards.placed", "redemption", uuid7(), 1, {"redemption_id": str(uuid7())}, NOW)
    for topic in ("rewards.placed", "rewards.shipped", "rewards.cancelled"):
        for subscription in SUBSCRIPTIONS[topic]:
            subscription.load()(session, unknown, core)
