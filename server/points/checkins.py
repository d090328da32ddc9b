"""The daily check-in with its streak: one for each business day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.kernel.amounts import Points
from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.kernel.ids import uuid7
from server.kernel.source import Source
from server.kernel.text import N_
from server.points import books, queries
from server.points.accruals import accrue
from server.points.errors import AlreadyCheckedInError, CheckInClosedError
from server.points.models import PointsCheckIn
from server.points.rules import CheckInRule, streak_after

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

CHECK_IN_REASON = N_("Daily check-in")


@dataclass(frozen=True, slots=True)
class CheckIn:
    """A check-in that was made: points earned and days in a row, today included."""

    points: int
    streak_days: int


def check_in(session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> CheckIn:
    """Check a member in for the business day.

    Raises:
        CheckInClosedError: no check-in rule is active.
        AlreadyCheckedInError: the member has checked in today.
    """
    rule = next((rule for rule in queries.active_rules(session, now) if isinstance(rule, CheckInRule)), None)
    if rule is None:
        raise CheckInClosedError
    account = books.lock_account(session, member_id, now)
    today = business_date(now, zone_of(session))
    last = session.execute(
        sa.select(PointsCheckIn.day, PointsCheckIn.streak_days)
        .where(PointsCheckIn.member_id == account.member_id)
        .order_by(PointsCheckIn.day.desc())
        .limit(1)
    ).one_or_none()
    if last is not None and last.day >= today:
        raise AlreadyCheckedInError
    streak_days = streak_after(last.day, last.streak_days, today) if last else 1
    points = rule.points_on(streak_days)
    entry = None
    if points:
        entry = accrue(
            session,
            account.member_id,
            Points(points),
            source=Source("points", f"check-in:{account.member_id.hex}:{today}"),
            reason=CHECK_IN_REASON,
            actor=actor,
            now=now,
            rule=rule.ref,
            details={"why": [{"rule": rule.ref.code, "version": rule.ref.version, "streak_days": streak_days, "points": points}]},
        )
    session.execute(
        sa.insert(PointsCheckIn).values(
            id=uuid7(), member_id=account.member_id, day=today, streak_days=streak_days, entry_id=entry.id if entry else None
        )
    )
    return CheckIn(points, streak_days)
