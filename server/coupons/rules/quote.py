"""The best combination of coupons for a cart: exact, in whole fen, with a reason for every coupon that is left out.

Bounds (docs/decisions «Quote bounds»): at most one coupon of each exclusion group, at most three on an order. Best is
the lowest payable, then the most value left in the wallet, earliest ends spent first, then the fewest coupons, then ids.

A threshold is measured on what the goods in scope cost before any coupon, so it does not depend on the others; what a
coupon takes off is measured on what the coupons before it left. Coupons are applied by priority, then amount off,
exchange, percent off, free shipping. Hence no coupon takes off more in company than alone, which bounds the search.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from server.coupons.rules.states import CouponState
from server.coupons.rules.terms import Kind, Terms
from server.kernel.amounts import split_by_largest_remainder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from uuid import UUID

MAX_STACKED = 3
_ORDER_OF_KINDS = {Kind.AMOUNT_OFF: 0, Kind.EXCHANGE: 1, Kind.PERCENT_OFF: 2, Kind.FREE_SHIPPING: 3}


@dataclass(frozen=True, slots=True)
class CartLine:
    """One line: so many of one product, at what one costs before any coupon."""

    sku: str
    quantity: int
    unit_price_fen: int
    category: str | None = None

    @property
    def amount_fen(self) -> int:
        """Return what the line costs before any coupon."""
        return self.quantity * self.unit_price_fen


@dataclass(frozen=True, slots=True)
class Cart:
    """What is to be paid for, where, by whom and when.

    Arguments:
        lines: the goods.
        at: the instant.
        day: the business day of that instant.
        shipping_fen: what shipping costs.
        channel: where it is sold.
        store: in which store, if in one.
        tier: the member's tier code.
    """

    lines: tuple[CartLine, ...]
    at: datetime
    day: date
    shipping_fen: int = 0
    channel: str | None = None
    store: str | None = None
    tier: str | None = None

    @property
    def goods_fen(self) -> int:
        """Return what the goods cost before any coupon."""
        return sum(line.amount_fen for line in self.lines)


@dataclass(frozen=True, slots=True)
class Held:
    """A coupon in the wallet, as a quote sees it."""

    coupon_id: UUID
    terms: Terms
    state: str
    valid_from: datetime
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class Applied:
    """A coupon that is applied: what it takes off each line and off the shipping."""

    coupon_id: UUID
    by_line_fen: tuple[int, ...]
    shipping_fen: int

    @property
    def discount_fen(self) -> int:
        """Return what it takes off in all."""
        return sum(self.by_line_fen) + self.shipping_fen


@dataclass(frozen=True, slots=True)
class Refused:
    """A coupon that is left out, a stable reason code, and what the reason needs to be told (``missing_fen``…)."""

    coupon_id: UUID
    reason: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quote:
    """What is to be paid, and why."""

    goods_fen: int
    shipping_fen: int
    applied: tuple[Applied, ...]
    refused: tuple[Refused, ...]
    line_discounts_fen: tuple[int, ...]
    shipping_discount_fen: int

    @property
    def discount_fen(self) -> int:
        """Return what all coupons take off."""
        return sum(self.line_discounts_fen) + self.shipping_discount_fen

    @property
    def payable_fen(self) -> int:
        """Return what is left to pay."""
        return self.goods_fen + self.shipping_fen - self.discount_fen


@dataclass(frozen=True, slots=True)
class _Candidate:
    held: Held
    alone_fen: int
    worth_fen: int
    key: tuple[Any, ...]


def best(cart: Cart, wallet: Sequence[Held], *, max_stacked: int = MAX_STACKED) -> Quote:
    """Return the best quote for a cart.

    Arguments:
        cart: what is bought.
        wallet: the coupons to choose from, in any order.
        max_stacked: the most coupons on one order.
    """
    candidates: list[_Candidate] = []
    refused: list[Refused] = []
    for held in sorted(wallet, key=lambda each: (each.valid_until, each.coupon_id)):
        reason = _refusal(cart, held)
        alone = 0 if reason else apply(cart, [held])[0].discount_fen
        if reason is None and alone == 0:
            reason = Refused(held.coupon_id, "no_saving")
        if reason is not None:
            refused.append(reason)
            continue
        candidates.append(_Candidate(held, alone, _worth(held.terms, alone), order_key(held)))
    chosen = _search(cart, _without_twins(candidates), max_stacked)
    used = {each.held.coupon_id for each in chosen}
    refused += [_left_out(each, chosen, max_stacked) for each in candidates if each.held.coupon_id not in used]
    applied = apply(cart, [each.held for each in chosen])
    return Quote(
        goods_fen=cart.goods_fen,
        shipping_fen=cart.shipping_fen,
        applied=tuple(applied),
        refused=tuple(refused),
        line_discounts_fen=tuple(sum(each.by_line_fen[place] for each in applied) for place in range(len(cart.lines))),
        shipping_discount_fen=sum(each.shipping_fen for each in applied),
    )


def apply(cart: Cart, coupons: Sequence[Held]) -> list[Applied]:
    """Apply coupons that may go together, in their fixed order, and return what each takes off."""
    left = [line.amount_fen for line in cart.lines]
    shipping = cart.shipping_fen
    done = []
    for held in sorted(coupons, key=order_key):
        by_line, off_shipping = _take_off(cart, held.terms, left, shipping)
        left = [amount - part for amount, part in zip(left, by_line, strict=True)]
        shipping -= off_shipping
        done.append(Applied(held.coupon_id, tuple(by_line), off_shipping))
    return done


def order_key(held: Held) -> tuple[Any, ...]:
    """Return what coupons are applied in order of; equal terms are told apart by end and id."""
    terms = held.terms
    return (terms.priority, _ORDER_OF_KINDS[terms.kind], terms.canonical(), held.valid_until, held.coupon_id)


def may_combine(coupons: Sequence[Held], max_stacked: int) -> bool:
    """Tell whether coupons may go on one order together."""
    groups = {held.terms.exclusion_group for held in coupons}
    together = len(coupons) <= 1 or all(held.terms.combinable for held in coupons)
    return len(coupons) <= max_stacked and len(groups) == len(coupons) and together


def _take_off(cart: Cart, terms: Terms, left: Sequence[int], shipping_fen: int) -> tuple[list[int], int]:
    weights = [amount if terms.scope.covers(line.sku, line.category) else 0 for line, amount in zip(cart.lines, left, strict=True)]
    nothing = [0] * len(weights)
    cap = terms.cap_fen
    if terms.kind is Kind.FREE_SHIPPING:
        return nothing, shipping_fen if cap is None else min(shipping_fen, cap)
    if terms.kind is Kind.EXCHANGE:
        units = [min(line.unit_price_fen, weight) for line, weight in zip(cart.lines, weights, strict=True)]
        value = max(units, default=0)
        if value:
            nothing[units.index(value)] = value if cap is None else min(value, cap)
        return nothing, 0
    base = sum(weights)
    amount = min(terms.amount_off_fen, base) if terms.kind is Kind.AMOUNT_OFF else base * terms.percent_off // 100
    if cap is not None:
        amount = min(amount, cap)
    return split_by_largest_remainder(amount, weights), 0


def _refusal(cart: Cart, held: Held) -> Refused | None:
    terms, scope = held.terms, held.terms.scope
    checks = (
        ("not_available", held.state != CouponState.ISSUED),
        ("expired", held.valid_until <= cart.at),
        ("not_started", cart.at < held.valid_from),
        ("blacked_out", terms.blacked_out(cart.day)),
        ("other_channel", bool(scope.channels) and cart.channel not in scope.channels),
        ("other_store", bool(scope.stores) and cart.store not in scope.stores),
        ("other_tier", bool(scope.tiers) and cart.tier not in scope.tiers),
    )
    for reason, holds in checks:
        if holds:
            return Refused(held.coupon_id, reason, {"state": held.state} if reason == "not_available" else {})
    base = sum(line.amount_fen for line in cart.lines if scope.covers(line.sku, line.category))
    if base == 0:
        return Refused(held.coupon_id, "no_matching_goods")
    if base < terms.threshold_fen:
        return Refused(held.coupon_id, "threshold_not_reached", {"missing_fen": terms.threshold_fen - base})
    return None


def _worth(terms: Terms, alone_fen: int) -> int:
    """Return what leaves the wallet with a coupon: its face where it has one, else what it takes off this cart."""
    return max(alone_fen, terms.worst_case_fen() or 0)


def _without_twins(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Keep one of those with equal terms, the earliest end first: they share a group, so a second never goes along."""
    kept: dict[str, _Candidate] = {}
    for each in candidates:
        kept.setdefault(each.held.terms.canonical(), each)
    return sorted(kept.values(), key=lambda each: (-each.alone_fen, each.key))


def _search(cart: Cart, candidates: Sequence[_Candidate], max_stacked: int) -> tuple[_Candidate, ...]:
    total = cart.goods_fen + cart.shipping_fen
    found: tuple[_Candidate, ...] = ()
    rank = _rank(total, ())

    def look(start: int, picked: tuple[_Candidate, ...], bound_fen: int) -> None:
        nonlocal found, rank
        if picked:
            payable = total - sum(each.discount_fen for each in apply(cart, [each.held for each in picked]))
            mine = _rank(payable, picked)
            if mine < rank:
                found, rank = picked, mine
        for place in range(start, len(candidates)):
            room = max_stacked - len(picked)
            # Those that follow take off no more than this one, so nothing from here on can beat the best.
            if room <= 0 or bound_fen - room * candidates[place].alone_fen > rank[0]:
                return
            more = (*picked, candidates[place])
            if may_combine([each.held for each in more], max_stacked):
                look(place + 1, more, bound_fen - candidates[place].alone_fen)

    look(0, (), total)
    return found


def _rank(payable_fen: int, picked: Sequence[_Candidate]) -> tuple[Any, ...]:
    ends = tuple(sorted(each.held.valid_until for each in picked))
    ids = tuple(sorted(each.held.coupon_id for each in picked))
    return (payable_fen, sum(each.worth_fen for each in picked), ends, len(picked), ids)


def _left_out(candidate: _Candidate, chosen: Sequence[_Candidate], max_stacked: int) -> Refused:
    terms = candidate.held.terms
    if any(each.held.terms.exclusion_group == terms.exclusion_group for each in chosen):
        reason = "group_taken"
    elif not terms.combinable or any(not each.held.terms.combinable for each in chosen):
        reason = "not_combinable"
    elif len(chosen) >= max_stacked:
        reason = "too_many"
    else:
        reason = "no_further_saving"
    return Refused(candidate.held.coupon_id, reason)


def pay_with_points(quote: Quote, wanted: int, available: int) -> int:
    """Return how many points pay part of a quote: one point is one fen, and points pay for goods, not for shipping.

    Arguments:
        quote: what is to be paid after the coupons.
        wanted: points the member would like to pay with.
        available: points the member has.
    """
    return max(0, min(wanted, available, quote.goods_fen - sum(quote.line_discounts_fen)))
