"""The best combination of coupons for a cart: exact, in whole fen, with a reason for every coupon that is left out.

Bounds (docs/decisions «Quote bounds»): at most one coupon of each exclusion group, at most three on an order, at most one
gift. Best is the lowest payable, then a gift (the dearer one), then the most value left in the wallet, earliest ends
spent first, then the fewest coupons, then ids.

A threshold is measured on what the goods in scope cost before any coupon, so it does not depend on the others; what a
coupon takes off is measured on what the coupons before it left. Hence no coupon takes off more in company than alone,
nor after two coupons than after the first of them, which bounds the search: it walks the combinations in the order of
application, carries what is left of each line along, and turns back where even what the best of each group would take
off next, each by itself, cannot reach the best found so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.coupons.rules.cart import Applied, Cart, CartLine, Gift, Held, Quote, Refused
from server.coupons.rules.states import CouponState
from server.coupons.rules.terms import Kind
from server.kernel.amounts import split_by_largest_remainder

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_STACKED", "Applied", "Cart", "CartLine", "Gift", "Held", "Quote", "Refused", "apply", "best", "may_combine"]

MAX_STACKED = 3
_ORDER_OF_KINDS = {Kind.AMOUNT_OFF: 0, Kind.STEPS: 0, Kind.EXCHANGE: 1, Kind.PERCENT_OFF: 2, Kind.FREE_SHIPPING: 3, Kind.GIFT: 4}
_NO_CAP = 10**18


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a coupon does to one cart, all that its terms say about it worked out.

    Arguments:
        held: the coupon.
        places: the lines in its scope.
        amount_fen: what an amount off or the step reached takes off.
        alone_fen: what it takes off when no other coupon does.
        key: what coupons are applied in order of. Equal but for end and id means equal in effect, so those may change places.
    """

    held: Held
    places: tuple[int, ...]
    amount_fen: int
    alone_fen: int
    key: tuple[Any, ...]

    @property
    def worth_fen(self) -> int:
        """Return what leaves the wallet with the coupon: its face where it has one, else what it takes off this cart."""
        return max(self.alone_fen, self.held.terms.worst_case_fen() or 0)

    def goes_with(self, other: _Effect) -> bool:
        """Tell whether the two may go on one order."""
        mine, theirs = self.held.terms, other.held.terms
        gifts = mine.kind is Kind.GIFT and theirs.kind is Kind.GIFT
        return mine.exclusion_group != theirs.exclusion_group and mine.combinable and theirs.combinable and not gifts

    def value(self, cart: Cart, left: Sequence[int], shipping_fen: int) -> tuple[int, int | None]:
        """Return what it takes off of what is left, and the one line that bears it if it is not to be split."""
        terms = self.held.terms
        cap = _NO_CAP if terms.cap_fen is None else terms.cap_fen
        if terms.kind is Kind.GIFT:
            return 0, None
        if terms.kind is Kind.FREE_SHIPPING:
            return min(shipping_fen, cap), None
        if not self.places:
            return 0, None
        if terms.kind is Kind.EXCHANGE:
            unit, place = max((min(cart.lines[place].unit_price_fen, left[place]), -place) for place in self.places)
            return min(unit, cap), -place
        base = sum([left[place] for place in self.places])
        if terms.kind is Kind.PERCENT_OFF:
            return min(base * terms.percent_off // 100, cap), None
        return min(self.amount_fen, base), None

    def take_off(self, cart: Cart, left: Sequence[int], shipping_fen: int) -> tuple[list[int], int]:
        """Return what it takes off each line, and off the shipping, of what is left."""
        parts = [0] * len(left)
        value, place = self.value(cart, left, shipping_fen)
        if self.held.terms.kind is Kind.FREE_SHIPPING:
            return parts, value
        if place is not None:
            parts[place] = value
        elif value:
            shares = split_by_largest_remainder(value, [left[place] for place in self.places])
            for each, share in zip(self.places, shares, strict=True):
                parts[each] = share
        return parts, 0


def best(cart: Cart, wallet: Sequence[Held], *, max_stacked: int = MAX_STACKED) -> Quote:
    """Return the best quote for a cart.

    Arguments:
        cart: what is bought.
        wallet: the coupons to choose from, in any order.
        max_stacked: the most coupons on one order.
    """
    candidates: list[_Effect] = []
    refused: list[Refused] = []
    for held in sorted(wallet, key=lambda each: (each.valid_until, each.coupon_id)):
        reason = _unfit(cart, held)
        effect = None if reason else _effect(cart, held)
        if effect is not None:
            reason = _short(cart, effect)
        if reason is not None:
            refused.append(reason)
        elif effect is not None:
            candidates.append(effect)
    chosen = _search(cart, _without_twins(candidates), max_stacked)
    used = {each.held.coupon_id for each in chosen}
    refused += [_left_out(each, chosen, max_stacked) for each in candidates if each.held.coupon_id not in used]
    applied = _apply(cart, chosen)
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
    return _apply(cart, [_effect(cart, held) for held in coupons])


def _apply(cart: Cart, effects: Sequence[_Effect]) -> list[Applied]:
    left = [line.amount_fen for line in cart.lines]
    shipping = cart.shipping_fen
    done = []
    for effect in sorted(effects, key=lambda each: each.key):
        by_line, off_shipping = effect.take_off(cart, left, shipping)
        left = [amount - part for amount, part in zip(left, by_line, strict=True)]
        shipping -= off_shipping
        terms = effect.held.terms
        gift = Gift(terms.gift_sku, terms.gift_quantity) if terms.kind is Kind.GIFT else None
        done.append(Applied(effect.held.coupon_id, tuple(by_line), off_shipping, gift))
    return done


def may_combine(coupons: Sequence[Held], max_stacked: int) -> bool:
    """Tell whether coupons may go on one order together."""
    groups = {held.terms.exclusion_group for held in coupons}
    together = len(coupons) <= 1 or all(held.terms.combinable for held in coupons)
    gifts = sum(held.terms.kind is Kind.GIFT for held in coupons)
    return len(coupons) <= max_stacked and len(groups) == len(coupons) and together and gifts <= 1


def _effect(cart: Cart, held: Held) -> _Effect:
    terms = held.terms
    places = terms.scope.places([(line.sku, line.category) for line in cart.lines])
    amounts = [line.amount_fen for line in cart.lines]
    base = sum([amounts[place] for place in places])
    amount = terms.step_off_fen(base) if terms.kind is Kind.STEPS else terms.amount_off_fen
    cap = _NO_CAP if terms.cap_fen is None else terms.cap_fen
    # Within a kind the larger is applied first; the lines in scope come last, so that equal keys mean equal effects.
    key = (terms.priority, _ORDER_OF_KINDS[terms.kind], -amount, -terms.percent_off, -cap, places, held.valid_until, held.coupon_id)
    effect = _Effect(held, places, amount, 0, key)
    return _Effect(held, places, amount, effect.value(cart, amounts, cart.shipping_fen)[0], key)


def _unfit(cart: Cart, held: Held) -> Refused | None:
    """Say why a coupon does not fit the moment, the place or the member."""
    terms, scope = held.terms, held.terms.scope
    checks = (
        ("not_available", held.state != CouponState.ISSUED),
        ("expired", held.valid_until <= cart.at),
        ("not_started", cart.at < held.valid_from),
        ("blacked_out", terms.blacked_out(cart.day)),
        ("outside_hours", not terms.open_at(cart.day, cart.clock)),
        ("other_channel", bool(scope.channels) and cart.channel not in scope.channels),
        ("other_store", bool(scope.stores) and cart.store not in scope.stores),
        ("other_tier", bool(scope.tiers) and cart.tier not in scope.tiers),
        ("other_segment", bool(scope.segments) and cart.segments.isdisjoint(scope.segments)),
        ("not_first_order", terms.first_order_only and cart.first_order is not True),
    )
    for reason, holds in checks:
        if holds:
            return Refused(held.coupon_id, reason, {"state": held.state} if reason == "not_available" else {})
    return None


def _short(cart: Cart, effect: _Effect) -> Refused | None:
    """Say why a coupon does not fit the goods."""
    held, terms = effect.held, effect.held.terms
    base = sum(cart.lines[place].amount_fen for place in effect.places)
    if base == 0:
        return Refused(held.coupon_id, "no_matching_goods")
    if base < terms.needed_fen():
        return Refused(held.coupon_id, "threshold_not_reached", {"missing_fen": terms.needed_fen() - base})
    if effect.alone_fen == 0 and terms.kind is not Kind.GIFT:
        return Refused(held.coupon_id, "no_saving")
    return None


def _without_twins(candidates: Sequence[_Effect]) -> list[_Effect]:
    """Keep one of those equal in effect and group, in order of application: a second never goes along with the first.

    The one kept is the one that any combination is better with: the least worth, then the earliest end, then the least id.
    """
    kept: dict[tuple[Any, ...], _Effect] = {}
    for each in sorted(candidates, key=lambda one: (one.worth_fen, one.held.valid_until, one.held.coupon_id)):
        terms = each.held.terms
        value = terms.gift_value_fen if terms.kind is Kind.GIFT else 0
        kept.setdefault((*each.key[:-2], terms.kind is Kind.GIFT, value, terms.exclusion_group, terms.combinable), each)
    return sorted(kept.values(), key=lambda one: one.key)


class _Found:
    """The best combination so far; none at first."""

    def __init__(self, total_fen: int) -> None:
        self.picked: tuple[_Effect, ...] = ()
        self.payable_fen = total_fen
        self._rank = _rank(total_fen, ())

    def offer(self, picked: tuple[_Effect, ...], payable_fen: int) -> None:
        """Take a combination when it is better."""
        if payable_fen > self.payable_fen:
            return
        rank = _rank(payable_fen, picked)
        if rank < self._rank:
            self.picked, self.payable_fen, self._rank = picked, payable_fen, rank


def _search(cart: Cart, candidates: Sequence[_Effect], max_stacked: int) -> tuple[_Effect, ...]:
    total = cart.goods_fen + cart.shipping_fen
    found = _Found(total)

    def look(
        options: Sequence[tuple[int, _Effect]], picked: tuple[_Effect, ...], left: Sequence[int], shipping_fen: int, payable_fen: int
    ) -> None:
        """Try every option after those picked; each comes with what it took off before the last of them, the most it can now."""
        room = max_stacked - len(picked)
        if room == 1:
            for most, each in options:
                if payable_fen - most <= found.payable_fen:
                    found.offer((*picked, each), payable_fen - each.value(cart, left, shipping_fen)[0])
            return
        weighed = [(each.value(cart, left, shipping_fen)[0], each) for _, each in options]
        reach = _reach(weighed, room - 1)
        for place, (value, each) in enumerate(weighed, 1):
            after, more = payable_fen - value, (*picked, each)
            found.offer(more, after)
            if after - reach[place] > found.payable_fen:
                continue
            further = [(most, one) for most, one in weighed[place:] if each.goes_with(one)]
            if further:
                by_line, off_shipping = each.take_off(cart, left, shipping_fen)
                rest = [amount - part for amount, part in zip(left, by_line, strict=True)]
                look(further, more, rest, shipping_fen - off_shipping, after)

    if max_stacked > 0:
        for likely in _likely(candidates, max_stacked):
            found.offer(likely, total - sum(each.discount_fen for each in _apply(cart, likely)))
        alone = [(each.alone_fen, each) for each in candidates]
        look(alone, (), [line.amount_fen for line in cart.lines], cart.shipping_fen, total)
    return found.picked


def _reach(weighed: Sequence[tuple[int, _Effect]], room: int) -> list[int]:
    """Return, for each place, the most that so many coupons from there on could take off, one of a group."""
    reach = [0]
    of_group: dict[str, int] = {}
    for value, each in reversed(weighed):
        group = each.held.terms.exclusion_group
        if value > of_group.get(group, 0):
            of_group[group] = value
            reach.append(sum(sorted(of_group.values(), reverse=True)[:room]))
        else:
            reach.append(reach[-1])
    return reach[::-1]


def _likely(candidates: Sequence[_Effect], max_stacked: int) -> list[tuple[_Effect, ...]]:
    """Return combinations that are likely to be good, so that the search turns back early from the start."""
    alone = sorted(candidates, key=lambda each: (-each.alone_fen, each.key))
    picked: tuple[_Effect, ...] = ()
    for each in alone:
        if may_combine([one.held for one in (*picked, each)], max_stacked) and each.held.terms.combinable:
            picked = (*picked, each)
    return [some for some in (picked, tuple(alone[:1])) if some]


def _rank(payable_fen: int, picked: Sequence[_Effect]) -> tuple[Any, ...]:
    ends = tuple(sorted(each.held.valid_until for each in picked))
    ids = tuple(sorted(each.held.coupon_id for each in picked))
    gifts = [each.held.terms.gift_value_fen for each in picked if each.held.terms.kind is Kind.GIFT]
    return (payable_fen, -len(gifts), -sum(gifts), sum(each.worth_fen for each in picked), ends, len(picked), ids)


def _left_out(candidate: _Effect, chosen: Sequence[_Effect], max_stacked: int) -> Refused:
    terms = candidate.held.terms
    if any(each.held.terms.exclusion_group == terms.exclusion_group for each in chosen):
        reason = "group_taken"
    elif not terms.combinable or any(not each.held.terms.combinable for each in chosen):
        reason = "not_combinable"
    elif terms.kind is Kind.GIFT and any(each.held.terms.kind is Kind.GIFT for each in chosen):
        reason = "one_gift"
    elif len(chosen) >= max_stacked:
        reason = "too_many"
    else:
        reason = "no_further_saving"
    return Refused(candidate.held.coupon_id, reason)
