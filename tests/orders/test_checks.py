"""What can be no sale and no event at all is refused, field by field; everything else is taken."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.orders import checks
from server.orders.checks import checked_draft, checked_event
from server.orders.drafts import LineDraft, MemberRef, OrderDraft, OrderEvent, RefundLine
from server.orders.errors import OrderInvalidError
from tests.conftest import START

LINE = LineDraft(1, "SKU-1", "龙井", 2, 9900, category="茶叶", unit_price_fen=5000, discount_fen=100)
DRAFT = OrderDraft("till", "1001", MemberRef(), START, (LINE,), 9900, store="S-1")
EVENT = OrderEvent("e-1", "refunded", START, refund_id="r-1", refund_fen=100, lines=(RefundLine(1, 1, 100),))


def refused(work) -> set[str]:
    with pytest.raises(OrderInvalidError) as caught:
        work()
    return set(caught.value.fields)


def test_a_sale_and_an_event_that_are_right_are_taken_as_they_are():
    assert checked_draft(DRAFT) is DRAFT
    assert checked_event(EVENT) is EVENT


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"channel": "a till"}, "channel"),
        ({"channel": "x" * 33}, "channel"),
        ({"external_no": ""}, "external_no"),
        ({"external_no": "9" * 81}, "external_no"),
        ({"external_no": " 1"}, "external_no"),
        ({"external_no": "1\n2"}, "external_no"),
        ({"lines": ()}, "lines"),
        ({"lines": tuple(replace(LINE, line_no=number) for number in range(1001))}, "lines"),
        ({"lines": (LINE, LINE)}, "lines.line_no"),
        ({"payable_fen": -1}, "payable_fen"),
        ({"discount_fen": -1}, "discount_fen"),
        ({"shipping_fen": 10**12 + 1}, "shipping_fen"),
        ({"points_paid_fen": -1}, "points_paid_fen"),
        ({"points_redeemed": -1}, "points_redeemed"),
        ({"store": ""}, "store"),
        ({"store": "s" * 65}, "store"),
    ],
)
def test_a_sale_that_cannot_be_is_refused_by_field(change, field):
    assert refused(lambda: checked_draft(replace(DRAFT, **change))) == {field}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sku": ""}, "sku"),
        ({"sku": "s" * 65}, "sku"),
        ({"name": "  "}, "name"),
        ({"category": ""}, "category"),
        ({"category": "c" * 121}, "category"),
        ({"quantity": -1}, "quantity"),
        ({"amount_fen": -1}, "amount_fen"),
        ({"discount_fen": 10**12 + 1}, "discount_fen"),
        ({"unit_price_fen": -1}, "unit_price_fen"),
        ({"line_no": -1}, "line_no"),
    ],
)
def test_a_line_that_cannot_be_is_refused_by_its_place_and_field(change, field):
    draft = replace(DRAFT, lines=(replace(LINE, line_no=7), replace(LINE, **change)))
    assert refused(lambda: checked_draft(draft)) == {f"lines.1.{field}"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "lost"}, "kind"),
        ({"event_id": ""}, "event_id"),
        ({"event_id": "e" * 101}, "event_id"),
        ({"refund_id": ""}, "refund_id"),
        ({"carrier": "c" * 41}, "carrier"),
        ({"tracking_no": "1\x00"}, "tracking_no"),
        ({"refund_fen": -1}, "refund_fen"),
        ({"lines": (RefundLine(1, -1, None),)}, "lines.0"),
        ({"lines": (RefundLine(1, 1, None), RefundLine(2, 1, 10**12 + 1))}, "lines.1"),
    ],
)
def test_an_event_that_cannot_be_is_refused_by_field(change, field):
    assert refused(lambda: checked_event(replace(EVENT, **change))) == {field}


AMOUNTS = st.sampled_from([-1, 0, 1, 10**9, 10**9 + 1, 10**12, 10**12 + 1])
TEXTS = st.sampled_from(["", " ", "x", " x", "x" * 64, "x" * 65, "x" * 120, "x" * 121, "x" * 191, "x" * 192, "a\nb"])


@given(st.builds(LineDraft, AMOUNTS, TEXTS, TEXTS, AMOUNTS, AMOUNTS, st.none() | TEXTS, st.none() | AMOUNTS, AMOUNTS))
def test_the_quick_look_at_a_line_agrees_with_the_list_of_what_is_wrong(line):
    assert checks._is_right(line) is (checks._wrong_in(line) == {})
