"""Money and points do not mix, and a split loses nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.kernel.amounts import Money, Points, split_by_largest_remainder


def test_an_amount_is_whole():
    for wrong in (1.5, "1", True, None):
        with pytest.raises(TypeError):
            Money(wrong)
        with pytest.raises(TypeError):
            Points(wrong)


def test_amounts_add_subtract_and_read_well():
    assert Money(1990) + Money(10) - Money(2000) == Money(0)
    assert -Points(3) * 2 == Points(-6)
    assert str(Money(-123456)) == "-1,234.56"
    assert str(Points(12345)) == "12,345"
    assert not Money(0)
    assert Points(1)


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=40))
def test_parts_sum_to_the_total_and_stay_within_one_of_their_share(total, weights):
    parts = split_by_largest_remainder(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    if whole:
        for part, weight in zip(parts, weights, strict=True):
            assert total * weight // whole <= part <= total * weight // whole + 1
            assert weight or not part


def test_equal_remainders_go_to_the_earlier_place():
    assert split_by_largest_remainder(2, [1, 1, 1]) == [1, 1, 0]
    assert split_by_largest_remainder(7, [0, 0]) == [7, 0]
    assert split_by_largest_remainder(0, []) == []


def test_a_split_refuses_what_it_cannot_do():
    for total, weights in ((-1, [1]), (1, [-1]), (1, [])):
        with pytest.raises(ValueError):
            split_by_largest_remainder(total, weights)
