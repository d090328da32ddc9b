"""Closing months of points: which are due, and what a point is worth in the books."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.points import controls, month_queries, months
from server.points.control_rules import months_to_close
from server.rewards import queries as rewards

if TYPE_CHECKING:
    from datetime import date, datetime

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor
    from server.points.months import Closing


def due(session: Session, now: datetime) -> list[date]:
    """Return the months to close, oldest first: from the second of a month on, the one before."""
    last = month_queries.closed_months(session, 1)
    today = business_date(now, zone_of(session))
    return months_to_close(month_queries.first_day(session), last[0].month if last else None, today)


def points_per_yuan(session: Session) -> int:
    """Return how many points are worth one yuan in the books: as declared, or else as points pay for orders."""
    return controls.current(session).points_per_yuan or rewards.payment_policy(session).points_per_yuan


def close(session: Session, closing: Closing, *, actor: Actor, now: datetime) -> bool:
    """Write a month that was worked out, at the present value of a point; False when it was closed before."""
    return months.close(session, closing, points_per_yuan=points_per_yuan(session), actor=actor, now=now)
