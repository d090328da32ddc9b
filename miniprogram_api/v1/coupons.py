"""The member's wallet, and what a cart costs with it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from flask_babel import get_locale, gettext
from pydantic import Field

from miniprogram_api.auth import member_required
from miniprogram_api.context import core, member_id, now
from miniprogram_api.idempotent import json_response
from miniprogram_api.schemas import Fen, Input, Output, PageOut, PageQuery
from server.coupons import queries, service
from server.coupons.queries import CouponView
from server.coupons.reasons import REASONS
from server.coupons.rules.quote import CartLine, Quote, pay_with_points
from server.coupons.rules.sentence import Language, offer, sentence
from server.coupons.rules.terms import Kind
from server.kernel.pagination import PageRequest
from server.points import queries as points

bp = APIBlueprint("v1_coupons", __name__, url_prefix="/api/v1/coupons", tag="Coupons")

_MAX_LINES = 200


class WalletQuery(PageQuery):
    """``?state=`` of a wallet; all states when left out."""

    state: Literal["available", "issued", "locked", "redeemed", "expired", "voided"] | None = None


class TemplateOut(Output):
    """The terms of a coupon, as they stood when it was issued."""

    id: UUID
    name: str
    kind: Kind
    offer: str
    sentence: str
    description: str
    amount_off_fen: int
    percent_off: int
    threshold_fen: int
    cap_fen: int | None


class CouponOut(Output):
    """A coupon in a wallet. ``code`` is what a store scans."""

    id: UUID
    code: str
    template: TemplateOut
    state: str
    valid_from: datetime
    valid_until: datetime
    issued_at: datetime
    locked_until: datetime | None
    redeemed_at: datetime | None
    discount_fen: int | None


class LineIn(Input):
    """One line of a cart."""

    sku: str = Field(min_length=1, max_length=64)
    category: str | None = Field(default=None, max_length=64)
    quantity: int = Field(ge=1, le=100_000)
    unit_price_fen: Annotated[int, Field(ge=0, le=10**10)]

    def line(self) -> CartLine:
        """Return it as the rules want it."""
        return CartLine(sku=self.sku, quantity=self.quantity, unit_price_fen=self.unit_price_fen, category=self.category)


class QuoteIn(Input):
    """A cart, and which coupons to look at: the ones named, or the whole wallet."""

    channel: str = Field(default="mini_program", min_length=1, max_length=64)
    store: str | None = Field(default=None, max_length=64)
    shipping_fen: Fen = 0
    lines: list[LineIn] = Field(min_length=1, max_length=_MAX_LINES)
    coupon_ids: list[UUID] | None = Field(default=None, max_length=100)
    points: int = Field(
        default=0, ge=0, le=10**12, description="points to pay with, one fen each; cut to what the member has and the goods cost"
    )


class AppliedOut(Output):
    """A coupon that is applied, and what it takes off each line and off the shipping."""

    coupon_id: UUID
    discount_fen: int
    shipping_discount_fen: int
    line_discounts: list[int]


class RefusedOut(Output):
    """A coupon that is left out: a stable reason, and a sentence in the reader's language."""

    coupon_id: UUID
    reason: str
    message: str
    missing_fen: int | None = None


class QuoteOut(Output):
    """What is to be paid. ``line_discounts`` has one whole number of fen for each line; they add up to the discount on goods."""

    goods_fen: int
    shipping_fen: int
    discount_fen: int
    shipping_discount_fen: int
    points_used: int
    points_paid_fen: int
    payable_fen: int
    applied: list[AppliedOut]
    refused: list[RefusedOut]
    line_discounts: list[int]


@bp.get("")
@member_required
@bp.input(WalletQuery, location="query")
@bp.doc(summary="The member's coupons, newest first")
@bp.output(PageOut[CouponOut])
def list_coupons(query_data: WalletQuery) -> Response:
    """Return one page of the wallet."""
    page = PageRequest.of(query_data.limit, query_data.cursor)
    with core().db.reading() as session:
        found = queries.wallet(session, member_id(), query_data.state, page, now=now())
    return json_response(PageOut[CouponOut](items=[shape(each) for each in found.items], next_cursor=found.next_cursor))


@bp.get("/<uuid:coupon_id>")
@member_required
@bp.doc(summary="One coupon")
@bp.output(CouponOut)
def show_coupon(coupon_id: UUID) -> Response:
    """Return a coupon of the member's own."""
    with core().db.reading() as session:
        return json_response(shape(queries.find(session, coupon_id, now=now(), member_id=member_id())))


@bp.post("/quotes")
@member_required
@bp.input(QuoteIn)
@bp.doc(summary="The best price for a cart")
@bp.output(QuoteOut)
def quote(json_data: QuoteIn) -> Response:
    """Return the best combination of coupons. Changes nothing; an ``Idempotency-Key`` is accepted and not needed."""
    with core().db.reading() as session:
        found = service.quote(
            session,
            member_id(),
            [line.line() for line in json_data.lines],
            now=now(),
            channel=json_data.channel,
            store=json_data.store,
            shipping_fen=json_data.shipping_fen,
            coupon_ids=json_data.coupon_ids,
        )
        available = points.balance(session, member_id(), now=now()).available if json_data.points else 0
    return json_response(shape_quote(found, points_used=pay_with_points(found, json_data.points, available)))


def language() -> Language:
    """Return the language coupons are told in."""
    return "zh" if str(get_locale()).startswith("zh") else "en"


def shape(view: CouponView) -> CouponOut:
    """Return a coupon as members and partners see it."""
    terms = view.terms
    return CouponOut(
        id=view.id,
        code=view.code,
        template=TemplateOut(
            id=view.template_id,
            name=terms.name,
            kind=terms.kind,
            offer=offer(terms, language()),
            sentence=sentence(terms, language()),
            description=terms.description,
            amount_off_fen=terms.amount_off_fen,
            percent_off=terms.percent_off,
            threshold_fen=terms.threshold_fen,
            cap_fen=terms.cap_fen,
        ),
        state=view.state,
        valid_from=view.valid_from,
        valid_until=view.valid_until,
        issued_at=view.issued_at,
        locked_until=view.locked_until,
        redeemed_at=view.redeemed_at,
        discount_fen=view.discount_fen,
    )


def shape_quote(found: Quote, *, points_used: int = 0) -> QuoteOut:
    """Return a quote as members and partners see it."""
    return QuoteOut(
        goods_fen=found.goods_fen,
        shipping_fen=found.shipping_fen,
        discount_fen=found.discount_fen,
        shipping_discount_fen=found.shipping_discount_fen,
        points_used=points_used,
        points_paid_fen=points_used,
        payable_fen=found.payable_fen - points_used,
        applied=[
            AppliedOut(
                coupon_id=each.coupon_id,
                discount_fen=each.discount_fen,
                shipping_discount_fen=each.shipping_fen,
                line_discounts=list(each.by_line_fen),
            )
            for each in found.applied
        ],
        refused=[
            RefusedOut(
                coupon_id=each.coupon_id,
                reason=each.reason,
                message=gettext(REASONS[each.reason]),
                missing_fen=each.facts.get("missing_fen"),
            )
            for each in found.refused
        ],
        line_discounts=list(found.line_discounts_fen),
    )
