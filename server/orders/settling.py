"""Reads what settles an order: its lines, refunds and coupons, and what the flows need to bring its points to what the facts ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.orders import rules
from server.orders.models import Order, OrderCoupon, OrderException, OrderLine, OrderRefund, OrderRefundPart
from server.orders.views import LineView, RefundView, Settlement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


def _line(row: OrderLine) -> LineView:
    return LineView(
        row.line_no,
        row.sku,
        row.name,
        row.category,
        row.quantity,
        row.unit_price_fen,
        row.discount_fen,
        row.amount_fen,
        row.paid_fen,
        row.points,
        row.refunded_fen,
    )


def lines_of(session: Session, order_id: UUID) -> tuple[LineView, ...]:
    """Return an order's lines by number."""
    rows = session.scalars(
        sa.select(OrderLine).where(OrderLine.order_id == order_id).order_by(OrderLine.line_no).execution_options(populate_existing=True)
    )
    return tuple(_line(row) for row in rows)


def open_rules(session: Session, order_id: UUID) -> list[str]:
    """Return the codes of an order's open exceptions, in the order they were opened."""
    statement = sa.select(OrderException.rule).where(OrderException.order_id == order_id, OrderException.state == "open")
    return list(session.scalars(statement.order_by(OrderException.opened_at, OrderException.id)))


def refunds_of(session: Session, order_id: UUID) -> tuple[RefundView, ...]:
    """Return an order's refunds in their plain form, by when they happened."""
    rows = session.scalars(
        sa.select(OrderRefund)
        .where(OrderRefund.order_id == order_id)
        .order_by(OrderRefund.occurred_at, OrderRefund.refund_id)
        .execution_options(populate_existing=True)
    ).all()
    if not rows:
        return ()
    parts: dict[UUID, list[rules.RefundPart]] = {}
    for part in session.scalars(sa.select(OrderRefundPart).where(OrderRefundPart.refund_row_id.in_([row.id for row in rows]))):
        parts.setdefault(part.refund_row_id, []).append(rules.RefundPart(part.line_no, part.quantity, part.refund_fen))
    return tuple(
        RefundView(row.id, row.refund_id, rules.Refund(row.stated_fen, tuple(parts.get(row.id, ())), row.everything), row.points_taken_back)
        for row in rows
    )


def settlement(session: Session, order_id: UUID) -> Settlement:
    """Return what the flows need to settle an order; the caller holds the order's row."""
    row = session.scalars(sa.select(Order).where(Order.id == order_id).execution_options(populate_existing=True)).one()
    refunds = refunds_of(session, order_id)
    lines = lines_of(session, order_id)
    coupons = session.execute(
        sa.select(OrderCoupon.coupon_id, OrderCoupon.state).where(OrderCoupon.order_id == order_id).order_by(OrderCoupon.id)
    )
    return Settlement(
        id=row.id,
        channel=row.channel,
        external_no=row.external_no,
        order_no=row.order_no,
        member_id=row.member_id,
        immediate=row.immediate,
        store=row.store_code,
        payable_fen=row.payable_fen,
        facts=rules.Facts(
            paid_at=row.paid_at,
            shipped_at=row.shipped_at,
            delivered_at=row.delivered_at,
            completed_at=row.completed_at,
            cancelled_at=row.cancelled_at,
            refunded_whole=rules.refunded([refund.plain for refund in refunds], money_of(lines), row.payable_fen).whole,
        ),
        placed_at=row.placed_at,
        captured_at=row.captured_at,
        attached_at=row.attached_at,
        points_redeemed=row.points_redeemed,
        points_worked_out=row.points_worked_out,
        points_entry_id=row.points_entry_id,
        points_earned=row.points_earned,
        points_taken_back=row.points_taken_back,
        exceptions_open=bool(open_rules(session, order_id)),
        lines=lines,
        refunds=refunds,
        coupons=tuple((coupon_id, state) for coupon_id, state in coupons),
    )


def money_of(lines: Sequence[LineView]) -> list[rules.LineMoney]:
    """Return lines as far as refunds care."""
    return [rules.LineMoney(line.line_no, line.quantity, line.paid_fen) for line in lines]
