"""How the sales of one order are shared out among the coupons redeemed on it.

An order is one sale, however many coupons it took: each coupon drove a part of it, and the parts add up to the sale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.kernel.amounts import split_by_largest_remainder

if TYPE_CHECKING:
    from collections.abc import Sequence


def order_sales_fen(told_fen: Sequence[int | None]) -> int:
    """Return what an order came to, by what its coupons were told.

    A till that redeems coupons one by one tells with each what is left to pay so far: the least is what was paid.

    Arguments:
        told_fen: what each redemption told, None where it told nothing.

    Returns:
        Fen; 0 when none of them told anything.
    """
    return min((each for each in told_fen if each is not None), default=0)


def shares_fen(sales_fen: int, costs_fen: Sequence[int]) -> list[int]:
    """Return each coupon's part of an order's sales.

    By what each coupon cost, by largest remainder to the fen; in equal parts when none of them cost anything.

    Arguments:
        sales_fen: what the order came to, 0 or more.
        costs_fen: what each coupon took off or gave away, 0 where it is not known; not empty.

    Returns:
        A part for each coupon, in their order; together ``sales_fen``.
    """
    return split_by_largest_remainder(sales_fen, costs_fen if any(costs_fen) else [1] * len(costs_fen))
