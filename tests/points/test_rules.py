"""Earning rules, expiry and refunds, without a database."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.kernel.ids import uuid7
from server.points.errors import RuleInvalidError
from server.points.rules import (
    CheckInRule,
    EarningContext,
    EarningLine,
    ExpiryPolicy,
    PerAmountRule,
    RuleRef,
    order_points,
    points_of_refund,
    points_taken_back,
    read_expiry,
    read_rule,
    streak_after,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")


def rule(code="purchase", fen_per_point=100, **more):
    return PerAmountRule(RuleRef(uuid7(), code, 1), fen_per_point, **more)


def context(*amounts, rules=None, **more):
    lines = [EarningLine(number, f"sku-{number}", "tea", fen) for number, fen in enumerate(amounts, start=1)]
    return EarningContext(lines, rules if rules is not None else [rule()], **more)


def test_points_are_rounded_down_once_per_order():
    earned = order_points(context(199, 199, 199))
    assert (earned.total, earned.by_line) == (5, [2, 2, 1])
    assert earned.rule.code == "purchase"
    assert earned.details["why"][0] == {
        "rule": "purchase",
        "version": 1,
        "basis_fen": 597,
        "fen_per_point": 100,
        "multiplier_percent": 100,
        "lines": [1, 2, 3],
        "points": 5,
    }


def test_the_tier_multiplies_before_rounding_unless_the_rule_says_no():
    assert order_points(context(1990, multiplier_percent=125)).total == 24
    assert order_points(context(1990, multiplier_percent=125, rules=[rule(use_tier_multiplier=False)])).total == 19


def test_a_line_earns_by_the_most_specific_rule_alone():
    rules = [rule(), rule("tea", 50, categories=frozenset({"tea"})), rule("hit", 10, skus=frozenset({"sku-2"}))]
    earned = order_points(context(1000, 1000, rules=rules))
    assert earned.by_line == [20, 100]
    assert [ref.code for ref in earned.rules] == ["hit", "tea"]


def test_a_store_rule_needs_the_store():
    rules = [rule(stores=frozenset({"S1"}))]
    assert order_points(context(1000, rules=rules, store="S1")).total == 10
    nothing = order_points(context(1000, rules=rules, store="S2"))
    assert (nothing.total, nothing.rule, nothing.reasons) == (0, None, [{"line_no": 1, "points": 0, "why": "no_rule_fits"}])


def test_a_daily_cap_leaves_what_is_left_of_the_day():
    earned = order_points(context(10_000, rules=[rule(max_points_per_day=60)], earned_today={"purchase": 20}))
    assert earned.total == 40
    assert earned.reasons[0]["why"] == "daily_cap"
    assert earned.reasons[0]["before_cap"] == 100
    assert order_points(context(10_000, rules=[rule(max_points_per_day=60)], earned_today={"purchase": 80})).total == 0


def test_free_lines_and_other_kinds_of_rules_earn_nothing():
    earned = order_points(context(0, rules=[CheckInRule(RuleRef(uuid7(), "c", 1), 5)]))
    assert (earned.total, earned.by_line, earned.reasons[0]["why"]) == (0, [0], "nothing_paid")


@given(st.lists(st.integers(0, 10**7), max_size=8), st.integers(1, 5000), st.integers(100, 1000))
def test_the_shares_of_lines_add_up_to_the_order(amounts, fen_per_point, percent):
    earned = order_points(context(*amounts, rules=[rule(fen_per_point=fen_per_point)], multiplier_percent=percent))
    assert earned.total == sum(earned.by_line) == sum(amounts) * percent // (fen_per_point * 100)
    assert all(share >= 0 for share in earned.by_line)


@given(st.integers(0, 10**6), st.lists(st.integers(1, 10**5), min_size=1, max_size=6), st.randoms())
def test_full_refunds_take_back_exactly_what_was_earned_in_any_order(points, refunds, random):
    random.shuffle(refunds)
    taken, before = 0, 0
    for refund in refunds:
        step = points_of_refund(points, sum(refunds), before, refund)
        assert step >= 0
        taken, before = taken + step, before + refund
    assert taken == points


def test_a_refund_beyond_what_was_paid_takes_no_more_than_was_earned():
    assert points_taken_back(10, 300, 100) == 3
    assert points_taken_back(10, 300, 999) == 10
    assert points_taken_back(10, 0, 5) == 0
    assert points_taken_back(10, 300, 0) == 0


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (ExpiryPolicy(), None),
        (ExpiryPolicy("days", 0), datetime(2026, 11, 30, 16, tzinfo=UTC)),
        (ExpiryPolicy("days", 30), datetime(2026, 12, 30, 16, tzinfo=UTC)),
        (ExpiryPolicy("month_end", 0), datetime(2026, 12, 31, 16, tzinfo=UTC)),
        (ExpiryPolicy("month_end", 12), datetime(2027, 12, 31, 16, tzinfo=UTC)),
        (ExpiryPolicy("year_end", 0), datetime(2026, 12, 31, 16, tzinfo=UTC)),
        (ExpiryPolicy("year_end", 1), datetime(2027, 12, 31, 16, tzinfo=UTC)),
    ],
)
def test_points_expire_at_the_end_of_a_day_in_the_shops_zone(policy, expected):
    # 17:00 UTC on 30 November is already December in Shanghai.
    earned = datetime(2026, 11, 30, 17 if policy.kind != "days" else 3, tzinfo=UTC)
    assert policy.expires_at(earned, SHANGHAI) == expected


def test_a_streak_goes_on_from_yesterday_alone():
    assert streak_after(date(2026, 6, 14), 4, date(2026, 6, 15)) == 5
    assert streak_after(date(2026, 6, 13), 4, date(2026, 6, 15)) == 1
    assert streak_after(None, 0, date(2026, 6, 15)) == 1


def test_the_bonus_table_starts_again_with_each_cycle():
    check_in = CheckInRule(RuleRef(uuid7(), "c", 1), 2, {3: 10}, cycle_days=3)
    assert [check_in.points_on(day) for day in range(1, 7)] == [2, 2, 12, 2, 2, 12]


REF = RuleRef(uuid7(), "any", 1)


def test_documents_become_rules():
    assert read_rule("per_amount", {"fen_per_point": 200, "categories": ["tea"], "max_points_per_day": 5}, REF) == PerAmountRule(
        REF, 200, max_points_per_day=5, categories=frozenset({"tea"})
    )
    assert read_rule("check_in", {"points": 1, "streak_bonus": {"7": 5}}, REF) == CheckInRule(REF, 1, {7: 5})
    assert read_expiry({"expiry": {"kind": "month_end", "count": 3}}) == ExpiryPolicy("month_end", 3)
    assert read_expiry({}) == ExpiryPolicy()


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("lottery", {}),
        ("per_amount", {}),
        ("per_amount", {"fen_per_point": 0}),
        ("per_amount", {"fen_per_point": True}),
        ("per_amount", {"fen_per_point": 100, "max_points_per_day": 0}),
        ("per_amount", {"fen_per_point": 100, "skus": "tea"}),
        ("per_amount", {"fen_per_point": 100, "stores": [""]}),
        ("check_in", {"points": -1}),
        ("check_in", {"points": 1, "streak_bonus": {"x": 1}}),
        ("check_in", {"points": 1, "streak_bonus": {"0": 1}}),
        ("check_in", {"points": 1, "streak_bonus": [1]}),
    ],
)
def test_documents_that_make_no_sense_are_refused(kind, document):
    with pytest.raises(RuleInvalidError):
        read_rule(kind, document, REF)


@pytest.mark.parametrize("expiry", ["soon", {"kind": "soon"}, {"kind": "days"}, {"kind": "days", "count": -1}])
def test_an_expiry_that_makes_no_sense_is_refused(expiry):
    with pytest.raises(RuleInvalidError):
        read_expiry({"expiry": expiry})
