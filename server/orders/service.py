"""The verbs of orders. Callers own the transaction; points and coupons of an order are the flows' (``flows/intake``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.actors import SystemActor
from server.kernel.db import update_where
from server.orders import claims, queries, rules
from server.orders.drafts import OrderEvent
from server.orders.errors import (
    ExceptionClosedError,
    ExceptionNotFoundError,
    OrderNotFoundError,
    ReasonMissingError,
    ReceiptNotPossibleError,
)
from server.orders.history import OWN_PREFIX, Recorded, apply_tracking, locked, note_findings, reassess, record_event, write_event
from server.orders.intake import Taken, take_in
from server.orders.models import Order, OrderCoupon, OrderException, OrderLine, OrderRefund

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

__all__ = [
    "Recorded",
    "Taken",
    "apply_tracking",
    "close_exception",
    "complete_due",
    "confirm_receipt",
    "forget_member",
    "hold",
    "hold_named",
    "merge_members",
    "note_coupon",
    "note_findings",
    "note_points_earned",
    "note_points_taken_back",
    "note_refund_settled",
    "record_event",
    "reveal_receiver",
    "take_in",
]


def hold(session: Session, order_id: UUID) -> None:
    """Lock an order's row until the transaction ends; whoever settles its points holds it.

    Raises:
        OrderNotFoundError: there is none.
    """
    locked(session, Order.id == order_id)


def hold_named(session: Session, channel: str, external_no: str) -> UUID:
    """Lock an order's row by the channel's own number and return its key.

    Raises:
        OrderNotFoundError: there is none.
    """
    return locked(session, Order.channel == channel, Order.external_no == external_no).id


def confirm_receipt(session: Session, order_no: str, member_id: UUID, *, actor: Actor, now: datetime) -> Recorded:
    """Let a member confirm that the goods arrived; confirming again changes nothing.

    Arguments:
        session: of the edge's transaction.
        order_no: which order.
        member_id: whose it must be.
        actor: the member.
        now: present instant.

    Raises:
        OrderNotFoundError: no such order of this member.
        ReceiptNotPossibleError: it has not been shipped, or was called off.
    """
    order = locked(session, Order.order_no == order_no, Order.member_id == member_id)
    if order.state == rules.COMPLETED:
        return Recorded(order.id, order.order_no, order.state, queries.open_rules(session, order.id), created=False)
    if order.state not in {rules.SHIPPED, rules.DELIVERED}:
        raise ReceiptNotPossibleError(state=order.state)
    # What the buyer holds in hand has been delivered, whatever the carrier says.
    write_event(session, order, OrderEvent(f"{OWN_PREFIX}arrived", "delivered", now), actor=actor, now=now)
    created = write_event(session, order, OrderEvent(f"{OWN_PREFIX}received", "received", now), actor=actor, now=now)
    reassess(session, order, now)
    return Recorded(order.id, order.order_no, order.state, queries.open_rules(session, order.id), created)


def complete_due(session: Session, now: datetime, limit: int = 200) -> list[UUID]:
    """Complete orders whose delivery lies long enough back (``rules.COMPLETE_AFTER_DELIVERY``).

    Arguments:
        session: of the job's transaction.
        now: present instant.
        limit: at most so many at once.

    Returns:
        The orders completed.
    """
    due = session.scalars(
        sa.select(Order.id)
        .where(Order.state == rules.DELIVERED, Order.delivered_at <= now - rules.COMPLETE_AFTER_DELIVERY)
        .order_by(Order.delivered_at, Order.id)
        .limit(limit)
    ).all()
    done = []
    for order_id in sorted(due):
        order = locked(session, Order.id == order_id)
        if order.state != rules.DELIVERED:
            continue
        event = OrderEvent(f"{OWN_PREFIX}completed", "completed", now)
        if write_event(session, order, event, actor=SystemActor("orders.complete_due"), now=now):
            reassess(session, order, now)
            done.append(order_id)
    return done


def note_points_earned(
    session: Session, order_id: UUID, entry_id: UUID | None, points: int, by_line: Mapping[int, int], trace: dict[str, Any] | None = None
) -> None:
    """Write down what an order earned, on the order and its lines.

    Arguments:
        session: of the flow's transaction, which holds the order.
        order_id: which order.
        entry_id: the accrual, or None when nothing was earned.
        points: whole points.
        by_line: line number → points.
        trace: why nothing was earned; an accrual keeps its own.
    """
    session.execute(
        sa.update(Order)
        .where(Order.id == order_id)
        .values(points_worked_out=True, points_entry_id=entry_id, points_earned=points, points_trace=trace)
        .execution_options(synchronize_session=False)
    )
    for line_no, count in by_line.items():
        if count:
            session.execute(
                sa.update(OrderLine)
                .where(OrderLine.order_id == order_id, OrderLine.line_no == line_no)
                .values(points=count)
                .execution_options(synchronize_session=False)
            )


def note_points_taken_back(session: Session, order_id: UUID, points: int) -> None:
    """Add to the points that were taken back from an order."""
    session.execute(
        sa.update(Order)
        .where(Order.id == order_id)
        .values(points_taken_back=Order.points_taken_back + points)
        .execution_options(synchronize_session=False)
    )


def note_refund_settled(session: Session, refund_row_id: UUID, points: int) -> None:
    """Write down what a refund took back, so that it is settled once."""
    session.execute(
        sa.update(OrderRefund)
        .where(OrderRefund.id == refund_row_id)
        .values(points_taken_back=points)
        .execution_options(synchronize_session=False)
    )


def note_coupon(session: Session, order_id: UUID, coupon_id: UUID, state: str) -> None:
    """Write down what became of a coupon the order names: ``redeemed``, ``refused`` or ``returned``."""
    session.execute(
        sa.update(OrderCoupon)
        .where(OrderCoupon.order_id == order_id, OrderCoupon.coupon_id == coupon_id)
        .values(state=state)
        .execution_options(synchronize_session=False)
    )


def close_exception(session: Session, exception_id: UUID, *, reason: str, actor: Actor, now: datetime) -> UUID:
    """Close an exception by hand.

    Arguments:
        session: of the edge's transaction.
        exception_id: which one.
        reason: what was found, in the staff's own words.
        actor: who closes it.
        now: present instant.

    Returns:
        The order's key.

    Raises:
        ReasonMissingError: no reason.
        ExceptionNotFoundError: there is none.
        ExceptionClosedError: it is closed already.
    """
    if not reason.strip():
        raise ReasonMissingError(fields={"reason": ReasonMissingError.message})
    order_id = session.scalar(sa.select(OrderException.order_id).where(OrderException.id == exception_id))
    if order_id is None:
        raise ExceptionNotFoundError
    locked(session, Order.id == order_id)
    row = session.scalars(
        sa.select(OrderException).where(OrderException.id == exception_id).with_for_update().execution_options(populate_existing=True)
    ).one()
    if row.state == "closed":
        raise ExceptionClosedError
    row.state, row.closed_at, row.reason = "closed", now, reason.strip()[:500]
    row.closed_by = str(getattr(actor, "name", "") or actor.ref)[:120]
    session.flush()
    audit.record(
        session,
        actor=actor,
        action="order_exception.close",
        subject_type="order",
        subject_id=order_id,
        before={"rule": row.rule, "state": "open"},
        after={"rule": row.rule, "state": "closed"},
        reason=reason,
        now=now,
    )
    return order_id


def reveal_receiver(session: Session, order_id: UUID, *, reason: str, actor: Actor, now: datetime) -> queries.ReceiverView:
    """Return the receiver in the clear and write down who looked and why.

    Raises:
        ReasonMissingError: no reason.
        OrderNotFoundError: no such order, or it has no receiver.
    """
    if not reason.strip():
        raise ReasonMissingError(fields={"reason": ReasonMissingError.message})
    receiver = queries.receiver_of(session, order_id)
    if receiver is None:
        raise OrderNotFoundError
    audit.record(session, actor=actor, action="order.reveal", subject_type="order", subject_id=order_id, reason=reason, now=now)
    return receiver


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> dict[str, int]:
    """Give one member's orders to another.

    Returns:
        What moved, as the merge report shows it.
    """
    orders = sa.update(Order).where(Order.member_id == from_id).values(member_id=into_id, updated_at=now)
    moved = session.execute(orders.execution_options(synchronize_session=False))
    carried = {"orders": int(getattr(moved, "rowcount", 0))}
    claimed = claims.merge_members(session, from_id, into_id)
    return {**carried, "receipt_claims": claimed} if claimed else carried


def forget_member(session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> int:  # noqa: ARG001 - the agreed signature
    """Blank the receivers of a leaving member's orders; the orders stay for the books. Return how many had one."""
    claims.forget_member(session, member_id)
    blank = dict.fromkeys(("receiver_name", "receiver_phone", "receiver_address", "receiver_name_index", "receiver_phone_index"))
    named = sa.or_(Order.receiver_name.is_not(None), Order.receiver_phone.is_not(None), Order.receiver_address.is_not(None))
    return update_where(session, sa.update(Order).where(Order.member_id == member_id, named).values(**blank, updated_at=now))
