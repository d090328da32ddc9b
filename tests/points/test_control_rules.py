"""The arithmetic of control: limits, months, liability, breakage."""

from __future__ import annotations

from datetime import date

from server.points.control_rules import (
    ACCOUNTS,
    COLUMN_OF_KIND,
    MOVES,
    account_months,
    breakage,
    last_day,
    liability_fen,
    liability_points,
    months_to_close,
    needs_second_person,
)
from server.points.models import ENTRY_KINDS, MEMBER_ACCOUNTS, SYSTEM_ACCOUNTS


def test_the_limit_holds_for_one_adjustment_and_for_the_day_in_both_directions():
    wanted = [needs_second_person(points, today, 100) for points, today in ((100, 0), (-100, 0), (101, 0), (-101, 0), (1, 99), (1, 100))]
    assert wanted == [False, False, True, True, False, True]


def test_months_are_closed_once_over_in_order_and_not_on_the_first_of_the_next():
    first = date(2025, 11, 17)
    assert months_to_close(None, None, date(2026, 2, 2)) == []
    assert months_to_close(first, None, date(2026, 2, 2)) == [date(2025, 11, 1), date(2025, 12, 1), date(2026, 1, 1)]
    assert months_to_close(first, date(2025, 12, 1), date(2026, 2, 1)) == []
    assert months_to_close(first, date(2025, 12, 1), date(2026, 2, 2)) == [date(2026, 1, 1)]
    assert [last_day(date(*month, 1)).day for month in ((2025, 12), (2026, 2), (2028, 2))] == [31, 28, 29]


def test_a_month_adds_up_on_every_account_and_tells_forgiven_from_taken_back():
    sums = {
        ("issuer", "accrue"): -100, ("pending", "accrue"): 60, ("available", "accrue"): 40,
        ("pending", "unlock"): -10, ("available", "unlock"): 10,
        ("available", "redeem"): -30, ("redeemed", "redeem"): 30, ("redeemed", "return"): -5, ("available", "return"): 5,
        ("available", "expire"): -3, ("expired", "expire"): 3,
        ("available", "reverse"): -7, ("forgiven", "reverse"): -4, ("issuer", "reverse"): 11,
        ("available", "adjust"): 2, ("issuer", "adjust"): -2,
    }  # fmt: skip
    rows = {row.account: row for row in account_months({"available": 1000, "issuer": -1000}, sums)}
    assert set(rows) == set(ACCOUNTS)
    assert sum(row.closing for row in rows.values()) == 0
    assert all(sum(getattr(row, move) for row in rows.values()) == 0 for move in MOVES)
    assert (rows["issuer"].reversed, rows["issuer"].forgiven, rows["forgiven"].reversed, rows["forgiven"].forgiven) == (7, 4, 0, -4)
    assert (rows["available"].redeemed, rows["available"].closing, rows["pending"].closing) == (-25, 1017, 50)
    assert liability_points(rows.values()) == 1067


def test_every_kind_of_entry_and_every_account_has_its_place_in_a_month():
    assert set(COLUMN_OF_KIND) == set(ENTRY_KINDS)
    assert set(COLUMN_OF_KIND.values()) | {"forgiven"} == set(MOVES)
    assert set(ACCOUNTS) == {*MEMBER_ACCOUNTS, *SYSTEM_ACCOUNTS}


def test_a_debt_is_rounded_up_and_a_share_of_nothing_is_none():
    assert [liability_fen(points, 300) for points in (0, 1, 3, 4)] == [0, 1, 1, 2]
    assert [breakage(*each) for each in ((0, 0), (3, 1), (100, 12))] == [None, 3333, 1200]
