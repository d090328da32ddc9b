"""The quote agrees with trying everything; what it takes off each line comes back to the fen however the order is refunded."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from server.coupons.rules.quote import best
from server.orders.rules import LineMoney, Refund, RefundPart, refunded
from tests.properties.quotes import check, some_case


def test_no_combination_is_better_than_the_quote():
    assert check(seed=7, count=400) > 300


@pytest.mark.full
def test_no_combination_is_better_than_the_quote_at_size():
    assert check(seed=11, count=8000) > 6000


def test_the_discount_of_each_line_comes_back_to_the_fen_in_any_order_of_partial_refunds():
    split = 0
    for number in range(200):
        random = Random(f"refunds:{number}")
        cart, wallet = some_case(random)
        found = best(cart, wallet)
        paid = [line.amount_fen - off for line, off in zip(cart.lines, found.line_discounts_fen, strict=True)]
        lines = [LineMoney(place, line.quantity, paid[place]) for place, line in enumerate(cart.lines)]
        pieces = [Refund(parts=(RefundPart(line.line_no, 1, None),)) for line in lines for _ in range(line.quantity)]
        random.shuffle(pieces)
        back = [refunded(pieces[:many], lines, found.payable_fen).by_line for many in range(len(pieces) + 1)]
        steps = [after[line.line_no] - before[line.line_no] for before, after in pairwise(back) for line in lines]
        assert min(steps) >= 0
        assert sum(steps) == found.goods_left_fen == sum(paid)
        assert back[-1] == dict(enumerate(paid))
        split += sum(found.line_discounts_fen) > 0
    assert split > 100
