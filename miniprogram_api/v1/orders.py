"""A member's orders: three plain stages, the detail beneath, parcels, and the receipt."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from apiflask import APIBlueprint
from flask import Response
from flask_babel import gettext
from pydantic import Field

from miniprogram_api.auth import member_required
from miniprogram_api.context import actor, core, member_id, now
from miniprogram_api.idempotent import json_response, run_command
from miniprogram_api.schemas import Output, PageOut, PageQuery
from miniprogram_api.v1.coupons import language
from server.flows import order_events as flow
from server.flows import order_points
from server.kernel.pagination import PageRequest
from server.orders import queries
from server.orders.errors import OrderNotFoundError

bp = APIBlueprint("v1_orders", __name__, url_prefix="/api/v1/orders", tag="Orders")

Stage = Literal["pending", "processing", "done"]


class OrdersQuery(PageQuery):
    """A page of one stage, or of all."""

    stage: Stage | None = None


class OrderOut(Output):
    """An order in the list."""

    order_no: str
    channel: str
    state: str
    stage: Stage
    placed_at: datetime
    payable_fen: int
    refunded_fen: int
    lines: int = Field(description="how many lines it has")
    first_line: str


class OrderPage(PageOut[OrderOut]):
    """A page of orders, newest first."""


class OrderLineOut(Output):
    """One line."""

    line_no: int
    sku: str
    name: str
    category: str | None
    quantity: int
    unit_price_fen: int | None
    discount_fen: int
    amount_fen: int
    refunded_fen: int
    points: int
    why: list[str] = Field(description="why it earned its points, or none, in words")


class ReceiverOut(Output):
    """Who gets the parcel, masked."""

    name: str
    phone: str
    address: str


class TrackingEventOut(Output):
    """One line of a parcel's timeline."""

    occurred_at: datetime
    state: str | None
    description: str


class ParcelOut(Output):
    """A parcel, its newest event first."""

    carrier: str
    tracking_no: str
    state: str
    shipped_at: datetime
    promised_at: datetime | None
    delivered_at: datetime | None
    events: list[TrackingEventOut]


class OrderDetailOut(Output):
    """An order with everything the member may see."""

    order_no: str
    channel: str
    external_no: str
    state: str
    stage: Stage
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
    placed_at: datetime
    paid_at: datetime | None
    shipped_at: datetime | None
    delivered_at: datetime | None
    completed_at: datetime | None
    cancelled_at: datetime | None
    receiver: ReceiverOut | None
    lines: list[OrderLineOut]
    parcels: list[ParcelOut]


class TrackingOut(Output):
    """Where the goods are: over all parcels together, and each by itself."""

    order_no: str
    state: str
    promised_at: datetime | None
    events: list[TrackingEventOut]
    parcels: list[ParcelOut]


class ReceiptOut(Output):
    """The order after the receipt."""

    order_no: str
    state: str


@bp.get("")
@member_required
@bp.input(OrdersQuery, location="query", arg_name="query")
@bp.output(OrderPage)
def orders(query: OrdersQuery) -> Response:
    """Return the member's orders, newest first."""
    with core().db.reading() as session:
        page = queries.of_member(session, member_id(), query.stage, PageRequest.of(query.limit, query.cursor))
    return json_response(OrderPage(items=[OrderOut.model_validate(item) for item in page.items], next_cursor=page.next_cursor))


def _found(order_no: str) -> queries.OrderDetail:
    with core().db.reading() as session:
        found = queries.by_no(session, order_no, member_id())
    if found is None:
        raise OrderNotFoundError
    return found


def _parcels(found: queries.OrderDetail) -> list[ParcelOut]:
    return [
        ParcelOut(
            carrier=parcel.carrier,
            tracking_no=parcel.tracking_no,
            state=parcel.state,
            shipped_at=parcel.shipped_at,
            promised_at=parcel.promised_at,
            delivered_at=parcel.delivered_at,
            events=[TrackingEventOut.model_validate(event) for event in parcel.events],
        )
        for parcel in found.shipments
    ]


@bp.get("/<order_no>")
@member_required
@bp.output(OrderDetailOut)
def order(order_no: str) -> Response:
    """Return one order."""
    with core().db.reading() as session:
        found = queries.by_no(session, order_no, member_id())
        if found is None:
            raise OrderNotFoundError
        why = order_points.why_lines(session, found, language(), gettext)
    fields = {name: getattr(found, name) for name in OrderDetailOut.model_fields if name not in {"lines", "parcels", "receiver"}}
    return json_response(
        OrderDetailOut(
            **fields,
            receiver=ReceiverOut.model_validate(found.receiver) if found.receiver else None,
            lines=[OrderLineOut(**asdict(line), why=why[line.line_no]) for line in found.lines],
            parcels=_parcels(found),
        )
    )


@bp.get("/<order_no>/tracking")
@member_required
@bp.output(TrackingOut)
def tracking(order_no: str) -> Response:
    """Return where the goods are, newest event first."""
    found = _found(order_no)
    parcels = _parcels(found)
    events = sorted((event for parcel in parcels for event in parcel.events), key=lambda event: event.occurred_at, reverse=True)
    on_the_way = [parcel for parcel in parcels if parcel.delivered_at is None]
    states = [parcel.state for parcel in (on_the_way or parcels)]
    promised = [parcel.promised_at for parcel in on_the_way if parcel.promised_at is not None]
    return json_response(
        TrackingOut(
            order_no=found.order_no,
            state=states[0] if states else "waiting",
            promised_at=max(promised) if promised else (None if parcels else found.promised_at),
            events=events,
            parcels=parcels,
        )
    )


@bp.post("/<order_no>/receipt")
@member_required
@bp.output(ReceiptOut)
def receipt(order_no: str) -> Response:
    """Confirm that the goods arrived; confirming again changes nothing."""

    def work(session: Any) -> tuple[int, ReceiptOut]:
        done = flow.confirm_receipt(session, order_no, member_id(), actor=actor(), now=now())
        return 200, ReceiptOut(order_no=done.order_no, state=done.state)

    return run_command(work)
