"""Partners report sales and what happens to them, and how much stock they have."""

from __future__ import annotations

import hashlib
from typing import Any, Literal
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, request
from flask_babel import gettext
from pydantic import Field, model_validator
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from miniprogram_api.auth import body_hash
from miniprogram_api.context import actor, caller, core, now
from miniprogram_api.idempotent import KeyRequiredError, json_response, run_command
from miniprogram_api.openapi import documented
from miniprogram_api.partner_auth import partner_required
from miniprogram_api.schemas import AwareInstant, Fen, Input, Output
from server.catalogue import service as catalogue
from server.flows import intake as flow
from server.kernel import idempotency
from server.kernel.db import error_of_constraint
from server.kernel.errors import DomainError
from server.orders import drafts, queries
from server.orders.errors import OrderNotFoundError

bp = APIBlueprint("partner_orders", __name__, url_prefix="/partner/v1", tag="Partner: orders")

_BATCH = 500


class MemberIn(Input):
    """Who bought: the first that is known counts, in this order."""

    member_id: UUID | None = None
    card_no: str | None = Field(default=None, min_length=1, max_length=32)
    openid: str | None = Field(default=None, min_length=1, max_length=64)
    external_id: str | None = Field(default=None, min_length=1, max_length=64)
    phone: str | None = Field(default=None, min_length=1, max_length=32)


class LineIn(Input):
    """One line; ``amount_fen`` is what was paid for it and is what counts."""

    line_no: int | None = Field(default=None, ge=0, le=10**9)
    sku: str = Field(min_length=1, max_length=64)
    name: str = Field(min_length=1, max_length=191)
    category: str | None = Field(default=None, min_length=1, max_length=120)
    quantity: int = Field(ge=0, le=10**9)
    unit_price_fen: Fen | None = None
    discount_fen: Fen = 0
    amount_fen: Fen
    gift: bool = Field(default=False, description="the gift of a coupon: nothing may have been paid for it")

    @model_validator(mode="after")
    def _gifts_cost_nothing(self) -> LineIn:
        if self.gift and (self.amount_fen or self.discount_fen or self.unit_price_fen):
            message = "a gift has no price, no discount and no amount"
            raise ValueError(message)
        return self


class ReceiverIn(Input):
    """Who gets the parcel."""

    name: str = Field(min_length=1, max_length=64)
    phone: str = Field(min_length=1, max_length=32)
    address: str = Field(min_length=1, max_length=500)


class OrderIn(Input):
    """A sale as the channel knows it."""

    channel: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")
    external_no: str = Field(min_length=1, max_length=80)
    member: MemberIn
    placed_at: AwareInstant
    paid_at: AwareInstant | None = None
    store: str | None = Field(default=None, min_length=1, max_length=64)
    lines: list[LineIn] = Field(min_length=1, max_length=1000)
    discount_fen: Fen = 0
    shipping_fen: Fen = 0
    points_paid_fen: Fen = 0
    payable_fen: Fen
    receiver: ReceiverIn | None = None
    coupon_ids: list[UUID] = Field(default_factory=list, max_length=20)
    points_redeemed: int = Field(default=0, ge=0, le=10**9)
    promised_at: AwareInstant | None = Field(default=None, description="until when the goods are promised to the buyer")
    captured_at: AwareInstant | None = Field(
        default=None, description="when a till that was offline took it down; then the member is named by card_no"
    )

    def draft(self) -> drafts.OrderDraft:
        """Return it as the domain wants it; lines without a number are counted from one."""
        member, receiver = self.member, self.receiver
        return drafts.OrderDraft(
            channel=self.channel,
            external_no=self.external_no,
            member=drafts.MemberRef(member.member_id, member.card_no, member.openid, member.external_id, member.phone),
            placed_at=self.placed_at,
            paid_at=self.paid_at,
            store=self.store,
            lines=tuple(
                drafts.LineDraft(
                    line_no=place if line.line_no is None else line.line_no,
                    sku=line.sku,
                    name=line.name,
                    category=line.category,
                    quantity=line.quantity,
                    unit_price_fen=line.unit_price_fen,
                    discount_fen=line.discount_fen,
                    amount_fen=line.amount_fen,
                )
                for place, line in enumerate(self.lines, start=1)
            ),
            discount_fen=self.discount_fen,
            shipping_fen=self.shipping_fen,
            points_paid_fen=self.points_paid_fen,
            payable_fen=self.payable_fen,
            receiver=drafts.ReceiverDraft(receiver.name, receiver.phone, receiver.address) if receiver else None,
            coupon_ids=tuple(self.coupon_ids),
            points_redeemed=self.points_redeemed,
            promised_at=self.promised_at,
            captured_at=self.captured_at,
        )


class BatchIn(Input):
    """Up to 500 sales; each stands for itself."""

    orders: list[dict[str, Any]] = Field(min_length=1, max_length=_BATCH)


class RefundLineIn(Input):
    """What of a line went back."""

    line_no: int = Field(ge=0, le=10**9)
    quantity: int = Field(default=0, ge=0, le=10**9)
    refund_fen: Fen | None = None


class EventIn(Input):
    """Something that happened to an order."""

    event_id: str = Field(min_length=1, max_length=100)
    kind: Literal["paid", "shipped", "delivered", "cancelled", "refunded"]
    occurred_at: AwareInstant
    carrier: str | None = Field(default=None, min_length=1, max_length=40)
    tracking_no: str | None = Field(default=None, min_length=1, max_length=64)
    lines: list[RefundLineIn] = Field(default_factory=list, max_length=1000)
    refund_id: str | None = Field(default=None, min_length=1, max_length=100)
    refund_fen: Fen | None = None
    promised_at: AwareInstant | None = Field(default=None, description="of a shipped parcel; else the order's, else the shop's policy")

    def event(self) -> drafts.OrderEvent:
        """Return it as the domain wants it."""
        return drafts.OrderEvent(
            event_id=self.event_id,
            kind=self.kind,
            occurred_at=self.occurred_at,
            carrier=self.carrier,
            tracking_no=self.tracking_no,
            refund_id=self.refund_id,
            refund_fen=self.refund_fen,
            lines=tuple(drafts.RefundLine(line.line_no, line.quantity, line.refund_fen) for line in self.lines),
            promised_at=self.promised_at,
        )


class TakenOut(Output):
    """The order that is with us."""

    order_no: str
    state: str
    exceptions: list[str]


class ReportedOut(Output):
    """The order the event is about; without a number, and ``waiting``, while the order is not with us yet."""

    order_no: str | None
    state: str
    exceptions: list[str]


class ItemOut(Output):
    """One sale of a batch: its status is what it would have got alone."""

    place: int = Field(description="in the request, from 0")
    status: int
    order_no: str | None = None
    state: str | None = None
    exceptions: list[str] = Field(default_factory=list)
    code: str | None = None
    detail: str | None = None


class BatchOut(Output):
    """All sales of a batch, in their order."""

    items: list[ItemOut]


class PartnerLineOut(Output):
    """One line as it stands."""

    line_no: int
    sku: str
    quantity: int
    amount_fen: int
    refunded_fen: int
    points: int


class PartnerOrderOut(Output):
    """An order as it stands."""

    order_no: str
    channel: str
    external_no: str
    state: str
    stage: str
    payable_fen: int
    refunded_fen: int
    points_earned: int
    points_taken_back: int
    exceptions: list[str]
    lines: list[PartnerLineOut]


class StockIn(Input):
    """How many of a SKU a warehouse has."""

    warehouse: str = Field(min_length=1, max_length=64)
    sku: str = Field(min_length=1, max_length=64)
    available: int = Field(ge=0, le=10**9)


@bp.post("/orders")
@partner_required("orders:write")
@bp.input(OrderIn, arg_name="body")
@bp.output(TakenOut, status_code=201)
@documented(also={200: "The same again: nothing new happened"})
def take_in(body: OrderIn) -> Response:
    """Take in a sale: 201; the same again 200 with the same order; its number with other content 409 ``order_conflict``."""
    draft = body.draft()

    def work(session: Any) -> tuple[int, TakenOut]:
        taken = flow.take_in_order(session, draft, actor=actor(), now=now())
        return (201 if taken.created else 200), TakenOut(order_no=taken.order_no, state=taken.state, exceptions=taken.exceptions)

    return run_command(work)


class _NewKeyError(Exception):
    """Nothing was answered under this key yet; takes the row back that looking for it wrote."""


@bp.post("/orders/batch")
@partner_required("orders:write")
@bp.input(BatchIn, arg_name="body")
@bp.output(BatchOut)
def take_in_batch(body: BatchIn) -> Response:
    """Take in up to 500 sales, each in a transaction of its own, so that none blocks another."""
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise KeyRequiredError
    # A key that was answered before, or belongs to another request, is told before anything is done.
    answered = _was_answered(key)
    items = [] if answered else [_one(place, raw) for place, raw in enumerate(body.orders)]
    return run_command(lambda _session: (200, BatchOut(items=items)))


def _was_answered(key: str) -> bool:
    route = f"{request.method} {request.url_rule}"[:120]
    request_hash = hashlib.sha256(f"{request.full_path}\n{body_hash()}".encode()).hexdigest()

    def look(session: Session) -> None:
        found = idempotency.begin(session, caller=caller(), route=route, key=key[:128], request_hash=request_hash, now=now())
        if isinstance(found, UUID):
            raise _NewKeyError

    try:
        core().db.run(look)
    except _NewKeyError:
        return False
    return True


def _one(place: int, raw: dict[str, Any]) -> ItemOut:
    try:
        draft = OrderIn.model_validate(raw).draft()
        taken = core().db.run(lambda session: flow.take_in_order(session, draft, actor=actor(), now=now()))
    except ValueError as error:
        return ItemOut(place=place, status=422, code="invalid", detail=_first_fault(error))
    except DomainError as refusal:
        return _refused(place, refusal)
    except DBAPIError as error:
        known = error_of_constraint(error)
        if isinstance(known, DomainError):
            return _refused(place, known)
        return ItemOut(
            place=place,
            status=503,
            code="unavailable",
            detail=gettext("The service is not available for the moment. Please try again later."),
        )
    return ItemOut(
        place=place, status=201 if taken.created else 200, order_no=taken.order_no, state=taken.state, exceptions=taken.exceptions
    )


def _first_fault(error: ValueError) -> str:
    """Return where the first fault is and what it is, without the value, which may be personal."""
    faults = error.errors(include_input=False, include_url=False) if hasattr(error, "errors") else []
    if not faults:
        return str(gettext("Some values are not valid."))
    return f"{'.'.join(str(part) for part in faults[0]['loc'])}: {faults[0]['msg']}"


def _refused(place: int, refusal: DomainError) -> ItemOut:
    text = gettext(refusal.message, **refusal.params) if refusal.params else gettext(refusal.message)
    if refusal.fields:
        text += " " + "; ".join(f"{field}: {why}" for field, why in refusal.fields.items())
    return ItemOut(place=place, status=refusal.status, code=refusal.code, detail=text)


@bp.post("/orders/<channel>/<external_no>/events")
@partner_required("orders:write")
@bp.input(EventIn, arg_name="body")
@bp.output(ReportedOut, status_code=201)
@documented(also={200: "The same again: nothing new happened", 202: "The order is not with us yet: the event waits for it"})
def record_event(channel: str, external_no: str, body: EventIn) -> Response:
    """Write down an event: 201; the same ``event_id`` again 200; with other content 409 ``event_conflict``.

    An event that comes before its order is kept for it: 202 with the state ``waiting``.
    """
    event = body.event()

    def work(session: Any) -> tuple[int, ReportedOut]:
        done, created = flow.report_event(session, channel, external_no, event, actor=actor(), now=now())
        if done is None:
            return 202, ReportedOut(order_no=None, state="waiting", exceptions=[])
        return (201 if created else 200), ReportedOut(order_no=done.order_no, state=done.state, exceptions=done.exceptions)

    return run_command(work)


@bp.get("/orders/<channel>/<external_no>")
@partner_required("orders:write")
@bp.output(PartnerOrderOut)
def order(channel: str, external_no: str) -> Response:
    """Return an order as it stands."""
    with core().db.reading() as session:
        found = queries.by_external(session, channel, external_no)
    if found is None:
        raise OrderNotFoundError
    fields = {name: getattr(found, name) for name in PartnerOrderOut.model_fields if name not in {"lines", "exceptions"}}
    return json_response(
        PartnerOrderOut(
            **fields,
            exceptions=[each.rule for each in found.exceptions if each.state == "open"],
            lines=[PartnerLineOut.model_validate(line) for line in found.lines],
        )
    )


@bp.put("/stock")
@partner_required("stock:write")
@bp.input(StockIn, arg_name="body")
@bp.output(StockIn)
def stock(body: StockIn) -> Response:
    """Write down how many of a SKU a warehouse has; the last word counts."""

    def work(session: Any) -> tuple[int, StockIn]:
        catalogue.set_stock(session, body.warehouse, body.sku, body.available, now=now())
        return 200, body

    return run_command(work, key_required=False)
