"""What was quoted is what is charged: deciding over a quote's coupons anew before they are kept or redeemed for its order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from server.coupons import queries
from server.coupons.errors import QuoteChangedError, QuoteUnknownError
from server.coupons.rules import fingerprint
from server.coupons.rules import quote as rules
from server.coupons.rules.states import CouponState
from server.coupons.service.lifecycle import LOCK_TTL_SECONDS, lock, redeem
from server.coupons.service.standing import segments_of, tier_of
from server.coupons.service.steps import locked_coupon
from server.kernel.clock import business_date
from server.kernel.db import zone_of

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


@dataclass(frozen=True, slots=True)
class QuotedOrder:
    """An order that was quoted, as it is now to be charged.

    Arguments:
        quote_id: the fingerprint of the quote.
        lines: the goods, as they were quoted.
        channel: where the order is.
        external_no: its number there.
        store: in which store.
        shipping_fen: what shipping costs.
        first_order: whether it is the member's first order.
    """

    quote_id: str
    lines: tuple[rules.CartLine, ...]
    channel: str
    external_no: str
    store: str | None = None
    shipping_fen: int = 0
    first_order: bool | None = None


def lock_as_quoted(
    session: Session,
    coupon_id: UUID,
    order: QuotedOrder,
    *,
    secret_key: str,
    actor: Actor,
    now: datetime,
    ttl_seconds: int = LOCK_TTL_SECONDS,
) -> queries.CouponView:
    """Keep a coupon for an order, if the order still comes to what was quoted.

    Raises:
        CouponNotFoundError: no such coupon.
        CouponNotAvailableError: it is not to be had for this order.
        QuoteUnknownError: the fingerprint is not one of ours.
        QuoteChangedError: the outcome differs; its fields say in what.
    """
    _decide_anew(session, coupon_id, order, secret_key=secret_key, now=now)
    return lock(session, coupon_id, channel=order.channel, external_no=order.external_no, ttl_seconds=ttl_seconds, actor=actor, now=now)


def redeem_as_quoted(
    session: Session, coupon_id: UUID, order: QuotedOrder, *, secret_key: str, actor: Actor, now: datetime
) -> tuple[queries.CouponView, rules.Quote]:
    """Redeem a coupon for an order that still comes to what was quoted; what it took off is its part of that quote.

    Raises:
        CouponNotFoundError: no such coupon.
        CouponNotAvailableError: it is not to be had for this order.
        QuoteUnknownError: the fingerprint is not one of ours.
        QuoteChangedError: the outcome differs; its fields say in what.
    """
    found = _decide_anew(session, coupon_id, order, secret_key=secret_key, now=now)
    view = redeem(
        session,
        coupon_id,
        channel=order.channel,
        external_no=order.external_no,
        discount_fen=next(each.discount_fen for each in found.applied if each.coupon_id == coupon_id),
        sales_fen=found.payable_fen,
        store=order.store,
        actor=actor,
        now=now,
    )
    return view, found


def _decide_anew(session: Session, coupon_id: UUID, order: QuotedOrder, *, secret_key: str, now: datetime) -> rules.Quote:
    """Return the same engine's answer over the coupons of the promise; what this order holds already counts as to be had.

    The rows of its coupons are locked until the transaction ends.
    """
    promise = fingerprint.read(order.quote_id, secret_key)
    if promise is None:
        raise QuoteUnknownError
    # All of them, in one order for everybody: of two orders that were quoted the same coupons, one gets all and the other is told.
    for each in sorted(promise.discounts):
        locked_coupon(session, each)
    view = queries.find(session, coupon_id, now=now)
    changed = {}
    cart_now = fingerprint.cart_digest(order.lines, channel=order.channel, store=order.store, shipping_fen=order.shipping_fen)
    # A promise that was taken up holds as long as the lock: an order may be paid slowly.
    if promise.expires < now.timestamp() and not _holds(order, view):
        changed["quote_id"] = "expired"
    if cart_now != promise.cart:
        changed["lines"] = "other_cart"
    if view.member_id != promise.member_id or view.id not in promise.discounts:
        changed[str(view.id)] = "not_quoted"
    if changed:
        raise QuoteChangedError(fields=changed)
    held = [_as_held(each, order, now) for each in queries.for_quote(session, promise.member_id, list(promise.discounts), now=now)]
    zone = zone_of(session)
    cart = rules.Cart(
        lines=order.lines,
        at=now,
        day=business_date(now, zone),
        shipping_fen=order.shipping_fen,
        channel=order.channel,
        store=order.store,
        tier=tier_of(session, promise.member_id) if any(each.terms.scope.tiers for each in held) else None,
        clock=now.astimezone(zone).time(),
        first_order=order.first_order,
        segments=segments_of(session, promise.member_id, [each.terms for each in held]),
    )
    found = rules.best(cart, held)
    changed = promise.differences(found)
    if changed:
        raise QuoteChangedError(fields=changed)
    return found


def _as_held(view: queries.CouponView, order: QuotedOrder, now: datetime) -> rules.Held:
    """See a coupon that this order holds as issued: what was kept for it stays good while it is being paid."""
    if _holds(order, view):
        terms = replace(view.terms, blackouts=(), hours=())
        return rules.Held(view.id, terms, CouponState.ISSUED, min(view.valid_from, now), max(view.valid_until, now + timedelta(seconds=1)))
    return rules.Held(view.id, view.terms, view.state, view.valid_from, view.valid_until)


def _holds(order: QuotedOrder, view: queries.CouponView) -> bool:
    mine = (view.channel, view.external_no) == (order.channel, order.external_no)
    return mine and view.state in {CouponState.LOCKED, CouponState.REDEEMED}
