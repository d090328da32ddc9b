"""Tells members of points that are soon gone: once 30 and once 7 days before the day they go, all that goes on that day in one message.

A day within seven days is told by the notice of seven days only, so after a downtime nobody is told twice at once. What is told is worked
out when the message is made: between the notice and the message points may have been redeemed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.kernel.clock import business_date, end_of_day, start_of_day
from server.kernel.db import insert_all_absent, zone_of
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent
from server.points import controls, events
from server.points.models import PointsExpiryNotice, PointsLot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from uuid import UUID
    from zoneinfo import ZoneInfo

    from sqlalchemy.orm import Session

HORIZONS = (7, 30)


def remind_expiring(session: Session, now: datetime, limit: int = 500) -> int:
    """Tell ``points.expiring`` once for each member, day and horizon; return how many were told.

    Arguments:
        session: of an open transaction.
        now: present instant.
        limit: notices at most; below it nothing more is to be told at present.
    """
    zone = zone_of(session)
    today = business_date(now, zone)
    least = controls.current(session).notice_min_points
    told = 0
    for days in range(HORIZONS[-1] + 1):
        day = today + timedelta(days=days)
        horizon = next(one for one in HORIZONS if days <= one)
        member_ids = _untold(session, day, horizon, now, least, limit - told)
        _tell(session, member_ids, day, horizon, now)
        told += len(member_ids)
        if told >= limit:
            break
    return told


def expiring_on(session: Session, member_id: UUID, day: date, *, now: datetime) -> int:
    """Return how many points a member loses at the end of a day or during it, as things stand."""
    total = session.scalar(
        sa.select(sa.func.sum(PointsLot.left_ - PointsLot.reserved)).where(
            PointsLot.member_id == member_id, *_going_on(day, zone_of(session), now)
        )
    )
    return int(total or 0)


def forget_notices(session: Session, before: date, limit: int = 500) -> int:
    """Delete up to ``limit`` notices of days before one, which can never be told again; return how many went."""
    of = PointsExpiryNotice
    old = session.scalars(sa.select(of.id).where(of.day < before).order_by(of.day, of.id).limit(limit)).all()
    if old:
        session.execute(sa.delete(of).where(of.id.in_(old)).execution_options(synchronize_session=False))
    return len(old)


def _going_on(day: date, zone: ZoneInfo, now: datetime) -> list[sa.ColumnElement[bool]]:
    """Return the conditions of lots of which something is gone after a day. An expiry is the first instant without the points."""
    return [
        PointsLot.state == "available",
        PointsLot.expires_at > max(start_of_day(day, zone), now),
        PointsLot.expires_at <= end_of_day(day, zone),
    ]


def _untold(session: Session, day: date, horizon: int, now: datetime, least: int, limit: int) -> Sequence[UUID]:
    told = sa.exists().where(
        PointsExpiryNotice.member_id == PointsLot.member_id, PointsExpiryNotice.day == day, PointsExpiryNotice.horizon_days == horizon
    )
    statement = (
        sa.select(PointsLot.member_id)
        .where(*_going_on(day, zone_of(session), now), ~told)
        .group_by(PointsLot.member_id)
        .having(sa.func.sum(PointsLot.left_ - PointsLot.reserved) >= least)
        .order_by(PointsLot.member_id)
        .limit(limit)
    )
    return session.scalars(statement).all()


def _tell(session: Session, member_ids: Sequence[UUID], day: date, horizon: int, now: datetime) -> None:
    """Note the notices and tell of them; beside another sweep, whoever comes second adds nothing."""
    notices: list[dict[str, Any]] = []
    news: list[dict[str, Any]] = []
    for member_id in member_ids:
        notices.append({"id": uuid7(), "member_id": member_id, "day": day, "horizon_days": horizon, "told_at": now})
        news.append(
            {
                "id": uuid7(),
                "key": f"{events.EXPIRING}:{member_id}:{day}:{horizon}",
                "topic": events.EXPIRING,
                "aggregate_type": "member",
                "aggregate_id": member_id,
                "version": 0,
                "payload": {"member_id": str(member_id), "day": day.isoformat(), "horizon_days": horizon},
                "occurred_at": now,
                "expanded_at": None,
            }
        )
    insert_all_absent(session, PointsExpiryNotice, notices)
    insert_all_absent(session, OutboxEvent, news)
