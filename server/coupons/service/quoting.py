"""Quotes for a member's wallet: reads the facts, leaves the choosing to the rules. Changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from server.coupons import queries
from server.coupons.errors import CouponNotApplicableError
from server.coupons.rules import quote as rules
from server.coupons.service.lifecycle import redeem
from server.coupons.service.standing import segments_of, tier_of
from server.kernel.clock import business_date
from server.kernel.db import zone_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


def quote(
    session: Session,
    member_id: UUID,
    lines: Sequence[rules.CartLine],
    *,
    now: datetime,
    channel: str | None = None,
    store: str | None = None,
    shipping_fen: int = 0,
    coupon_ids: Sequence[UUID] | None = None,
    first_order: bool | None = None,
) -> rules.Quote:
    """Return the best a member can do with their coupons.

    Arguments:
        session: to read with.
        member_id: whose wallet.
        lines: the goods.
        now: present instant.
        channel: where it is sold.
        store: in which store.
        shipping_fen: what shipping costs.
        coupon_ids: only these; the rest of the wallet is not looked at. One that is not the member's is refused as ``not_found``.
        first_order: whether this is the member's first order; orders know, coupons do not.
    """
    held = [_held(view) for view in queries.for_quote(session, member_id, coupon_ids, now=now)]
    cart = rules.Cart(
        lines=tuple(lines),
        at=now,
        day=business_date(now, zone_of(session)),
        shipping_fen=shipping_fen,
        channel=channel,
        store=store,
        tier=tier_of(session, member_id) if any(each.terms.scope.tiers for each in held) else None,
        clock=now.astimezone(zone_of(session)).time(),
        first_order=first_order,
        segments=segments_of(session, member_id, [each.terms for each in held]),
    )
    found = rules.best(cart, held)
    missing = [each for each in dict.fromkeys(coupon_ids or ()) if each not in {view.coupon_id for view in held}]
    if not missing:
        return found
    refused = (*found.refused, *(rules.Refused(each, "not_found") for each in missing))
    return rules.Quote(found.goods_fen, found.shipping_fen, found.applied, refused, found.line_discounts_fen, found.shipping_discount_fen)


def redemption_quote(
    session: Session,
    coupon_id: UUID,
    lines: Sequence[rules.CartLine],
    *,
    channel: str,
    store: str | None,
    shipping_fen: int,
    now: datetime,
    first_order: bool | None = None,
) -> rules.Quote:
    """Return what one coupon takes off an order it is about to be redeemed for, be it locked for that order or not.

    Raises:
        CouponNotFoundError: no such coupon.
        CouponNotApplicableError: it does not fit the goods, with the reason.
    """
    view = queries.find(session, coupon_id)
    # Whether it holds now is the redemption's own question: a lock outlives the coupon's end.
    held = rules.Held(view.id, replace(view.terms, blackouts=(), hours=()), "issued", now, now + timedelta(days=1))
    tier = tier_of(session, view.member_id) if view.terms.scope.tiers else None
    cart = rules.Cart(
        lines=tuple(lines),
        at=now,
        day=business_date(now, zone_of(session)),
        shipping_fen=shipping_fen,
        channel=channel,
        store=store,
        tier=tier,
        first_order=first_order,
        segments=segments_of(session, view.member_id, [view.terms]),
    )
    found = rules.best(cart, [held])
    if found.refused:
        raise CouponNotApplicableError(reason=found.refused[0].reason)
    return found


def _held(view: queries.CouponView) -> rules.Held:
    return rules.Held(view.id, view.terms, view.state, view.valid_from, view.valid_until)


def claim_centre(session: Session, member_id: UUID, *, now: datetime) -> list[queries.ClaimableView]:
    """Return the claim centre for one member; their tier and segments are only asked for when a template wants to know them."""
    found = queries.claimable(session, member_id, now)
    terms = [each.template.draft.terms for each in found]
    if any(each.scope.by_member for each in terms):
        tier = tier_of(session, member_id) if any(each.scope.tiers for each in terms) else None
        return queries.claimable(session, member_id, now, tier=tier, segments=segments_of(session, member_id, terms))
    return found


def redeem_for_lines(
    session: Session,
    coupon_id: UUID,
    lines: Sequence[rules.CartLine] | None,
    *,
    channel: str,
    external_no: str,
    store: str | None,
    shipping_fen: int,
    actor: Actor,
    now: datetime,
    first_order: bool | None = None,
) -> tuple[queries.CouponView, rules.Quote | None]:
    """Redeem a coupon for an order, working out what it takes off when the order's lines are known.

    Returns:
        The coupon, and the quote when there were lines.

    Raises:
        CouponNotFoundError: no such coupon.
        CouponNotAvailableError: it is not to be had for this order.
        CouponNotApplicableError: it does not fit the goods, with the reason.
    """
    found = None
    if lines is not None:
        found = redemption_quote(
            session, coupon_id, lines, channel=channel, store=store, shipping_fen=shipping_fen, now=now, first_order=first_order
        )
    view = redeem(
        session,
        coupon_id,
        channel=channel,
        external_no=external_no,
        discount_fen=None if found is None else found.discount_fen,
        sales_fen=None if found is None else found.payable_fen,
        store=store,
        actor=actor,
        now=now,
    )
    return view, found
