"""What happens to orders besides a partner's events: carriers' news, receipts, completion by time, exceptions closed by people."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from server.flows.intake import settle
from server.kernel.actors import SystemActor
from server.orders import service as orders_service

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor
    from server.logistics.gateway import TrackingUpdate

_CARRIER = SystemActor("orders.tracking")
_COMPLETION = SystemActor("orders.complete_due")


def apply_tracking(session: Session, update: TrackingUpdate, *, now: datetime) -> list[UUID]:
    """Add a carrier's report to its parcel and settle the orders it is about.

    Returns:
        The orders concerned; none while the parcel is unknown.
    """
    order_ids = orders_service.apply_tracking(session, update.carrier, update.tracking_no, update.events, now=now)
    for order_id in order_ids:
        settle(session, order_id, actor=_CARRIER, now=now)
    return order_ids


def confirm_receipt(session: Session, order_no: str, member_id: UUID, *, actor: Actor, now: datetime) -> orders_service.Recorded:
    """Let a member confirm that the goods arrived, and settle what follows.

    Raises:
        OrderNotFoundError: no such order of this member.
        ReceiptNotPossibleError: it has not been shipped, or was called off.
    """
    recorded = orders_service.confirm_receipt(session, order_no, member_id, actor=actor, now=now)
    if recorded.created:
        settle(session, recorded.order_id, actor=actor, now=now)
    return recorded


def complete_due(session: Session, now: datetime, limit: int = 200) -> int:
    """Complete orders delivered long enough ago, and settle them.

    Returns:
        How many.
    """
    done = orders_service.complete_due(session, now, limit)
    for order_id in done:
        settle(session, order_id, actor=_COMPLETION, now=now)
    return len(done)


def close_exception(session: Session, exception_id: UUID, *, reason: str, actor: Actor, now: datetime) -> UUID:
    """Close an exception by hand; an order without open ones may unlock its points by time again.

    Returns:
        The order's key.

    Raises:
        ReasonMissingError: no reason.
        ExceptionNotFoundError: there is none.
        ExceptionClosedError: it is closed already.
    """
    order_id = orders_service.close_exception(session, exception_id, reason=reason, actor=actor, now=now)
    settle(session, order_id, actor=actor, now=now)
    return order_id
