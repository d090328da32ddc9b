"""Cancelling: the points go back into the lots they came from, stock and slot are free again, money paid is due for refund."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.coupons import service as coupons
from server.kernel.actors import MemberActor, SystemActor
from server.kernel.db import update_where
from server.kernel.source import Source
from server.kernel.text import N_
from server.points import service as points
from server.rewards import events, queries
from server.rewards.errors import (
    ReasonMissingError,
    RedemptionNotFoundError,
    RedemptionStateError,
    RefundConflictError,
    VoucherExpiredError,
)
from server.rewards.models import RewardRedemption
from server.rewards.queries import RedemptionView
from server.rewards.rules.states import RedemptionState
from server.rewards.rules.terms import Kind
from server.rewards.service.steps import give_back_stock, locked, move, tell

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

CANCEL_REASON = N_("Redemption cancelled")
_SWEEPER = SystemActor("rewards.sweep")


def cancel(
    session: Session, redemption_id: UUID, *, actor: Actor, now: datetime, reason: str | None = None, member_id: UUID | None = None
) -> RedemptionView:
    """Cancel a redemption. A cancelled one stays cancelled, and nothing is given back twice.

    A member cancels their own until it is shipped, handed over or issued; staff cancel with a reason, and may take back what was
    fulfilled: goods that came back, or a coupon that is not redeemed, which is voided.

    Arguments:
        session: of the caller's transaction.
        redemption_id: which.
        actor: who cancels.
        now: when.
        reason: in the words of the person who cancels; staff must give one.
        member_id: whose it must be, when a member asks.

    Raises:
        RedemptionNotFoundError: there is none, or it is somebody else's.
        ReasonMissingError: staff gave no reason.
        RedemptionStateError: a member cancels what is fulfilled.
        VoucherExpiredError: a member cancels a voucher whose time is over.
        CouponNotAvailableError: the coupon to take back was redeemed.
    """
    by_member = isinstance(actor, MemberActor)
    if not by_member and not (reason or "").strip():
        raise ReasonMissingError(fields={"reason": ReasonMissingError.message})
    row = locked(session, redemption_id, now=now)
    if member_id is not None and row.member_id != member_id:
        raise RedemptionNotFoundError
    if row.state == RedemptionState.CANCELLED:
        return queries.find(session, row.id)
    fulfilled = row.state == RedemptionState.FULFILLED
    if by_member and fulfilled:
        raise RedemptionStateError(state=row.state)
    if by_member and row.voucher_until is not None and row.voucher_until <= now:
        raise VoucherExpiredError
    if row.coupon_id is not None:
        coupons.void(session, row.coupon_id, reason=reason or CANCEL_REASON, actor=actor, now=now)
    close(session, row, "take_back" if fulfilled else "cancel", actor=actor, now=now, reason=reason)
    return queries.find(session, row.id)


def time_out_due(session: Session, now: datetime, limit: int = 200) -> int:
    """Cancel up to ``limit`` redemptions that nobody paid in time; return how many."""
    of = RewardRedemption
    due = session.scalars(
        sa.select(of.id).where(of.state == RedemptionState.RESERVED, of.pay_until <= now).order_by(of.member_id, of.id).limit(limit)
    ).all()
    freed: dict[UUID, Counter[date]] = defaultdict(Counter)
    done = 0
    for redemption_id in due:
        row = locked(session, redemption_id, now=now)
        if row.state != RedemptionState.RESERVED:  # paid or cancelled between the look-up and its lock
            continue
        close(session, row, "time_out", actor=_SWEEPER, now=now, stock_later=True)
        freed[row.reward_id][row.day] += 1
        done += 1
    # The rewards last and in order of their keys: who redeems holds an account and waits for the reward, never the other way round.
    for reward_id in sorted(freed):
        give_back_stock(session, reward_id, freed[reward_id])
    return done


def refund(session: Session, redemption_id: UUID, *, refund_ref: str, actor: Actor, now: datetime) -> RedemptionView:
    """Take in the fact that the cash part was given back. The same refund again changes nothing.

    Arguments:
        session: of the caller's transaction.
        redemption_id: of what.
        refund_ref: the refund's number where it was made.
        actor: who tells it.
        now: when.

    Raises:
        RedemptionNotFoundError: there is none.
        RefundConflictError: nothing is due, or it was refunded under another number.
    """
    row = locked(session, redemption_id, now=now)
    if row.refund_state == "done" and row.refund_ref == refund_ref:
        return queries.find(session, row.id)
    if row.refund_state != "due":
        raise RefundConflictError
    move(session, row, "refund", actor=actor, now=now, changes={"refund_state": "done", "refund_ref": refund_ref}, detail=refund_ref)
    return queries.find(session, row.id)


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> int:
    """Move every redemption of one member to another; limits are not applied to what both already hold.

    The points domain has locked both accounts in this transaction, so neither member redeems or cancels meanwhile.

    Returns:
        How many redemptions were moved.
    """
    del now  # Redemptions keep their own dates.
    of = RewardRedemption
    rows = session.scalars(
        sa.select(of).where(of.member_id == from_id).order_by(of.id).with_for_update().execution_options(populate_existing=True)
    ).all()
    wanted = {row.reward_id for row in rows if row.slot is not None}
    highest: dict[UUID, int] = {
        reward_id: slot or 0
        for reward_id, slot in session.execute(
            sa.select(of.reward_id, sa.func.max(of.slot))
            .where(of.member_id.in_((from_id, into_id)), of.reward_id.in_(wanted))
            .group_by(of.reward_id)
        )
    }
    for row in rows:
        if row.slot is not None:
            highest[row.reward_id] += 1
            row.slot = highest[row.reward_id]
        row.member_id = into_id
    session.flush()
    return len(rows)


def forget_member(session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> int:
    """Release what a leaving member has not paid yet, and blank the receivers of their goods; the redemptions stay for the books.

    Returns:
        How many had a receiver.
    """
    of = RewardRedemption
    open_ids = session.scalars(
        sa.select(of.id).where(of.member_id == member_id, of.state == RedemptionState.RESERVED).order_by(of.id)
    ).all()
    for redemption_id in open_ids:
        cancel(session, redemption_id, actor=actor, now=now, reason="member_left")
    named = sa.or_(*(getattr(of, name).is_not(None) for name in queries.RECEIVER))
    return update_where(session, sa.update(of).where(of.member_id == member_id, named).values(**dict.fromkeys(queries.RECEIVER)))


def forget_receivers(session: Session, member_id: UUID) -> bool:
    """Blank the receivers of a member's goods that are on their way or further; a parcel still to be packed needs its own.

    Returns:
        True when there is such a parcel, so that it has to be asked again.
    """
    of = RewardRedemption
    needed = sa.and_(of.kind == Kind.GOODS, of.state.in_((RedemptionState.RESERVED, RedemptionState.PLACED)))
    named = sa.or_(*(getattr(of, name).is_not(None) for name in queries.RECEIVER))
    update_where(session, sa.update(of).where(of.member_id == member_id, named, ~needed).values(**dict.fromkeys(queries.RECEIVER)))
    return session.scalar(sa.select(of.id).where(of.member_id == member_id, named, needed).limit(1)) is not None


def close(
    session: Session,
    row: RewardRedemption,
    event: str,
    *,
    actor: Actor,
    now: datetime,
    reason: str | None = None,
    stock_later: bool = False,
) -> None:
    """End a locked redemption: points, slot and stock go back, money paid falls due.

    Arguments:
        session: of the caller's transaction.
        row: locked.
        event: ``cancel``, ``time_out`` or ``take_back``.
        actor: who ends it.
        now: when.
        reason: in the words of the person who does it.
        stock_later: the caller gives the stock back itself.
    """
    changes: dict[str, Any] = {"slot": None, "cancelled_at": now}
    if row.entry_id is not None:
        source = Source("rewards", f"cancel:{row.id.hex}")
        entry = points.return_redemption(session, row.entry_id, None, source=source, reason=CANCEL_REASON, actor=actor, now=now)
        changes["return_entry_id"] = entry.id
    elif row.reservation_id is not None:
        # The sweep of the points may have been first; releasing twice gives the same entry.
        points.release(session, row.reservation_id, actor=actor, now=now)
    if row.paid_at is not None:
        changes["refund_state"] = "due"
    move(session, row, event, actor=actor, now=now, changes=changes, reason=reason)
    if not stock_later:
        give_back_stock(session, row.reward_id, {row.day: 1})
    tell(session, events.CANCELLED, row, now=now)
