"""The member's wallet, and what a cart costs with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from flask_babel import get_locale, gettext
from pydantic import Field
from sqlalchemy.orm import Session

from miniprogram_api.auth import member_required
from miniprogram_api.context import actor, core, member_id, now
from miniprogram_api.idempotent import json_response, run_command
from miniprogram_api.problems import document_of
from miniprogram_api.schemas import Document, Fen, Input, Output, PageOut, PageQuery
from server.coupons import queries, service
from server.coupons.errors import CodeNotValidError
from server.coupons.queries import CouponView
from server.coupons.reasons import REASONS
from server.coupons.rules.fingerprint import Promise, cart_digest, promise_of, sign
from server.coupons.rules.hours import clock
from server.coupons.rules.quote import CartLine, Gift, Quote
from server.coupons.rules.sentence import Language, offer, sentence
from server.coupons.rules.terms import Kind, Terms
from server.kernel.pagination import PageRequest
from server.orders import queries as orders
from server.points import queries as points
from server.rewards import queries as rewards
from server.rewards.rules.paying import PointsPayment, pay

bp = APIBlueprint("v1_coupons", __name__, url_prefix="/api/v1/coupons", tag="Coupons")

_MAX_LINES = 200
PointsWanted = Annotated[
    int, Field(ge=0, le=10**12, description="points to pay with; cut to what the member has, the goods cost and the brand's caps allow")
]


class WalletQuery(PageQuery):
    """``?state=`` of a wallet; all states when left out."""

    state: Literal["available", "issued", "locked", "redeemed", "expired", "voided", "offered", "given"] | None = None


class CodeIn(Input):
    """A code as the member typed or scanned it; case, width, blanks and hyphens make no difference."""

    code: str = Field(min_length=1, max_length=100)


class StepOut(Output):
    """From so much, so much off."""

    threshold_fen: int
    amount_off_fen: int


class GiftOut(Output):
    """A product that goes with the order for nothing. The till puts it on the order as a line of its own that costs nothing."""

    sku: str
    quantity: int


class HoursOut(Output):
    """A window of the week, in the shop's time; one that ends at or before its beginning runs on into the next day.

    ``weekdays`` are 1 (Monday) to 7, of the day it begins on; empty for every day.
    """

    weekdays: list[int]
    begins: str
    ends: str


class PromiseOut(Output):
    """What a coupon says beyond one amount: steps, a gift, hours, the first order."""

    steps: list[StepOut]
    gift: GiftOut | None
    hours: list[HoursOut]
    first_order_only: bool


class TemplateOut(PromiseOut):
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
    """A coupon in a wallet. ``code`` is what a store scans. ``giftable`` tells whether it can be offered to a friend now."""

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
    giftable: bool


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
    points: PointsWanted = 0


class AppliedOut(Output):
    """A coupon that is applied, and what it takes off each line and off the shipping."""

    coupon_id: UUID
    discount_fen: int
    shipping_discount_fen: int
    line_discounts: list[int]
    gift: GiftOut | None


class RefusedOut(Output):
    """A coupon that is left out: a stable reason, and a sentence in the reader's language."""

    coupon_id: UUID
    reason: str
    message: str
    missing_fen: int | None = None


class QuoteOut(Output):
    """What is to be paid. ``line_discounts`` has one whole number of fen for each line; they add up to the discount on goods.

    ``gift`` is what goes with the order for nothing. ``quote_id`` holds until ``quote_expires_at``: a till that locks or redeems with it
    is told when the coupons no longer come to this. It promises what the coupons do, not what points pay.
    ``points_max`` is the most points the member could pay this cart with; ``points_used`` of them pay ``points_paid_fen``.
    """

    goods_fen: int
    shipping_fen: int
    discount_fen: int
    shipping_discount_fen: int
    points_used: int
    points_paid_fen: int
    points_max: int
    payable_fen: int
    applied: list[AppliedOut]
    refused: list[RefusedOut]
    line_discounts: list[int]
    gift: GiftOut | None
    quote_id: str | None
    quote_expires_at: datetime | None


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


@bp.post("/codes")
@member_required
@bp.input(CodeIn, arg_name="body")
@bp.doc(summary="Claim a coupon with a code")
@bp.output(CouponOut, status_code=201)
def claim_code(body: CodeIn) -> Response:
    """Claim the coupon of a code; a code of one's own again answers the coupon it gave.

    404 ``coupon_code_not_valid`` for a code that is unknown, used, stopped or out of its time, all alike; after ten on one day 429
    ``too_many_code_tries``. 409: ``sold_out``, ``claim_limit_reached``, ``not_in_window``, ``tier_not_eligible``.
    """

    def work(session: Session) -> tuple[int, CouponOut | Document]:
        done = service.claim_by_code(session, member_id(), body.code, actor=actor(), now=now())
        if done.coupon is not None:
            return 201, shape(done.coupon)
        # A wrong code is on record, and counts: so it is answered, not raised, and its transaction commits.
        refusal = done.refusal or CodeNotValidError()
        return refusal.status, document_of(refusal)

    return run_command(work)


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
            first_order=orders.would_be_first(session, member_id()),
        )
        payment = points_payment(session, member_id(), found, json_data.points)
    return json_response(shape_quote(found, payment, promise_for(json_data, member_id(), found)))


def language() -> Language:
    """Return the language coupons are told in."""
    return "zh" if str(get_locale()).startswith("zh") else "en"


def shape(view: CouponView) -> CouponOut:
    """Return a coupon as members and partners see it."""
    return CouponOut(
        id=view.id,
        code=view.code,
        template=shape_terms(view.template_id, view.terms),
        state=view.state,
        valid_from=view.valid_from,
        valid_until=view.valid_until,
        issued_at=view.issued_at,
        locked_until=view.locked_until,
        redeemed_at=view.redeemed_at,
        discount_fen=view.discount_fen,
        giftable=view.terms.giftable and view.state == "issued",
    )


def shape_terms(template_id: UUID, terms: Terms) -> TemplateOut:
    """Return the terms of a coupon as members and partners see them, in the reader's language."""
    return TemplateOut(
        id=template_id,
        name=terms.name,
        kind=terms.kind,
        offer=offer(terms, language()),
        sentence=sentence(terms, language()),
        description=terms.description,
        amount_off_fen=terms.amount_off_fen,
        percent_off=terms.percent_off,
        threshold_fen=terms.threshold_fen,
        cap_fen=terms.cap_fen,
        **promise(terms),
    )


def promise(terms: Terms) -> dict[str, Any]:
    """Return the fields of ``PromiseOut``."""
    return {
        "steps": [StepOut(threshold_fen=threshold, amount_off_fen=amount) for threshold, amount in terms.steps],
        "gift": GiftOut(sku=terms.gift_sku, quantity=terms.gift_quantity) if terms.kind is Kind.GIFT else None,
        "hours": [HoursOut(weekdays=list(each.weekdays), begins=clock(each.start), ends=clock(each.end)) for each in terms.hours],
        "first_order_only": terms.first_order_only,
    }


def _shape_gift(gift: Gift | None) -> GiftOut | None:
    return None if gift is None else GiftOut(sku=gift.sku, quantity=gift.quantity)


def points_payment(session: Session, of_member: UUID, found: Quote, wanted: int) -> PointsPayment:
    """Return what a member's points pay of a quote under the brand's policy."""
    available = points.balance(session, of_member, now=now()).available
    return pay(rewards.payment_policy(session), goods_fen=found.goods_left_fen, wanted=wanted, available=available)


def promise_for(asked: QuoteIn, of_member: UUID, found: Quote) -> Promise:
    """Return the promise that a quote makes to a member for the cart they asked about."""
    cart = cart_digest([line.line() for line in asked.lines], channel=asked.channel, store=asked.store, shipping_fen=asked.shipping_fen)
    return promise_of(of_member, cart, found, now())


def shape_quote(found: Quote, payment: PointsPayment | None = None, promised: Promise | None = None) -> QuoteOut:
    """Return a quote as members and partners see it."""
    paid = payment or PointsPayment()
    return QuoteOut(
        goods_fen=found.goods_fen,
        shipping_fen=found.shipping_fen,
        discount_fen=found.discount_fen,
        shipping_discount_fen=found.shipping_discount_fen,
        points_used=paid.points,
        points_paid_fen=paid.fen,
        points_max=paid.max_points,
        payable_fen=found.payable_fen - paid.fen,
        applied=[
            AppliedOut(
                coupon_id=each.coupon_id,
                discount_fen=each.discount_fen,
                shipping_discount_fen=each.shipping_fen,
                line_discounts=list(each.by_line_fen),
                gift=_shape_gift(each.gift),
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
        gift=_shape_gift(found.gift),
        quote_id=None if promised is None else sign(promised, core().settings.secret_key),
        quote_expires_at=None if promised is None else datetime.fromtimestamp(promised.expires, UTC),
    )
