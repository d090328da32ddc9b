"""Fulfilling: goods are shipped, vouchers and goods are handed over in a store, a coupon that had to wait is issued."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.audit import service as audit
from server.rewards import events, queries
from server.rewards.errors import (
    ReasonMissingError,
    RedemptionKindError,
    RedemptionNotFoundError,
    RedemptionStateError,
    ShipmentConflictError,
    VoucherExpiredError,
)
from server.rewards.models import RewardRedemption
from server.rewards.queries import Receiver, RedemptionView
from server.rewards.rules.states import RedemptionState
from server.rewards.rules.terms import Kind
from server.rewards.service.redeeming import give_coupon
from server.rewards.service.steps import locked, move, tell, terms_of

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


def ship(
    session: Session, redemption_id: UUID, *, carrier: str, tracking_no: str, actor: Actor, now: datetime, reason: str | None = None
) -> RedemptionView:
    """Note that goods were handed to a carrier. The same parcel again changes nothing.

    Raises:
        RedemptionNotFoundError: there is none.
        RedemptionKindError: these are no goods.
        ShipmentConflictError: it was shipped with another carrier or tracking number.
        RedemptionStateError: not paid yet, or cancelled.
    """
    row = locked(session, redemption_id, now=now)
    carrier, tracking_no = carrier.strip(), tracking_no.strip()
    if row.kind != Kind.GOODS:
        raise RedemptionKindError
    if row.state == RedemptionState.FULFILLED:
        if (row.carrier, row.tracking_no) == (carrier, tracking_no):
            return queries.find(session, row.id)
        raise ShipmentConflictError
    changes = {"carrier": carrier, "tracking_no": tracking_no, "fulfilled_at": now}
    move(session, row, "ship", actor=actor, now=now, changes=changes, detail=f"{carrier} {tracking_no}", reason=reason)
    tell(session, events.SHIPPED, row, now=now)
    return queries.find(session, row.id)


def hand_over(
    session: Session, redemption_id: UUID, *, actor: Actor, now: datetime, store: str | None = None, reason: str | None = None
) -> RedemptionView:
    """Note that goods or a service were given to the member in person. A second time is refused: nobody is served twice.

    Raises:
        RedemptionNotFoundError: there is none.
        RedemptionKindError: a coupon is not handed over.
        RedemptionStateError: not paid yet, handed over already, or cancelled.
        VoucherExpiredError: the voucher's time is over.
    """
    row = locked(session, redemption_id, now=now)
    if row.kind == Kind.COUPON:
        raise RedemptionKindError
    if row.state == RedemptionState.PLACED and row.voucher_until is not None and row.voucher_until <= now:
        raise VoucherExpiredError
    move(session, row, "hand_over", actor=actor, now=now, changes={"fulfilled_at": now}, detail=store, reason=reason)
    tell(session, events.HANDED_OVER, row, now=now)
    return queries.find(session, row.id)


def issue_coupon(session: Session, redemption_id: UUID, *, actor: Actor, now: datetime) -> RedemptionView:
    """Issue the coupon of a paid redemption that could not be had when the payment came.

    Raises:
        RedemptionNotFoundError: there is none.
        RedemptionKindError: it is not for a coupon.
        RedemptionStateError: not paid yet, issued already, or cancelled.
        DomainError: the coupon still cannot be had, with the reason.
    """
    row = locked(session, redemption_id, now=now)
    if row.kind != Kind.COUPON:
        raise RedemptionKindError
    if row.state != RedemptionState.PLACED:
        raise RedemptionStateError(state=row.state)
    give_coupon(session, row, terms_of(session, row), actor=actor, now=now)
    return queries.find(session, row.id)


def reveal_receiver(session: Session, redemption_id: UUID, *, reason: str, actor: Actor, now: datetime) -> Receiver:
    """Return the receiver in the clear and write down who looked and why.

    Raises:
        ReasonMissingError: no reason.
        RedemptionNotFoundError: no such redemption, or it has no receiver.
    """
    if not reason.strip():
        raise ReasonMissingError(fields={"reason": ReasonMissingError.message})
    row = session.get(RewardRedemption, redemption_id, populate_existing=True)
    receiver = queries.receiver_of(session, row) if row is not None else None
    if receiver is None:
        raise RedemptionNotFoundError
    audit.record(
        session, actor=actor, action="redemption.reveal", subject_type="redemption", subject_id=redemption_id, reason=reason, now=now
    )
    return receiver
