"""Quotes worked out again from docs/coupons.md by trying everything, and random carts and wallets to compare them on.

Written from the document and not from the search: of ``server.coupons.rules`` it knows the values that go in and come out. By hand, at size:

    python -m tests.properties.quotes --count 100000 --seed 1
"""

from __future__ import annotations

import argparse
import time as watch
from dataclasses import dataclass
from datetime import date, time, timedelta
from fractions import Fraction
from itertools import combinations
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.coupons.rules.cart import Cart, CartLine, Held
from server.coupons.rules.hours import Window
from server.coupons.rules.quote import best
from server.coupons.rules.terms import Kind, Scope, Terms
from tests.conftest import START

if TYPE_CHECKING:
    from server.coupons.rules.cart import Quote

DAY = date(2026, 6, 15)  # a Monday
MOST = 3


@dataclass(frozen=True)
class Answer:
    """What trying everything comes to."""

    payable: int
    ids: tuple[UUID, ...]
    by_line: tuple[int, ...]
    shipping: int
    gift: tuple[str, int] | None
    unfit: dict[UUID, tuple[str, int | None]]


def in_scope(terms: Terms, cart: Cart) -> list[int]:
    """Return the places of the lines a coupon is for."""
    scope, found = terms.scope, []
    for place, line in enumerate(cart.lines):
        wanted = not (scope.products or scope.categories) or line.sku in scope.products or line.category in scope.categories
        if wanted and line.sku not in scope.excluded_products and line.category not in scope.excluded_categories:
            found.append(place)
    return found


def why_not(held: Held, cart: Cart) -> tuple[str, int | None] | None:  # noqa: PLR0911 - one for each reason
    """Return the first reason of the document's list that keeps a coupon from this cart, and what is missing."""
    terms, scope = held.terms, held.terms.scope
    if held.state != "issued":
        return "not_available", None
    if cart.at >= held.valid_until:
        return "expired", None
    if cart.at < held.valid_from:
        return "not_started", None
    if any(first <= cart.day <= last for first, last in terms.blackouts):
        return "blacked_out", None
    if terms.hours and not any(minute_in(window, cart) for window in terms.hours):
        return "outside_hours", None
    for reason, allowed, here in (
        ("other_channel", scope.channels, cart.channel),
        ("other_store", scope.stores, cart.store),
        ("other_tier", scope.tiers, cart.tier),
    ):
        if allowed and here not in allowed:
            return reason, None
    if terms.first_order_only and not cart.first_order:
        return "not_first_order", None
    base = sum(cart.lines[place].quantity * cart.lines[place].unit_price_fen for place in in_scope(terms, cart))
    if not base:
        return "no_matching_goods", None
    threshold = min(step[0] for step in terms.steps) if terms.kind == "steps" else terms.threshold_fen
    if base < threshold:
        return "threshold_not_reached", threshold - base
    if terms.kind != "gift" and total_of(play([held], cart)) == 0:
        return "no_saving", None
    return None


def minute_in(window: Window, cart: Cart) -> bool:
    """Tell whether the cart's minute is in a window, by counting every minute of its week."""
    now = (cart.day.isoweekday() - 1) * 1440 + cart.clock.hour * 60 + cart.clock.minute
    length = window.end - window.start if window.end > window.start else window.end + 1440 - window.start
    begins = [(day - 1) * 1440 + window.start for day in window.weekdays or range(1, 8)]
    return any((now - begin) % (7 * 1440) < length for begin in begins)


def place_in_order(held: Held, cart: Cart) -> tuple[Any, ...]:
    """Return what the document applies coupons in order of."""
    terms = held.terms
    kind = {"amount_off": 0, "steps": 0, "exchange": 1, "percent_off": 2, "free_shipping": 3, "gift": 4}[terms.kind.value]
    cap = Fraction(-terms.cap_fen) if terms.cap_fen is not None else Fraction(-(10**20))
    return (terms.priority, kind, -face(terms, cart), -terms.percent_off, cap, in_scope(terms, cart), held.valid_until, held.coupon_id)


def face(terms: Terms, cart: Cart) -> int:
    """Return the fixed amount of a coupon: its own, or that of the highest step the goods reach."""
    if terms.kind != "steps":
        return terms.amount_off_fen
    base = sum(cart.lines[place].amount_fen for place in in_scope(terms, cart))
    return max([amount for threshold, amount in terms.steps if base >= threshold], default=0)


def split(amount: int, weights: list[int]) -> list[int]:
    """Split by largest remainder, with fractions."""
    if not amount:
        return [0] * len(weights)
    exact = [Fraction(amount * weight, sum(weights)) for weight in weights]
    parts = [int(share) for share in exact]
    while sum(parts) < amount:
        behind = [share - part for share, part in zip(exact, parts, strict=True)]
        parts[behind.index(max(behind))] += 1
    return parts


def play(coupons: list[Held], cart: Cart) -> list[tuple[UUID, list[int], int]]:
    """Apply coupons one after the other; return what each takes off the lines and off the shipping."""
    left, shipping, done = [line.quantity * line.unit_price_fen for line in cart.lines], cart.shipping_fen, []
    for held in sorted(coupons, key=lambda one: place_in_order(one, cart)):
        terms, places, off, off_shipping = held.terms, in_scope(held.terms, cart), [0] * len(left), 0
        cap = terms.cap_fen if terms.cap_fen is not None else 10**20
        if terms.kind == "free_shipping":
            off_shipping = min(cap, shipping)
        elif terms.kind == "exchange":
            dearest = max((min(cart.lines[place].unit_price_fen, left[place]) for place in places), default=0)
            for place in places:
                if dearest and min(cart.lines[place].unit_price_fen, left[place]) == dearest:
                    off[place] = min(dearest, cap)
                    break
        elif terms.kind != "gift":
            base = sum(left[place] for place in places)
            amount = base * terms.percent_off // 100 if terms.kind == "percent_off" else min(face(terms, cart), base)
            for place, part in zip(places, split(min(amount, cap), [left[place] for place in places]), strict=True):
                off[place] = part
        left = [have - part for have, part in zip(left, off, strict=True)]
        shipping -= off_shipping
        done.append((held.coupon_id, off, off_shipping))
    return done


def total_of(played: list[tuple[UUID, list[int], int]]) -> int:
    """Return what coupons take off together."""
    return sum(sum(off) + shipping for _, off, shipping in played)


def worth(held: Held, cart: Cart) -> int:
    """Return what leaves the wallet with a coupon: its face, or what it takes off alone where that is more."""
    terms = held.terms
    faces = {
        "amount_off": terms.amount_off_fen,
        "steps": max((amount for _, amount in terms.steps), default=0),
        "gift": terms.gift_value_fen,
    }
    return max(faces.get(terms.kind.value, terms.cap_fen or 0), total_of(play([held], cart)))


def try_everything(cart: Cart, wallet: list[Held]) -> Answer:
    """Return the best of all combinations."""
    unfit = {held.coupon_id: reason for held in wallet if (reason := why_not(held, cart)) is not None}
    usable = [held for held in wallet if held.coupon_id not in unfit]
    total = sum(line.amount_fen for line in cart.lines) + cart.shipping_fen
    worths = {held.coupon_id: worth(held, cart) for held in usable}
    ranked = []
    for size in range(MOST + 1):
        for some in combinations(usable, size):
            gifts = [held.terms for held in some if held.terms.kind == "gift"]
            alone = any(not held.terms.combinable for held in some) and size > 1
            if alone or len(gifts) > 1 or len({held.terms.exclusion_group for held in some}) < size:
                continue
            ranked.append(
                (
                    total - total_of(play(list(some), cart)),
                    (-len(gifts), -sum(gift.gift_value_fen for gift in gifts)),
                    sum(worths[held.coupon_id] for held in some),
                    sorted(held.valid_until for held in some),
                    size,
                    sorted(held.coupon_id for held in some),
                )
            )
    first = min(ranked)
    chosen = [held for held in usable if held.coupon_id in first[-1]]
    played = play(chosen, cart)
    gift = next(((held.terms.gift_sku, held.terms.gift_quantity) for held in chosen if held.terms.kind == "gift"), None)
    by_line = tuple(sum(off[place] for _, off, _ in played) for place in range(len(cart.lines)))
    return Answer(first[0], tuple(first[-1]), by_line, sum(each[2] for each in played), gift, unfit)


def told(found: Quote, unfit: dict[UUID, Any]) -> Answer:
    """Return what the product says, in the same words; the reasons only of coupons that do not fit by themselves."""
    gift = None if found.gift is None else (found.gift.sku, found.gift.quantity)
    reasons = {each.coupon_id: (each.reason, each.facts.get("missing_fen")) for each in found.refused}
    weighed = {"group_taken", "not_combinable", "one_gift", "too_many", "no_further_saving"}
    plain = {key: reason for key, reason in reasons.items() if key in unfit or reason[0] not in weighed}
    ids = tuple(sorted(each.coupon_id for each in found.applied))
    return Answer(found.payable_fen, ids, found.line_discounts_fen, found.shipping_discount_fen, gift, plain)


def some_terms(random: Random) -> Terms:
    """Return terms that meet in one cart often enough to get in each other's way."""
    kind = random.choice(list(Kind))
    scope = Scope(
        products=tuple(random.sample(("a1", "a2", "b1", "b2"), random.choice((0, 0, 0, 0, 1, 2)))),
        categories=tuple(random.sample(("a", "b"), random.choice((0, 0, 0, 1)))),
        excluded_products=tuple(random.sample(("a1", "b2"), random.choice((0, 0, 0, 1)))),
        channels=random.choice(((),) * 12 + (("till",), ("mini_program",))),
        stores=random.choice(((),) * 12 + (("S1",), ("S2",))),
        tiers=random.choice(((),) * 12 + (("gold",), ("black",))),
    )
    amounts = sorted(random.sample(range(1, 2500), 3))
    many = random.randint(1, 3)
    steps = tuple((threshold + 500, amount) for threshold, amount in zip(sorted(random.sample(range(2000, 9000), 3)), amounts, strict=True))
    capped = kind in {Kind.PERCENT_OFF, Kind.FREE_SHIPPING, Kind.EXCHANGE}
    return Terms(
        name=random.choice(("one", "two")),
        kind=kind,
        amount_off_fen=random.choice((random.randint(1, 3000), 1000, 500)) if kind is Kind.AMOUNT_OFF else 0,
        percent_off=random.choice((random.randint(1, 99), 20)) if kind is Kind.PERCENT_OFF else 0,
        cap_fen=random.choice((None, random.randint(1, 2000))) if capped else None,
        threshold_fen=random.choice((0, 0, 0, 500, 3000)) if kind is not Kind.STEPS else 0,
        scope=scope,
        blackouts=random.choice(((),) * 19 + (((DAY, DAY + timedelta(days=1)),),)),
        exclusion_group=random.choice(("goods", "more", "third", "fourth", "fifth")),
        combinable=random.random() < 0.9,
        priority=random.choice((1, 2)),
        steps=steps[:many] if kind is Kind.STEPS else (),
        gift_sku="free-1" if kind is Kind.GIFT else "",
        gift_quantity=random.randint(1, 2) if kind is Kind.GIFT else 0,
        gift_value_fen=random.choice((500, 700)) if kind is Kind.GIFT else 0,
        hours=tuple(some_window(random) for _ in range(random.choice((0,) * 10 + (1, 2)))),
        first_order_only=random.random() < 0.06,
    )


def some_window(random: Random) -> Window:
    """Return a window of the week."""
    start, end = random.sample(range(0, 1440, 30), 2)
    return Window(start, random.choice((end, 1440)), tuple(sorted(random.sample(range(1, 8), random.choice((0, 0, 3, 6))))))


def some_case(random: Random) -> tuple[Cart, list[Held]]:
    """Return a cart and a wallet."""
    lines = []
    for _ in range(random.randint(1, 6)):
        sku = random.choice(("a1", "a2", "b1", "b2"))
        lines.append(CartLine(sku, random.randint(1, 3), random.choice((0, 1, random.randint(1, 3000), 1000)), sku[0]))
    cart = Cart(
        tuple(lines),
        START,
        DAY,
        random.choice((0, random.randint(1, 1500))),
        random.choice(("till", "mini_program", None)),
        random.choice(("S1", None)),
        random.choice(("gold", None)),
        time(random.randrange(24), random.randrange(60)),
        random.choice((True, False, None)),
    )
    several = [some_terms(random) for _ in range(random.randint(1, 8))]
    several += random.sample(several, min(len(several), random.choice((0, 1, 2))))
    wallet = []
    for number, terms in enumerate(several, 1):
        state = random.choice(("issued",) * 14 + ("locked",))
        begins, ends = random.choice((-1,) * 19 + (1,)), random.choice((2, 3, 4, 4) * 8 + (0,))
        wallet.append(Held(UUID(int=number), terms, state, START + timedelta(days=begins), START + timedelta(days=ends)))
    random.shuffle(wallet)
    return cart, wallet


def check(seed: int, count: int) -> int:
    """Compare ``count`` random quotes; return how many coupons were applied in all, so that nobody compares nothing.

    Raises:
        AssertionError: naming the seed and the number of the first one that differs.
    """
    applied = 0
    for number in range(count):
        cart, wallet = some_case(Random(f"{seed}:{number}"))
        expected = try_everything(cart, wallet)
        found = told(best(cart, wallet), expected.unfit)
        assert found == expected, f"seed {seed}, number {number}: {found} is not {expected}"
        applied += len(expected.ids)
    return applied


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--count", type=int, default=100_000)
    asked.add_argument("--seed", type=int, default=1)
    given = asked.parse_args()
    began = watch.perf_counter()
    coupons = check(given.seed, given.count)
    print(f"{given.count:,} quotes agree, {coupons:,} coupons applied, seed {given.seed}, {watch.perf_counter() - began:.0f} s")
