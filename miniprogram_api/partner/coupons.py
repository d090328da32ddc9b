"""Coupons at tills and shops: quote, lock for an order being paid, redeem, return after a refund."""

from __future__ import annotations

from typing import Annotated, Self
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field, model_validator
from sqlalchemy.orm import Session

from miniprogram_api.context import actor, core, now
from miniprogram_api.idempotent import json_response, run_command
from miniprogram_api.partner_auth import partner_required
from miniprogram_api.schemas import Fen, Input
from miniprogram_api.v1.coupons import CouponOut, LineIn, QuoteIn, QuoteOut, points_payment, promise_for, shape, shape_quote
from server.coupons import queries, service
from server.coupons.rules.fingerprint import MAX_CHARS
from server.members import queries as members
from server.orders import queries as orders

bp = APIBlueprint("partner_coupons", __name__, url_prefix="/partner/v1/coupons", tag="Partner: coupons")

_Code = Annotated[str, Field(min_length=1, max_length=64)]
_Lines = Annotated[list[LineIn], Field(min_length=1, max_length=200)]


class PartnerQuoteIn(QuoteIn):
    """A member's cart at a till or in a shop."""

    member_id: UUID
    channel: _Code


class _OrderIn(Input):
    channel: _Code
    external_no: _Code
    store: str | None = Field(default=None, max_length=64)
    shipping_fen: Fen = 0
    lines: _Lines | None = None
    quote_id: str | None = Field(default=None, min_length=1, max_length=MAX_CHARS, description="of a quote for just these lines")

    @model_validator(mode="after")
    def _a_quote_has_its_lines(self) -> Self:
        if self.quote_id is not None and self.lines is None:
            message = "a quote needs the lines it was made for"
            raise ValueError(message)
        return self

    def quoted(self, session: Session, coupon_id: UUID) -> service.QuotedOrder | None:
        """Return the order as the quote it names has it to be, or None when it names none."""
        if self.quote_id is None or self.lines is None:
            return None
        return service.QuotedOrder(
            self.quote_id,
            tuple(line.line() for line in self.lines),
            self.channel,
            self.external_no,
            self.store,
            self.shipping_fen,
            self.would_be_first(session, coupon_id),
        )

    def would_be_first(self, session: Session, coupon_id: UUID) -> bool:
        """Tell whether the order would be the first of the coupon's member."""
        owner = queries.find(session, coupon_id).member_id
        return orders.would_be_first(session, owner, channel=self.channel, external_no=self.external_no)


class LockIn(_OrderIn):
    """The order that a coupon is kept for, and for how long; with its quote, only if it still comes to what was quoted."""

    ttl_seconds: int = Field(default=1800, ge=1, le=86_400)


class CouponRedemptionIn(_OrderIn):
    """The order that a coupon is redeemed for; with its lines, what the coupon takes off is worked out and kept.

    With its quote, the coupon takes off what it took off there, beside the others of that quote.
    """


class ReturnIn(Input):
    """The refund that gives a coupon back."""

    refund_id: str = Field(min_length=1, max_length=120)


class RedeemedOut(CouponOut):
    """A redeemed coupon, with the quote when the order's lines were given."""

    quote: QuoteOut | None = None


@bp.post("/quotes")
@partner_required("coupons:write")
@bp.input(PartnerQuoteIn, arg_name="body")
@bp.doc(summary="The best price for a member's cart")
@bp.output(QuoteOut)
def quote(body: PartnerQuoteIn) -> Response:
    """Return the best combination of a member's coupons. Changes nothing."""
    with core().db.reading() as session:
        members.require(session, body.member_id)
        found = service.quote(
            session,
            body.member_id,
            [line.line() for line in body.lines],
            now=now(),
            channel=body.channel,
            store=body.store,
            shipping_fen=body.shipping_fen,
            coupon_ids=body.coupon_ids,
            first_order=orders.would_be_first(session, body.member_id),
        )
        payment = points_payment(session, body.member_id, found, body.points)
    return json_response(shape_quote(found, payment, promise_for(body, body.member_id, found)))


@bp.post("/<uuid:coupon_id>/locks")
@partner_required("coupons:write")
@bp.input(LockIn, arg_name="body")
@bp.doc(summary="Keep a coupon for an order")
@bp.output(CouponOut, status_code=201)
def lock(coupon_id: UUID, body: LockIn) -> Response:
    """Lock a coupon: 409 ``coupon_not_available`` with the state when it cannot be had, ``quote_changed`` with what differs."""

    def work(session: Session) -> tuple[int, CouponOut]:
        order = body.quoted(session, coupon_id)
        if order is not None:
            kept = service.lock_as_quoted(
                session, coupon_id, order, secret_key=core().settings.secret_key, ttl_seconds=body.ttl_seconds, actor=actor(), now=now()
            )
            return 201, shape(kept)
        view = service.lock(
            session,
            coupon_id,
            channel=body.channel,
            external_no=body.external_no,
            ttl_seconds=body.ttl_seconds,
            actor=actor(),
            now=now(),
        )
        return 201, shape(view)

    return run_command(work)


@bp.post("/<uuid:coupon_id>/redemptions")
@partner_required("coupons:write")
@bp.input(CouponRedemptionIn, arg_name="body")
@bp.doc(summary="Redeem a coupon for an order")
@bp.output(RedeemedOut, status_code=201)
def redeem(coupon_id: UUID, body: CouponRedemptionIn) -> Response:
    """Redeem a coupon once; the same order again finds it redeemed.

    409 ``coupon_not_available``, ``coupon_not_applicable`` or ``quote_changed``.
    """

    def work(session: Session) -> tuple[int, RedeemedOut]:
        order, found = body.quoted(session, coupon_id), None
        if order is not None:
            view, found = service.redeem_as_quoted(
                session, coupon_id, order, secret_key=core().settings.secret_key, actor=actor(), now=now()
            )
            return 201, RedeemedOut(**shape(view).model_dump(), quote=shape_quote(found))
        view, found = service.redeem_for_lines(
            session,
            coupon_id,
            None if body.lines is None else [line.line() for line in body.lines],
            channel=body.channel,
            external_no=body.external_no,
            store=body.store,
            shipping_fen=body.shipping_fen,
            actor=actor(),
            now=now(),
            first_order=body.would_be_first(session, coupon_id),
        )
        return 201, RedeemedOut(**shape(view).model_dump(), quote=None if found is None else shape_quote(found))

    return run_command(work)


@bp.post("/<uuid:coupon_id>/returns")
@partner_required("coupons:write")
@bp.input(ReturnIn, arg_name="body")
@bp.doc(summary="Return a redeemed coupon after a refund")
@bp.output(CouponOut, status_code=201)
def return_coupon(coupon_id: UUID, body: ReturnIn) -> Response:
    """Return a coupon, once for each refund: available again, or expired when its time is over."""

    def work(session: Session) -> tuple[int, CouponOut]:
        return 201, shape(service.return_(session, coupon_id, refund_id=body.refund_id, actor=actor(), now=now()))

    return run_command(work)
