"""What reading orders gives: frozen values that never change with the tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from server.orders import rules


@dataclass(frozen=True, slots=True)
class LineView:
    """One line of an order."""

    line_no: int
    sku: str
    name: str
    category: str | None
    quantity: int
    unit_price_fen: int | None
    discount_fen: int
    amount_fen: int
    paid_fen: int
    points: int
    refunded_fen: int


@dataclass(frozen=True, slots=True)
class OrderSummary:
    """An order in a list."""

    id: UUID
    order_no: str
    channel: str
    external_no: str
    member_id: UUID | None
    state: str
    stage: str
    placed_at: datetime
    payable_fen: int
    refunded_fen: int
    lines: int
    first_line: str
    exceptions_open: int


@dataclass(frozen=True, slots=True)
class TrackingEventView:
    """One line of a parcel's timeline."""

    occurred_at: datetime
    state: str | None
    description: str


@dataclass(frozen=True, slots=True)
class ShipmentView:
    """A parcel with its timeline, newest first."""

    id: UUID
    carrier: str
    tracking_no: str
    state: str
    shipped_at: datetime
    promised_at: datetime | None
    delivered_at: datetime | None
    events: tuple[TrackingEventView, ...]


@dataclass(frozen=True, slots=True)
class EventView:
    """Something that was reported about an order."""

    event_id: str
    kind: str
    occurred_at: datetime
    received_at: datetime
    actor: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ExceptionView:
    """Something that is, or was, wrong with an order."""

    id: UUID
    order_id: UUID
    order_no: str
    rule: str
    key: str
    state: str
    detail: dict[str, Any]
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ReceiverView:
    """Who gets the parcel, as it may be shown."""

    name: str
    phone: str
    address: str


@dataclass(frozen=True, slots=True)
class OrderDetail:
    """An order with everything beneath it; the receiver only masked."""

    id: UUID
    order_no: str
    channel: str
    external_no: str
    member_id: UUID | None
    state: str
    stage: str
    store: str | None
    goods_fen: int
    discount_fen: int
    shipping_fen: int
    points_paid_fen: int
    payable_fen: int
    refunded_fen: int
    points_redeemed: int
    points_earned: int
    points_taken_back: int
    points_worked_out: bool
    points_entry_id: UUID | None
    points_trace: dict[str, Any] | None
    promised_at: datetime | None
    placed_at: datetime
    paid_at: datetime | None
    shipped_at: datetime | None
    delivered_at: datetime | None
    completed_at: datetime | None
    cancelled_at: datetime | None
    captured_at: datetime | None
    attached_at: datetime | None
    receiver: ReceiverView | None
    lines: tuple[LineView, ...]
    shipments: tuple[ShipmentView, ...]
    events: tuple[EventView, ...]
    exceptions: tuple[ExceptionView, ...]


@dataclass(frozen=True, slots=True)
class RefundView:
    """A refund as far as points care; ``taken_back`` is None until points are settled for it."""

    id: UUID
    refund_id: str
    plain: rules.Refund
    taken_back: int | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What the flows need to settle an order's points and coupons."""

    id: UUID
    channel: str
    external_no: str
    order_no: str
    member_id: UUID | None
    immediate: bool
    store: str | None
    payable_fen: int
    facts: rules.Facts
    placed_at: datetime
    captured_at: datetime | None
    attached_at: datetime | None
    points_redeemed: int
    points_worked_out: bool
    points_entry_id: UUID | None
    points_earned: int
    points_taken_back: int
    exceptions_open: bool
    lines: tuple[LineView, ...]
    refunds: tuple[RefundView, ...]
    coupons: tuple[tuple[UUID, str], ...]
