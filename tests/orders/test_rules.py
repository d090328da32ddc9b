"""Refunds, states and sources as pure rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.orders import rules
from server.orders.drafts import OrderEvent, RefundLine
from server.orders.errors import OrderInvalidError

AT = datetime(2026, 6, 15, tzinfo=UTC)


def a_refund(**fields):
    return OrderEvent("e", "refunded", AT, **fields)


lines_of = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99_999)), min_size=1, max_size=5).map(
    lambda pairs: [rules.LineMoney(place, quantity, paid) for place, (quantity, paid) in enumerate(pairs, start=1)]
)


@given(lines_of, st.data())
def test_refunds_add_up_alike_in_every_order_and_never_shrink(lines, data):
    part = st.builds(RefundLine, st.sampled_from([line.line_no for line in lines]), st.integers(0, 9), st.none() | st.integers(0, 99_999))
    events = data.draw(
        st.lists(
            st.builds(a_refund, refund_fen=st.none() | st.integers(0, 500_000), lines=st.lists(part, max_size=3).map(tuple)), max_size=5
        )
    )
    refunds = [rules.refund_of(event, lines) for event in events]
    payable = sum(line.paid_fen for line in lines)
    whole = rules.refunded(refunds, lines, payable)
    assert rules.refunded(data.draw(st.permutations(refunds)), lines, payable) == whole
    before = rules.refunded(refunds[:-1], lines, payable)
    for line in lines:
        assert before.by_line[line.line_no] <= whole.by_line[line.line_no] <= line.paid_fen


def test_three_thirds_are_a_whole():
    lines = [rules.LineMoney(1, 3, 100)]
    thirds = [rules.refund_of(a_refund(lines=(RefundLine(1, 1),)), lines)] * 3
    assert rules.refunded(thirds[:1], lines, 100).total_fen == 33
    assert rules.refunded(thirds, lines, 100) == rules.Refunded(100, {1: 100}, True)


def test_a_stated_amount_is_the_fact_and_lines_say_where_it_belongs():
    lines = [rules.LineMoney(1, 1, 100), rules.LineMoney(2, 2, 200)]
    refund = rules.refund_of(a_refund(refund_fen=90, lines=(RefundLine(1, 1), RefundLine(2, 1))), lines)
    assert rules.refunded([refund], lines, 300) == rules.Refunded(90, {1: 45, 2: 45}, False)
    with pytest.raises(OrderInvalidError):
        rules.refund_of(a_refund(lines=(RefundLine(9, 1),)), lines)


def test_the_first_fact_that_holds_tells_the_state():
    assert rules.state_of(rules.Facts()) == "placed"
    assert rules.state_of(rules.Facts(paid_at=AT, shipped_at=AT)) == "shipped"
    assert rules.state_of(rules.Facts(delivered_at=AT, cancelled_at=AT)) == "cancelled"
    assert set(rules.STAGE_OF) == {state for _, state in rules.STATE_OF_FACTS} | {"placed"}


def test_several_parcels_are_delivered_with_the_last():
    parcels = [rules.ParcelFact(AT, AT), rules.ParcelFact(AT, AT + timedelta(days=1))]
    assert rules.facts_of([], parcels, immediate=False, refunded_whole=False).delivered_at == AT + timedelta(days=1)
    assert rules.facts_of([], [*parcels, rules.ParcelFact(AT, None)], immediate=False, refunded_whole=False).delivered_at is None


def test_points_paid_are_shared_over_the_lines():
    assert rules.points_bases([100, 300], 100) == [75, 225]
    assert rules.points_bases([100], 500) == [0]
    assert rules.points_bases([], 0) == []


def test_no_two_orders_share_a_source():
    assert rules.source_key("order", "till", "1") == "order:till:1"
    assert rules.source_key("order", "a", "b:points") != rules.source_key("order", "a", "b", "points")
    long = [rules.source_key("refund", "c" * 32, "x" * 80, f"{'r' * 90}{place}") for place in range(2)]
    assert len(set(long)) == 2
    assert {len(key) for key in long} == {120}


def test_names_and_addresses_are_masked():
    assert rules.masked_name("王小明") == "王**"
    assert rules.masked_name("王") == "王*"
    assert rules.masked_address("上海市静安区南京西路 1 号") == "上海市静安区****"
