"""The declared controls by version, and what one person adjusted alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.errors import InvalidError
from server.points.control_rules import Controls
from server.points.models import PointsControl, PointsEntry
from server.points.rules import MAX_POINTS

if TYPE_CHECKING:
    from datetime import date, datetime

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

# What staff adjust alone has this namespace; what a second person approved has another, and counts for nobody's day.
ALONE = "staff"
_MAX_PER_YUAN = 100_000


def current(session: Session) -> Controls:
    """Return the controls that hold now."""
    of = PointsControl
    row = session.execute(
        sa.select(of.adjust_limit, of.notice_min_points, of.points_per_yuan).order_by(of.version.desc()).limit(1)
    ).one_or_none()
    return Controls() if row is None else Controls(*row)


def check(controls: Controls) -> None:
    """Look whether controls make sense.

    Raises:
        InvalidError: a number out of its bounds.
    """
    bounds = {"adjust_limit": (0, MAX_POINTS), "notice_min_points": (1, MAX_POINTS), "points_per_yuan": (1, _MAX_PER_YUAN)}
    values = asdict(controls)
    wrong = {
        name: f"{low}–{high}"
        for name, (low, high) in bounds.items()
        if not (values[name] is None and name == "points_per_yuan") and not low <= values[name] <= high
    }
    if wrong:
        raise InvalidError(fields=wrong)


def declare(session: Session, controls: Controls, *, actor: Actor, now: datetime) -> None:
    """Declare new controls from now on; staff do it by ``flows.controls``, which asks a second person where one is needed.

    Raises:
        InvalidError: a number out of its bounds.
    """
    check(controls)
    values = asdict(controls)
    before = current(session)
    version = (session.scalar(sa.select(sa.func.max(PointsControl.version))) or 0) + 1
    session.execute(sa.insert(PointsControl).values(version=version, **values, created_at=now, created_by=actor.ref[:80]))
    audit.record(
        session,
        actor=actor,
        action="points_controls.declare",
        subject_type="points_controls",
        subject_id=str(version),
        before=asdict(before),
        after=values,
        now=now,
    )


def adjusted_alone(session: Session, actor: Actor, day: date) -> int:
    """Return how many points somebody gave and took alone on a business day, both counted as positive."""
    total = session.scalar(
        sa.select(sa.func.sum(sa.func.abs(PointsEntry.points))).where(
            PointsEntry.business_day == day,
            PointsEntry.kind == "adjust",
            PointsEntry.source_namespace == ALONE,
            PointsEntry.actor_kind == actor.kind,
            PointsEntry.actor_ref == actor.ref[:80],
        )
    )
    return int(total or 0)
