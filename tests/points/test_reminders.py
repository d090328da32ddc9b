"""Members are told once 30 and once 7 days before of all the points that one day takes, however the job runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from server.flows import merge
from server.kernel.amounts import Points
from server.kernel.outbox import Event, OutboxEvent
from server.kernel.pagination import PageRequest
from server.notifications import queries as notifications
from server.points import reminders, service
from server.points.models import PointsExpiryNotice
from tasks.jobs import points_messages
from tests.conftest import START
from tests.factories.points import SYSTEM, a_member, a_source

DAY = timedelta(days=1)
TOMORROW = datetime(2026, 6, 15, 16, 0, tzinfo=UTC)  # where the shop's 16 June begins


def lot(session, member_id, count, expires_at):
    return service.accrue(
        session, member_id, Points(count), source=a_source(), reason="Gift", actor=SYSTEM, now=START, expires_at=expires_at
    )


def told(session):
    rows = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == "points.expiring").order_by(OutboxEvent.occurred_at)).all()
    return [(row.payload["member_id"], row.payload["day"], row.payload["horizon_days"]) for row in rows]


def hear(session, core):
    for row in session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == "points.expiring")).all():
        event = Event(row.id, row.key, row.topic, row.aggregate_type, row.aggregate_id, row.version, row.payload, row.occurred_at)
        points_messages.on_points_expiring(session, event, core)


def inbox(session, member_id):
    return [one.texts for one in notifications.inbox(session, member_id, PageRequest.of(100, None)).items if one.code == "points_expiring"]


def test_all_that_one_day_takes_is_told_once_at_each_horizon(session, core, clock):
    member_id, poor = a_member(session, now=START), a_member(session, now=START)
    end = TOMORROW + 30 * DAY  # the points' last day is 15 July, thirty days on
    for count, expires_at in ((20, end), (15, end - timedelta(hours=3)), (40, end + timedelta(microseconds=1)), (7, None)):
        lot(session, member_id, count, expires_at)
    lot(session, poor, 9, end)
    assert reminders.remind_expiring(session, START - timedelta(days=1)) == 0
    # Day after day, and twice a day: one notice a month before and one a week before, for each of the two days.
    for day in range(32):
        for _ in range(2):
            reminders.remind_expiring(session, START + day * DAY)
    assert told(session) == [
        (str(member_id), "2026-07-15", 30),
        (str(member_id), "2026-07-16", 30),
        (str(member_id), "2026-07-15", 7),
        (str(member_id), "2026-07-16", 7),
    ]
    service.redeem(session, member_id, Points(25), source=a_source(), reason="Reward", actor=SYSTEM, now=START)
    hear(session, core)
    assert {(texts["points"], texts["expires_on"], texts["available"]) for texts in inbox(session, member_id)} == {
        ("10", "2026年07月15日", "57"),
        ("40", "2026年07月16日", "57"),
    }
    assert reminders.forget_notices(session, START.date() + 30 * DAY) == 0
    assert reminders.forget_notices(session, START.date() + 31 * DAY) == 2


def test_after_a_downtime_only_the_nearer_notice_is_told_and_a_batch_goes_on_where_the_last_one_ended(session, core, clock):
    members = [a_member(session, now=START) for _ in range(3)]
    for member_id in members:
        lot(session, member_id, 10, TOMORROW + 5 * DAY)
    assert [reminders.remind_expiring(session, START, limit=2) for _ in range(3)] == [2, 1, 0]
    assert sorted(told(session)) == sorted((str(member_id), "2026-06-20", 7) for member_id in members)
    # What is set aside for an order is nobody's to lose, and what was merged is told to who has it now.
    service.reserve(session, members[0], Points(10), source=a_source(), reason="Order", actor=SYSTEM, now=START)
    merge.merge(session, members[1], members[2], reason="same person", actor=SYSTEM, now=START)
    hear(session, core)
    assert inbox(session, members[0]) == []
    assert [texts["points"] for texts in inbox(session, members[2])] == ["20"]


@pytest.mark.committing
def test_two_sweeps_side_by_side_tell_once(core):
    def prepare(session):
        for _ in range(8):
            lot(session, a_member(session, now=START), 10, TOMORROW + 5 * DAY)

    core.db.run(prepare)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: core.db.run(lambda s: reminders.remind_expiring(s, START)), range(3)))
    with core.db.reading() as session:
        assert len(told(session)) == len(set(told(session))) == 8
        assert session.scalar(sa.select(sa.func.count()).select_from(PointsExpiryNotice)) == 8
