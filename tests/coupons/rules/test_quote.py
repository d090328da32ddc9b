"""The quote is the best there is, exact to the fen, and gives a reason for every coupon it leaves out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import combinations
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from server.coupons.reasons import REASONS
from server.coupons.rules import quote as rules
from server.coupons.rules.hours import Window
from server.coupons.rules.quote import Cart, CartLine, Gift, Held
from server.coupons.rules.terms import Kind, Scope, Terms
from tests.conftest import START

NOW = START
DAY = date(2026, 6, 15)


def held(number: int, terms: Terms, *, days: int = 30, state: str = "issued") -> Held:
    return Held(UUID(int=number), terms, state, NOW - timedelta(days=1), NOW + timedelta(days=days))


def a_cart(*lines: tuple[str, int, int], shipping_fen: int = 0, **more) -> Cart:
    return Cart(tuple(CartLine(sku, quantity, price, sku[0]) for sku, quantity, price in lines), NOW, DAY, shipping_fen, **more)


def off(fen: int, over: int = 0, **more) -> Terms:
    return Terms(name="减", kind=Kind.AMOUNT_OFF, amount_off_fen=fen, threshold_fen=over, **more)


def percent(number: int, **more) -> Terms:
    return Terms(name="折", kind=Kind.PERCENT_OFF, percent_off=number, **more)


def shipping(**more) -> Terms:
    return Terms(name="包邮", kind=Kind.FREE_SHIPPING, exclusion_group="shipping", **more)


def reasons(found: rules.Quote) -> dict[int, str]:
    return {each.coupon_id.int: each.reason for each in found.refused}


def test_twenty_off_a_hundred_is_split_over_the_lines_to_the_fen():
    found = rules.best(a_cart(("a1", 3, 3333), ("b1", 1, 1)), [held(1, off(2000, 10000))])
    assert found.line_discounts_fen == (2000, 0)
    assert found.payable_fen == 8000
    found = rules.best(a_cart(("a1", 1, 1), ("a2", 1, 1), ("a3", 1, 1)), [held(1, off(2))])
    assert found.line_discounts_fen == (1, 1, 0)


def test_a_percentage_is_cut_at_its_cap_and_rounded_down():
    assert rules.best(a_cart(("a1", 1, 99999)), [held(1, percent(20, cap_fen=5000))]).discount_fen == 5000
    assert rules.best(a_cart(("a1", 1, 99)), [held(1, percent(20))]).discount_fen == 19


def test_free_shipping_goes_with_a_coupon_on_goods():
    found = rules.best(a_cart(("a1", 1, 10000), shipping_fen=1200), [held(1, off(2000)), held(2, shipping(cap_fen=1000))])
    assert (found.payable_fen, found.shipping_discount_fen, len(found.applied)) == (8200, 1000, 2)


def test_an_exchange_coupon_pays_for_the_dearest_unit_in_scope():
    terms = Terms(name="兑换", kind=Kind.EXCHANGE, scope=Scope(products=("a1", "a2")))
    found = rules.best(a_cart(("a1", 2, 300), ("a2", 1, 500), ("b1", 1, 900)), [held(1, terms)])
    assert found.line_discounts_fen == (0, 500, 0)


def test_every_refusal_has_its_reason():
    soon = replace(held(3, off(100)), valid_from=NOW + timedelta(hours=1))
    wallet = [
        held(1, off(2000, 10000)),
        held(2, off(100), days=-1),
        soon,
        held(4, off(100), state="locked"),
        held(5, off(100, blackouts=((DAY, DAY),))),
        held(6, off(100, scope=Scope(channels=("till",)))),
        held(7, off(100, scope=Scope(stores=("S1",)))),
        held(8, off(100, scope=Scope(tiers=("gold",)))),
        held(9, off(100, scope=Scope(products=("zz",)))),
        held(10, off(100, scope=Scope(excluded_categories=("a",)))),
        held(11, shipping()),
        held(14, off(100, hours=(Window(0, 60),))),
        held(15, off(100, first_order_only=True)),
        held(16, Terms(name="档", kind=Kind.STEPS, steps=((9100, 10), (9200, 20)))),
        held(12, off(50)),
        held(13, off(60)),
    ]
    found = rules.best(a_cart(("a1", 1, 9000), channel="mini_program"), wallet)
    assert reasons(found) == {
        1: "threshold_not_reached",
        2: "expired",
        3: "not_started",
        4: "not_available",
        5: "blacked_out",
        6: "other_channel",
        7: "other_store",
        8: "other_tier",
        9: "no_matching_goods",
        10: "no_matching_goods",
        11: "no_saving",
        12: "group_taken",
        14: "outside_hours",
        15: "not_first_order",
        16: "threshold_not_reached",
    }
    assert next(each.facts for each in found.refused if each.coupon_id.int == 1) == {"missing_fen": 1000}
    assert set(reasons(found).values()) <= set(REASONS)


def gift(value_fen: int, **more) -> Terms:
    return Terms(
        name="赠", kind=Kind.GIFT, gift_sku=f"G{value_fen}", gift_quantity=2, gift_value_fen=value_fen, exclusion_group="gift", **more
    )


def test_the_highest_step_reached_counts_and_never_more_than_the_goods():
    steps = Terms(name="档", kind=Kind.STEPS, steps=((10000, 1000), (20000, 3000), (30000, 5000)))
    assert [rules.best(a_cart(("a1", 1, fen)), [held(1, steps)]).discount_fen for fen in (9999, 10000, 29999, 30000)] == [
        0,
        1000,
        3000,
        5000,
    ]


def test_one_gift_goes_along_and_never_in_the_place_of_a_saving():
    wallet = [held(1, gift(500)), held(2, replace(gift(900), exclusion_group="other")), held(3, off(1000))]
    found = rules.best(a_cart(("a1", 1, 9000)), wallet)
    assert (found.payable_fen, found.gift, reasons(found)) == (8000, Gift("G900", 2), {1: "one_gift"})
    assert rules.best(a_cart(("a1", 1, 9000)), wallet, max_stacked=1).gift is None
    first = rules.best(a_cart(("a1", 1, 9000), first_order=True), [held(1, gift(500, first_order_only=True))])
    assert first.gift == Gift("G500", 2)


def test_a_coupon_that_goes_alone_is_weighed_against_all_the_others():
    groups = [held(number, off(1000, exclusion_group=f"g{number}")) for number in (1, 2, 3, 4)]
    alone = held(9, off(2900, combinable=False))
    found = rules.best(a_cart(("a1", 1, 9000)), [*groups, alone])
    assert found.discount_fen == 3000
    assert reasons(found) == {4: "too_many", 9: "not_combinable"}
    found = rules.best(a_cart(("a1", 1, 9000)), [*groups, held(9, off(3100, combinable=False))])
    assert found.discount_fen == 3100


def test_of_equal_prices_the_coupon_worth_less_and_ending_first_is_spent():
    found = rules.best(a_cart(("a1", 1, 1000)), [held(1, off(5000), days=2), held(2, off(1000), days=9), held(3, off(1000), days=5)])
    assert [each.coupon_id.int for each in found.applied] == [3]


def test_a_coupon_that_saves_nothing_more_stays_in_the_wallet():
    found = rules.best(a_cart(("a1", 1, 1000)), [held(1, off(1000)), held(2, off(500, exclusion_group="more"))])
    assert reasons(found) == {2: "no_further_saving"}


def test_what_the_goods_cost_after_the_coupons_leaves_the_shipping_out():
    found = rules.best(a_cart(("a1", 1, 1000), shipping_fen=500), [held(1, off(400))])
    assert (found.goods_left_fen, found.payable_fen) == (600, 1100)


SKUS = ("a1", "a2", "b1", "b2")
scopes = st.builds(
    Scope,
    products=st.lists(st.sampled_from(SKUS), max_size=2, unique=True).map(tuple),
    categories=st.lists(st.sampled_from("ab"), max_size=1).map(tuple),
    excluded_products=st.lists(st.sampled_from(SKUS), max_size=1).map(tuple),
)
common = {
    "threshold_fen": st.sampled_from((0, 0, 500, 3000)),
    "scope": scopes,
    "exclusion_group": st.sampled_from(("goods", "more", "third", "fourth")),
    "combinable": st.sampled_from((True, True, True, False)),
    "priority": st.sampled_from((1, 2)),
}
caps = st.none() | st.integers(1, 2000)
terms = st.one_of(
    st.builds(Terms, name=st.just("a"), kind=st.just(Kind.AMOUNT_OFF), amount_off_fen=st.integers(1, 3000), **common),
    st.builds(Terms, name=st.just("p"), kind=st.just(Kind.PERCENT_OFF), percent_off=st.integers(1, 99), cap_fen=caps, **common),
    st.builds(Terms, name=st.just("s"), kind=st.just(Kind.FREE_SHIPPING), cap_fen=caps, **common),
    st.builds(Terms, name=st.just("e"), kind=st.just(Kind.EXCHANGE), cap_fen=caps, **common),
)
lines = st.lists(st.tuples(st.sampled_from(SKUS), st.integers(1, 3), st.integers(0, 3000)), min_size=1, max_size=4)


@st.composite
def wallets(draw: st.DrawFn) -> list[Held]:
    several = draw(st.lists(terms, max_size=5))
    doubled = several + ([draw(st.sampled_from(several))] if several else [])
    return [held(number, each, days=draw(st.integers(1, 3))) for number, each in enumerate(doubled, 1)]


@settings(max_examples=300, deadline=None)
@given(lines=lines, shipping_fen=st.integers(0, 1500), wallet=wallets())
def test_no_combination_beats_the_quote(lines, shipping_fen, wallet):
    cart = a_cart(*lines, shipping_fen=shipping_fen)
    found = rules.best(cart, wallet)
    weighed = {"group_taken", "not_combinable", "too_many", "no_further_saving"}
    told = {each.coupon_id: each.reason for each in found.refused}
    usable = [each for each in wallet if each.coupon_id not in told or told[each.coupon_id] in weighed]
    total = cart.goods_fen + shipping_fen
    ranked = []
    for size in range(4):
        for some in combinations(usable, size):
            if rules.may_combine(some, 3):
                payable = total - sum(each.discount_fen for each in rules.apply(cart, some))
                worth = sum(max(rules.apply(cart, [each])[0].discount_fen, each.terms.worst_case_fen() or 0) for each in some)
                ends = tuple(sorted(each.valid_until for each in some))
                ranked.append((payable, worth, ends, len(some), tuple(sorted(each.coupon_id for each in some))))
    expected = min(ranked)
    assert found.payable_fen == expected[0]
    assert tuple(sorted(each.coupon_id for each in found.applied)) == expected[-1]


@settings(max_examples=300, deadline=None)
@given(lines=lines, shipping_fen=st.integers(0, 1500), wallet=wallets())
def test_the_parts_of_a_quote_add_up(lines, shipping_fen, wallet):
    cart = a_cart(*lines, shipping_fen=shipping_fen)
    found = rules.best(cart, wallet)
    assert found.payable_fen + sum(found.line_discounts_fen) + found.shipping_discount_fen == cart.goods_fen + shipping_fen
    assert sum(each.discount_fen for each in found.applied) == found.discount_fen
    assert all(0 <= part <= line.amount_fen for part, line in zip(found.line_discounts_fen, cart.lines, strict=True))
    assert 0 <= found.shipping_discount_fen <= shipping_fen
    told = {each.coupon_id for each in found.applied} | {each.coupon_id for each in found.refused}
    assert told == {each.coupon_id for each in wallet}
    assert rules.best(cart, list(reversed(wallet))) == found
