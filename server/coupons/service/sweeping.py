"""What time does to coupons: locks open, coupons expire, and their holders are reminded. Bounded; safe to run twice."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.coupons import events
from server.coupons.models import Coupon
from server.coupons.rules.states import CouponState
from server.coupons.service.steps import LOCK_OVER, UNLOCKED, move, release_budget, tell
from server.kernel.actors import SystemActor
from server.kernel.db import lock_skipping

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

REMIND_DAYS = 3
_ACTOR = SystemActor("coupons.sweep")


def release_due(session: Session, now: datetime, limit: int = 500) -> int:
    """Open up to ``limit`` locks whose time is over; return how many."""
    rows = _due(session, limit, Coupon.locked_until, Coupon.state == CouponState.LOCKED, Coupon.locked_until <= now)
    for row in rows:
        move(session, row, "unlock", actor=_ACTOR, now=now, changes=UNLOCKED, reason=LOCK_OVER)
    return len(rows)


def expire_due(session: Session, now: datetime, limit: int = 500) -> int:
    """Expire up to ``limit`` coupons whose validity is over and give their budget back; return how many."""
    rows = _due(session, limit, Coupon.valid_until, Coupon.state == CouponState.ISSUED, Coupon.valid_until <= now)
    freed: dict[bytes, tuple[Coupon, int]] = {}
    for row in rows:
        move(session, row, "expire", actor=_ACTOR, now=now)
        _, so_far = freed.get(row.template_id.bytes, (row, 0))
        freed[row.template_id.bytes] = (row, so_far + row.committed_fen)
    # In order of the templates' keys, so that two sweeps never wait for one another in a circle.
    for _, (row, fen) in sorted(freed.items()):
        release_budget(session, row.template_id, fen)
    return len(rows)


def remind_expiring(session: Session, now: datetime, *, within_days: int = REMIND_DAYS, limit: int = 500) -> int:
    """Tell ``coupons.expiring`` once for each coupon that ends within some days; return how many were told."""
    rows = _due(
        session,
        limit,
        Coupon.valid_until,
        Coupon.state == CouponState.ISSUED,
        Coupon.reminded_at.is_(None),
        Coupon.valid_until > now,
        Coupon.valid_until <= now + timedelta(days=within_days),
    )
    for row in rows:
        row.reminded_at = now
        tell(session, events.EXPIRING, row, now=now, once="once")
    session.flush()
    return len(rows)


def _due(
    session: Session,
    limit: int,
    order: sa.ColumnElement[datetime] | sa.orm.InstrumentedAttribute[datetime | None],
    *where: sa.ColumnElement[bool],
) -> Sequence[Coupon]:
    statement = sa.select(Coupon).where(*where).order_by(order, Coupon.id).limit(limit)
    return session.scalars(lock_skipping(statement).execution_options(populate_existing=True)).all()
