"""What falls due, and reservations."""

from __future__ import annotations

from datetime import timedelta

import pytest

from server.kernel.amounts import Points
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from server.points import queries, service
from server.points.errors import EntryNotFoundError, InsufficientPointsError, ReservationClosedError
from tests.conftest import START
from tests.factories.points import SYSTEM, a_member, a_source

DAY = timedelta(days=1)


def accrue(session, member_id, count, *, source=None, **more):
    source = source or a_source()
    return service.accrue(session, member_id, Points(count), source=source, reason="Gift", actor=SYSTEM, now=START, **more)


def reserve(session, member_id, count, *, source=None, now=START, **more):
    source = source or a_source()
    return service.reserve(session, member_id, Points(count), source=source, reason="Order", actor=SYSTEM, now=now, **more)


def has(session, member_id, **expected):
    balance = queries.balance(session, member_id, now=START)
    wanted = {"available": 0, "pending": 0, "reserved": 0, "debt": 0} | expected
    assert {name: getattr(balance, name) for name in wanted} == wanted
    assert queries.prove(session) == []


def test_expiry_takes_exactly_what_is_left_and_a_second_run_nothing(session):
    member_id = a_member(session, now=START)
    for count in (10, 20, 30):
        accrue(session, member_id, count, expires_at=START + DAY)
    accrue(session, member_id, 5, expires_at=START + 2 * DAY)
    service.redeem(session, member_id, Points(15), source=a_source(), reason="Reward", actor=SYSTEM, now=START)
    assert service.expire_due(session, START + DAY - timedelta(microseconds=1)) == 0
    assert service.expire_due(session, START + DAY, limit=1) == 1
    assert service.expire_due(session, START + DAY) == 1
    assert service.expire_due(session, START + DAY) == 0
    has(session, member_id, available=5)


def test_reserved_points_do_not_expire_until_they_are_released(session):
    member_id = a_member(session, now=START)
    accrue(session, member_id, 10, expires_at=START + DAY)
    held = reserve(session, member_id, 4)
    has(session, member_id, available=6, reserved=4)
    assert service.expire_due(session, START + DAY) == 1
    has(session, member_id, reserved=4)
    service.release(session, held.id, actor=SYSTEM, now=START + DAY)
    assert service.expire_due(session, START + DAY) == 1
    has(session, member_id)


def test_a_reservation_is_redeemed_or_released_once(session):
    member_id = a_member(session, now=START, points=10)
    source = a_source()
    held = reserve(session, member_id, 6, source=source)
    assert reserve(session, member_id, 6, source=source).id == held.id
    spent = service.redeem_reservation(session, held.id, reason="Order paid", actor=SYSTEM, now=START)
    assert service.redeem_reservation(session, held.id, reason="Order paid", actor=SYSTEM, now=START).id == spent.id
    with pytest.raises(ReservationClosedError):
        service.release(session, held.id, actor=SYSTEM, now=START)
    has(session, member_id, available=4)
    service.return_redemption(session, spent.id, None, source=a_source(), reason="Cancelled", actor=SYSTEM, now=START)
    has(session, member_id, available=10)


def test_what_cannot_be_reserved_is_refused(session):
    member_id = a_member(session, now=START, points=5)
    for count, error in ((6, InsufficientPointsError), (0, InvalidError)):
        with session.begin_nested() as attempt, pytest.raises(error):
            reserve(session, member_id, count)
            attempt.rollback()
    with pytest.raises(EntryNotFoundError):
        service.release(session, uuid7(), actor=SYSTEM, now=START)
    has(session, member_id, available=5)


def test_overdue_reservations_are_released(session):
    member_id = a_member(session, now=START, points=10)
    reserve(session, member_id, 3, ttl=timedelta(minutes=5))
    reserve(session, member_id, 4, ttl=timedelta(minutes=50))
    assert service.release_due(session, START + timedelta(minutes=5)) == 1
    assert service.release_due(session, START + timedelta(minutes=5)) == 0
    has(session, member_id, available=6, reserved=4)


def test_unlocking_follows_the_order(session):
    member_id, source = a_member(session, now=START), a_source()
    accrue(session, member_id, 10, source=source, available_at=START + 30 * DAY)
    assert service.unlock_source(session, source, now=START, available_at=START + 9 * DAY)
    assert service.unlock_due(session, START + 8 * DAY) == 0
    assert service.unlock_source(session, source, now=START + 9 * DAY, available_at=START + 9 * DAY)
    assert not service.unlock_source(session, source, now=START + 9 * DAY, available_at=START + 9 * DAY)
    assert not service.unlock_source(session, a_source(), now=START, available_at=START)
    has(session, member_id, available=10)


def test_many_members_are_swept_in_bounded_batches(session):
    members = [a_member(session, now=START) for _ in range(7)]
    for member_id in members:
        accrue(session, member_id, 10, available_at=START + DAY, expires_at=START + 3 * DAY)
    assert [service.unlock_due(session, START + DAY, limit=3) for _ in range(4)] == [3, 3, 1, 0]
    assert [service.expire_due(session, START + 3 * DAY, limit=4) for _ in range(3)] == [4, 3, 0]
    for member_id in members:
        has(session, member_id)
