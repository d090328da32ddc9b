"""One row of opening balances: its columns in two languages, and each reason for refusing it."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest

from server.points.opening_rules import RowRefusedError, columns_of, read_balance

TODAY = date(2026, 6, 15)
COLUMNS = columns_of(("卡号", "积分", "到期日", "备注", "编号"))


def read(*cells):
    return read_balance(cells, COLUMNS, TODAY)


def test_a_row_is_read_and_named_by_its_own_id_or_by_member_and_expiry():
    assert read("C1", "1,250", "2026/12/31", "旧系统", "A7") == read(" C1 ", "1250", "20261231", "旧系统", "A7")
    assert {read("C1", "5", day, "", "").expires_on for day in ("2026-12-31T00:00:00", "2026/12/31 23:59", "2026-12-31 23:59:59.9")} == {
        date(2026, 12, 31)
    }
    first, second, other = read("C1", "5", "2026-12-31", "", ""), read("C2", "6", "2026-12-31", "", ""), read("C1", "5", "", "", "")
    member, another = UUID(int=1), UUID(int=2)
    assert first.key_of(member) == second.key_of(member) != other.key_of(member) != other.key_of(another)
    assert read("C1", "5", "", "", "A7").key_of(member) == "A7"
    assert (other.kind, other.who, other.expires_on) == ("card_no", "C1", None)


@pytest.mark.parametrize(
    ("cells", "column", "reason"),
    [
        (("", "5", "", "", ""), "card_no", "empty"),
        (("C1", "0", "", "", ""), "points", "not_a_number_of_points"),
        (("C1", "-5", "", "", ""), "points", "not_a_number_of_points"),
        (("C1", "1.5", "", "", ""), "points", "not_a_number_of_points"),
        (("C1", "9" * 5000, "", "", ""), "points", "not_a_number_of_points"),
        (("C1", "5", "2026-12-31x", "", ""), "expires_on", "not_a_day"),
        (("C1", "5", "2026-06-14", "", ""), "expires_on", "expired"),
        (("C1", "5", "31.12.2026", "", ""), "expires_on", "not_a_day"),
        (("C1", "5", "", "x" * 201, ""), "note", "too_long"),
        (("C1", "5", "", "", "x" * 61), "id", "too_long"),
    ],
)
def test_what_cannot_be_read_names_its_column(cells, column, reason):
    with pytest.raises(RowRefusedError) as caught:
        read(*cells)
    assert (caught.value.column, caught.value.reason) == (column, reason)


def test_a_file_needs_members_and_points():
    for header in (("积分", "到期日"), ("phone", "expires_on")):
        with pytest.raises(RowRefusedError, match="column_missing"):
            columns_of(header)
