"""How long one quote takes, in this process: 20 lines with 20 coupons, 100 lines with 50, in a few groups and with a group for each."""

from __future__ import annotations

import statistics
import sys
import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from random import Random
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from server.coupons.rules.cart import Cart, CartLine, Held
from server.coupons.rules.quote import best
from server.coupons.rules.terms import Kind, Scope, Terms

QUOTES = 200
NOW = datetime(2026, 6, 15, 4, tzinfo=UTC)
SIZES = ((20, 20, 15), (100, 50, 60))
CATEGORIES, PRODUCTS = 12, 300


def a_cart(random: Random, lines: int) -> Cart:
    """Return a cart of so many lines, most of them of several pieces."""
    goods = tuple(
        CartLine(f"s{random.randrange(PRODUCTS)}", random.randint(1, 5), random.randint(100, 30_000), f"c{random.randrange(CATEGORIES)}")
        for _ in range(lines)
    )
    return Cart(goods, NOW, date(2026, 6, 15), 1200, "till", "S1", "gold", clock(12), first_order=True)


def some_terms(random: Random, group: str) -> Terms:
    """Return terms that hold for the cart; every kind, narrow and wide."""
    kind = random.choice(list(Kind))
    capped = kind in {Kind.PERCENT_OFF, Kind.FREE_SHIPPING, Kind.EXCHANGE}
    return Terms(
        name=group,
        kind=kind,
        amount_off_fen=random.randrange(500, 20_000, 100) if kind is Kind.AMOUNT_OFF else 0,
        percent_off=random.randint(5, 50) if kind is Kind.PERCENT_OFF else 0,
        cap_fen=random.choice((None, random.randrange(1000, 50_000, 500))) if capped else None,
        scope=Scope(
            categories=tuple(f"c{number}" for number in random.sample(range(CATEGORIES), random.choice((0, 0, 3, 6, 8)))),
            excluded_products=tuple(f"s{number}" for number in random.sample(range(PRODUCTS), random.choice((0, 0, 10)))),
        ),
        exclusion_group=group,
        combinable=random.random() < 0.95,
        priority=random.choice((100, 100, 50)),
        steps=((10_000, 1000), (50_000, random.randrange(3000, 9000)), (90_000, random.randrange(9000, 20_000)))
        if kind is Kind.STEPS
        else (),
        gift_sku="cup" if kind is Kind.GIFT else "",
        gift_quantity=int(kind is Kind.GIFT),
        gift_value_fen=random.randint(100, 3000) if kind is Kind.GIFT else 0,
    )


def a_wallet(random: Random, coupons: int, groups: int) -> list[Held]:
    """Return a wallet of so many coupons in at most so many groups."""
    return [
        Held(
            UUID(int=number + 1),
            some_terms(random, f"g{number if groups == coupons else random.randrange(groups)}"),
            "issued",
            NOW - timedelta(days=1),
            NOW + timedelta(days=random.randint(1, 90)),
        )
        for number in range(coupons)
    ]


def main() -> None:
    """Print the spread of each size."""
    for lines, coupons, goal_ms in SIZES:
        for groups in (5, coupons):
            took = []
            for number in range(QUOTES):
                random = Random(f"{lines}:{groups}:{number}")
                cart, wallet = a_cart(random, lines), a_wallet(random, coupons, groups)
                began = time.perf_counter()
                best(cart, wallet)
                took.append((time.perf_counter() - began) * 1000)
            cuts = statistics.quantiles(took, n=100)
            print(
                f"quote, {lines:3} lines, {coupons} coupons in {groups:2} groups: p50 {cuts[49]:5.1f} ms  p95 {cuts[94]:5.1f} ms  "
                f"max {max(took):5.1f} ms  (goal p95 ≤ {goal_ms} ms)"
            )


if __name__ == "__main__":
    main()
