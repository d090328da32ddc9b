"""Tables of orders. Receiver columns are sealed; beside them lie the blind indexes staff find them by."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.append_only import append_only
from server.kernel.db import Base, register_constraint, register_version, table_args
from server.orders.errors import ReceiptCreditedError


class Order(Base):
    """A sale. State and instants are what its events and parcels say; ``version`` grows with every change.

    ``captured_at`` is when an offline till took it down, ``attached_at`` when it was given to a member after it was taken in.
    """

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_no: Mapped[str] = mapped_column(sa.String(32), unique=True)
    channel: Mapped[str] = mapped_column(sa.String(32))
    external_no: Mapped[str] = mapped_column(sa.String(80))
    fingerprint: Mapped[str] = mapped_column(sa.String(80))
    member_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("members.id"))
    state: Mapped[str] = mapped_column(sa.String(16))
    version: Mapped[int] = mapped_column(default=0)
    immediate: Mapped[bool]
    store_code: Mapped[str | None] = mapped_column(sa.String(64))
    goods_fen: Mapped[int]
    discount_fen: Mapped[int]
    shipping_fen: Mapped[int]
    points_paid_fen: Mapped[int]
    payable_fen: Mapped[int]
    refunded_fen: Mapped[int] = mapped_column(default=0)
    points_redeemed: Mapped[int]
    points_worked_out: Mapped[bool] = mapped_column(default=False)
    points_entry_id: Mapped[UUID | None]
    points_earned: Mapped[int] = mapped_column(default=0)
    points_taken_back: Mapped[int] = mapped_column(default=0)
    points_trace: Mapped[dict[str, Any] | None]
    receiver_name: Mapped[str | None] = mapped_column(sa.String(500))
    receiver_phone: Mapped[str | None] = mapped_column(sa.String(255))
    receiver_address: Mapped[str | None] = mapped_column(sa.Text)
    receiver_name_index: Mapped[str | None] = mapped_column(sa.String(80), index=True)
    receiver_phone_index: Mapped[str | None] = mapped_column(sa.String(80), index=True)
    promised_at: Mapped[datetime | None]
    placed_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]
    shipped_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    captured_at: Mapped[datetime | None]
    attached_at: Mapped[datetime | None]
    taken_in_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("channel", "external_no"),
        sa.CheckConstraint("state IN ('placed','paid','shipped','delivered','completed','cancelled','refunded')", name="state_known"),
        sa.CheckConstraint(
            "goods_fen >= 0 AND discount_fen >= 0 AND shipping_fen >= 0 AND points_paid_fen >= 0 "
            "AND payable_fen >= 0 AND refunded_fen >= 0",
            name="money_positive",
        ),
        sa.CheckConstraint("points_taken_back >= 0 AND points_taken_back <= points_earned", name="points_within_earned"),
        sa.Index("ix_orders_member", "member_id", "placed_at", "id"),
        sa.Index("ix_orders_state", "state", "placed_at", "id"),
        sa.Index("ix_orders_placed", "placed_at", "id"),
        sa.Index("ix_orders_delivered", "state", "delivered_at"),
        sa.Index("ix_orders_paid", "paid_at", "member_id"),
    )


class OrderLine(Base):
    """One line of a sale. ``paid_fen`` is the cash part of ``amount_fen``: what points rest on and refunds count by."""

    __tablename__ = "order_lines"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(sa.ForeignKey("orders.id"))
    line_no: Mapped[int]
    sku: Mapped[str] = mapped_column(sa.String(64), index=True)
    name: Mapped[str] = mapped_column(sa.String(191))
    category: Mapped[str | None] = mapped_column(sa.String(120))
    quantity: Mapped[int]
    unit_price_fen: Mapped[int | None]
    discount_fen: Mapped[int]
    amount_fen: Mapped[int]
    paid_fen: Mapped[int]
    points: Mapped[int] = mapped_column(default=0)
    refunded_fen: Mapped[int] = mapped_column(default=0)

    __table_args__ = table_args(
        sa.UniqueConstraint("order_id", "line_no"),
        sa.CheckConstraint("quantity >= 0 AND amount_fen >= 0 AND discount_fen >= 0 AND points >= 0", name="amounts_positive"),
        sa.CheckConstraint("paid_fen >= 0 AND paid_fen <= amount_fen", name="paid_within_amount"),
        sa.CheckConstraint("refunded_fen >= 0 AND refunded_fen <= paid_fen", name="refunded_within_paid"),
    )


class OrderEventRow(Base):
    """Something that was reported about an order, by the sender's own id."""

    __tablename__ = "order_events"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(sa.ForeignKey("orders.id"))
    event_id: Mapped[str] = mapped_column(sa.String(100))
    kind: Mapped[str] = mapped_column(sa.String(16))
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime]
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    detail: Mapped[dict[str, Any]]
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_ref: Mapped[str] = mapped_column(sa.String(64))

    __table_args__ = table_args(
        sa.UniqueConstraint("order_id", "event_id"),
        sa.CheckConstraint(
            "kind IN ('placed','paid','shipped','delivered','cancelled','refunded','received','completed')", name="kind_known"
        ),
        sa.Index("ix_order_events_timeline", "order_id", "occurred_at", "id"),
    )


append_only(OrderEventRow)


class OrderPendingEvent(Base):
    """An event that came before its order; it leaves this table when the order takes it over, or never comes."""

    __tablename__ = "order_pending_events"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(sa.String(32))
    external_no: Mapped[str] = mapped_column(sa.String(80))
    event_id: Mapped[str] = mapped_column(sa.String(100))
    kind: Mapped[str] = mapped_column(sa.String(16))
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    content: Mapped[dict[str, Any]]
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_ref: Mapped[str] = mapped_column(sa.String(64))
    received_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("channel", "external_no", "event_id"),
        sa.Index("ix_order_pending_events_received", "received_at", "id"),
    )


class OrderRefund(Base):
    """Money that went back, by the sender's refund id; ``points_taken_back`` is None until points are settled for it."""

    __tablename__ = "order_refunds"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(sa.ForeignKey("orders.id"))
    refund_id: Mapped[str] = mapped_column(sa.String(100))
    stated_fen: Mapped[int | None]
    everything: Mapped[bool]
    occurred_at: Mapped[datetime]
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    points_taken_back: Mapped[int | None]

    __table_args__ = table_args(
        sa.UniqueConstraint("order_id", "refund_id"),
        sa.CheckConstraint("stated_fen IS NULL OR stated_fen >= 0", name="stated_positive"),
    )


class OrderRefundPart(Base):
    """What a refund pays back of one line."""

    __tablename__ = "order_refund_parts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    refund_row_id: Mapped[UUID] = mapped_column(sa.ForeignKey("order_refunds.id"), index=True)
    line_no: Mapped[int]
    quantity: Mapped[int]
    refund_fen: Mapped[int | None]

    __table_args__ = table_args(sa.CheckConstraint("quantity >= 0 AND (refund_fen IS NULL OR refund_fen >= 0)", name="amounts_positive"))


append_only(OrderRefundPart)


class OrderCoupon(Base):
    """A coupon the sale names, and what became of it: redeemed with the order, refused, or returned."""

    __tablename__ = "order_coupons"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(sa.ForeignKey("orders.id"))
    coupon_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(sa.String(16))

    __table_args__ = table_args(
        sa.UniqueConstraint("order_id", "coupon_id"),
        sa.CheckConstraint("state IN ('named','redeemed','refused','returned')", name="state_known"),
    )


class OrderException(Base):
    """Something about an order that a person should look at."""

    __tablename__ = "order_exceptions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(sa.ForeignKey("orders.id"))
    rule: Mapped[str] = mapped_column(sa.String(40))
    key: Mapped[str] = mapped_column(sa.String(100), default="")
    state: Mapped[str] = mapped_column(sa.String(16))
    detail: Mapped[dict[str, Any]]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None] = mapped_column(sa.String(120))
    reason: Mapped[str | None] = mapped_column(sa.String(500))

    __table_args__ = table_args(
        sa.UniqueConstraint("order_id", "rule", "key"),
        sa.CheckConstraint("state IN ('open','closed')", name="state_known"),
        sa.CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_has_instant"),
        sa.Index("ix_order_exceptions_open", "state", "opened_at", "id"),
    )


class Shipment(Base):
    """A parcel of an order; ``carrier`` is empty when the sender did not tell it."""

    __tablename__ = "shipments"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(sa.ForeignKey("orders.id"))
    carrier: Mapped[str] = mapped_column(sa.String(40))
    tracking_no: Mapped[str] = mapped_column(sa.String(64))
    shipped_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(sa.String(16), default="waiting")
    promised_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("order_id", "carrier", "tracking_no"),
        sa.Index("ix_shipments_tracking_no", "tracking_no"),
    )


class TrackingEvent(Base):
    """One line of a parcel's timeline as a carrier reported it; it may come before the parcel is known."""

    __tablename__ = "tracking_events"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    carrier: Mapped[str] = mapped_column(sa.String(40))
    tracking_no: Mapped[str] = mapped_column(sa.String(64))
    digest: Mapped[str] = mapped_column(sa.String(64))
    occurred_at: Mapped[datetime]
    state: Mapped[str | None] = mapped_column(sa.String(16))
    description: Mapped[str] = mapped_column(sa.String(500))
    received_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("carrier", "tracking_no", "digest"),
        sa.Index("ix_tracking_events_timeline", "tracking_no", "occurred_at"),
    )


class OrderPolicy(Base):
    """One version of what is declared about late news of sales; the highest version holds."""

    __tablename__ = "order_policies"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    offline_days: Mapped[int]
    claim_days: Mapped[int]
    claim_tries: Mapped[int]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(80))

    __table_args__ = table_args(sa.CheckConstraint("offline_days >= 1 AND claim_days >= 1 AND claim_tries >= 1", name="bounds_positive"))


append_only(OrderPolicy)


class ReceiptClaim(Base):
    """A member's, or for a member the staff's, claim of a receipt, and what became of it.

    ``granted_slot`` is the order on a claim that was granted, so that each order is given away once.
    """

    __tablename__ = "receipt_claims"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    outcome: Mapped[str] = mapped_column(sa.String(20))
    order_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("orders.id"), index=True)
    granted_slot: Mapped[UUID | None] = mapped_column(unique=True)
    channel: Mapped[str | None] = mapped_column(sa.String(32))
    store_code: Mapped[str | None] = mapped_column(sa.String(64))
    external_no: Mapped[str] = mapped_column(sa.String(80))
    amount_fen: Mapped[int]
    placed_on: Mapped[date] = mapped_column(sa.Date)
    points: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str | None] = mapped_column(sa.String(500))
    business_day: Mapped[date] = mapped_column(sa.Date)
    claimed_at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_ref: Mapped[str] = mapped_column(sa.String(80))

    __table_args__ = table_args(
        sa.CheckConstraint("outcome IN ('granted','not_found','ambiguous','already_credited','refunded','too_old')", name="outcome_known"),
        sa.CheckConstraint("(outcome = 'granted') = (granted_slot IS NOT NULL)", name="granted_has_slot"),
        sa.CheckConstraint("granted_slot IS NULL OR granted_slot = order_id", name="slot_is_order"),
        sa.Index("ix_receipt_claims_tries", "member_id", "business_day", "outcome"),
        sa.Index("ix_receipt_claims_newest", "claimed_at", "id"),
    )


register_constraint("uq_receipt_claims_granted_slot", ReceiptCreditedError)
register_version("order_policies")
