"""What every verb on an issued coupon shares: locking it, moving it by compare-and-set, and writing the move down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from server.coupons.errors import CouponNotAvailableError, CouponNotFoundError
from server.coupons.models import Coupon, CouponTemplate, CouponTransition
from server.coupons.rules.states import CouponState, target_of
from server.kernel.db import update_where
from server.kernel.ids import uuid7
from server.kernel.outbox import publish
from server.kernel.prepared import Prepared
from server.kernel.text import N_

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


# What the coupon's life tells.
LOCK_OVER = N_("lock timed out")
_FACTS = ("channel", "external_no", "refund_id", "discount_fen", "reason")
# Built once, and of the table: an insert of the model with its values inside costs several times as much to prepare.
_TRANSITIONS = cast("sa.Table", CouponTransition.__table__)
_WRITE_TRANSITION = Prepared(sa.insert(_TRANSITIONS), columns=_TRANSITIONS.c.keys())


def locked_coupon(session: Session, coupon_id: UUID) -> Coupon:
    """Return a coupon's row, locked until the transaction ends.

    Raises:
        CouponNotFoundError: there is none.
    """
    row = session.scalar(sa.select(Coupon).where(Coupon.id == coupon_id).with_for_update().execution_options(populate_existing=True))
    if row is None:
        raise CouponNotFoundError
    return row


def move(
    session: Session,
    row: Coupon,
    event: str,
    *,
    actor: Actor,
    now: datetime,
    changes: dict[str, Any] | None = None,
    refund_id: str | None = None,
    reason: str | None = None,
) -> None:
    """Move a coupon along one edge, by compare-and-set on state and version, and write the transition row.

    Arguments:
        session: of the caller's transaction.
        row: the coupon as it was read; it is up to date afterwards.
        event: an edge of ``COUPON_EDGES``.
        actor: who does it.
        now: when.
        changes: other columns that change with the state.
        refund_id: the refund that returns it.
        reason: in the words of the person who does it.

    Raises:
        CouponNotAvailableError: there is no such edge from its state, or another transaction moved it meanwhile.
    """
    target = target_of(event, CouponState(row.state))
    if target is None:
        raise CouponNotAvailableError(state=row.state)
    values = {"state": target.value, "version": row.version + 1, **(changes or {})}
    before = row.state
    named = {name: values.get(name) or getattr(row, name) for name in ("channel", "external_no", "discount_fen")}
    moved = update_where(
        session, sa.update(Coupon).where(Coupon.id == row.id, Coupon.state == row.state, Coupon.version == row.version).values(**values)
    )
    session.refresh(row)
    if not moved:
        raise CouponNotAvailableError(state=row.state)
    write_transition(session, row.id, event, before, target, actor=actor, now=now, refund_id=refund_id, reason=reason, **named)


def write_transition(
    session: Session,
    coupon_id: UUID,
    event: str,
    from_state: str | None,
    to_state: CouponState,
    *,
    actor: Actor,
    now: datetime,
    **facts: Any,
) -> None:
    """Write one row of a coupon's life."""
    row = dict.fromkeys(_FACTS) | facts
    row |= {"id": uuid7(), "coupon_id": coupon_id, "event": event, "from_state": from_state, "to_state": to_state.value}
    _WRITE_TRANSITION.run_last(session, row | {"actor_kind": actor.kind, "actor_ref": actor.ref, "occurred_at": now})


def tell(session: Session, topic: str, row: Coupon, *, now: datetime, once: str = "") -> None:
    """Publish what happened to a coupon, once for its present version (or for the fact named by ``once``)."""
    publish(
        session,
        topic,
        key=f"{topic}:{row.id}:{once or row.version}",
        aggregate_type="coupon",
        aggregate_id=row.id,
        payload={"coupon_id": str(row.id), "member_id": str(row.member_id)},
        now=now,
        version=row.version,
        last=True,
    )


def release_budget(session: Session, template_id: UUID, fen: int) -> None:
    """Give back the budget of coupons that can no longer cost anything."""
    if fen:
        update_where(
            session,
            sa.update(CouponTemplate)
            .where(CouponTemplate.id == template_id)
            .values(budget_committed_fen=CouponTemplate.budget_committed_fen - fen),
        )


def release_stale_lock(session: Session, row: Coupon, *, actor: Actor, now: datetime) -> None:
    """Open a lock whose time is over, so that nobody waits for the sweep."""
    if row.state == CouponState.LOCKED and row.locked_until is not None and row.locked_until <= now:
        move(session, row, "unlock", actor=actor, now=now, changes=UNLOCKED, reason=LOCK_OVER)


UNLOCKED: dict[str, Any] = {"channel": None, "external_no": None, "locked_until": None}
