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
    Given,
    MultiplierRule,
    PerAmountRule,
    Rounding,
    RuleRef,
    Scope,
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
    rules = [rule(), rule("tea", 50, scope=Scope(categories=frozenset({"tea"}))), rule("hit", 10, scope=Scope(skus=frozenset({"sku-2"})))]
    earned = order_points(context(1000, 1000, rules=rules))
    assert earned.by_line == [20, 100]
    assert [ref.code for ref in earned.rules] == ["hit", "tea"]


def test_a_store_rule_needs_the_store():
    rules = [rule(scope=Scope(stores=frozenset({"S1"})))]
    assert order_points(context(1000, rules=rules, store="S1")).total == 10
    nothing = order_points(context(1000, rules=rules, store="S2"))
    assert (nothing.total, nothing.rule, nothing.reasons) == (0, None, [{"line_no": 1, "points": 0, "why": "no_rule_fits"}])


def test_a_daily_cap_leaves_what_is_left_of_the_day():
    earned = order_points(context(10_000, rules=[rule(max_points_per_day=60)], given=Given({"purchase": 20})))
    assert earned.total == 40
    assert earned.reasons[0]["why"] == "cap_reached"
    assert earned.reasons[0]["before_cap"] == 100
    assert order_points(context(10_000, rules=[rule(max_points_per_day=60)], given=Given({"purchase": 80}))).total == 0


def campaign(code, percent, **more):
    return MultiplierRule(RuleRef(uuid7(), code, 1), percent, **more)


def test_broken_points_are_rounded_as_the_rule_says_per_order_or_per_line():
    # 3 × 1.5 points: 4.5 for the order, and each line by itself.
    totals = {
        (rounding, by_line): order_points(context(150, 150, 150, rules=[rule(rounding=rounding, by_line=by_line)])).total
        for rounding in Rounding
        for by_line in (False, True)
    }
    assert totals == {
        (Rounding.FLOOR, False): 4,
        (Rounding.FLOOR, True): 3,
        (Rounding.HALF_UP, False): 5,
        (Rounding.HALF_UP, True): 6,
        (Rounding.CEIL, False): 5,
        (Rounding.CEIL, True): 6,
    }


def test_what_a_rule_leaves_out_earns_by_the_next_rule_or_says_why_not():
    book = [rule("tea", 10, scope=Scope(categories=frozenset({"tea"}), except_skus=frozenset({"sku-2"}))), rule("all", 100)]
    assert order_points(context(1000, 1000, rules=book)).by_line == [100, 10]
    alone = order_points(context(1000, 1000, rules=book[:1]))
    assert alone.by_line == [100, 0]
    assert alone.reasons[0] == {"line_no": 2, "points": 0, "why": "excluded", "rule": "tea", "version": 1}
    small = order_points(context(500, 499, rules=[rule(min_order_fen=1000)], store="S1", channel="shop"))
    assert (small.total, {reason["why"] for reason in small.reasons}) == (0, {"below_minimum"})
    assert (
        order_points(context(500, 500, rules=[rule(min_order_fen=1000, scope=Scope(channels=frozenset({"shop"})))], channel="shop")).total
        == 10
    )
    assert order_points(context(500, rules=[rule(scope=Scope(except_stores=frozenset({"S1"})))], store="S1")).total == 0


def test_priority_goes_before_specificity_and_stacking_rules_add_on_top():
    hit = rule("hit", 10, scope=Scope(skus=frozenset({"sku-1"})))
    book = [rule("first", 200, priority=5), hit, rule("bonus", 1000, stacks=True), rule("other", 1000, stacks=True, scope=hit.scope)]
    earned = order_points(context(1000, 2000, rules=book))
    # Both lines by «first» (15), «bonus» on both (3), «other» on the first alone (1).
    assert (earned.total, earned.by_rule) == (19, {"first": 15, "bonus": 3, "other": 1})
    assert sum(earned.by_line) == 19


def test_the_highest_campaign_wins_and_those_that_compound_multiply_on_top():
    campaigns = [
        campaign("double", 200),
        campaign("triple", 300, scope=Scope(skus=frozenset({"sku-1"}))),
        campaign("half-more", 150, compounds=True, tiers=frozenset({"gold"})),
    ]
    plain = order_points(context(1000, 1000, rules=[rule(), *campaigns]))
    assert plain.by_line == [30, 20]
    gold = order_points(context(1001, 1001, rules=[rule(), *campaigns], tier="gold", multiplier_percent=125))
    # floor(1001 × 1.25 × (3 × 1.5 + 2 × 1.5) / 100) = floor(93.84…)
    assert (gold.total, gold.by_line) == (93, [56, 37])
    assert gold.reasons[0]["campaigns"] == [
        {"rule": "double", "version": 1, "percent": 200, "lines": [2]},
        {"rule": "half-more", "version": 1, "percent": 150, "lines": [1, 2]},
        {"rule": "triple", "version": 1, "percent": 300, "lines": [1]},
    ]
    assert order_points(context(1000, rules=[rule(use_campaigns=False), *campaigns])).total == 10


def test_a_members_day_is_a_weekday_or_a_day_of_the_month():
    day = campaign("day", 200, weekdays=frozenset({3}), month_days=frozenset({8}))
    days = (date(2026, 6, 3), date(2026, 6, 8), date(2026, 6, 9), None)
    assert [order_points(context(1000, rules=[rule(), day], day=day_)).total for day_ in days] == [20, 20, 10, 10]


@pytest.mark.parametrize(
    ("given", "total", "cap_of"),
    [
        (Given(), 100, None),
        (Given(to_member={"purchase": 130}), 70, "member"),
        (Given(today={"purchase": 290}, to_member={"purchase": 130}), 10, "day"),
        (Given(in_all={"purchase": 5000}), 0, "in_all"),
    ],
)
def test_the_tightest_cap_cuts(given, total, cap_of):
    capped = rule(max_points_per_day=300, max_points_per_member=200, max_points_in_all=1000)
    earned = order_points(context(10_000, rules=[capped], given=given))
    assert (earned.total, earned.reasons[0].get("cap_of")) == (total, cap_of)


def test_free_lines_and_other_kinds_of_rules_earn_nothing():
    earned = order_points(context(0, rules=[CheckInRule(RuleRef(uuid7(), "c", 1), 5)]))
    assert (earned.total, earned.by_line, earned.reasons[0]["why"]) == (0, [0], "nothing_paid")


@given(st.lists(st.integers(0, 10**7), max_size=8), st.integers(1, 5000), st.integers(100, 1000))
def test_the_shares_of_lines_add_up_to_the_order(amounts, fen_per_point, percent):
    earned = order_points(context(*amounts, rules=[rule(fen_per_point=fen_per_point)], multiplier_percent=percent))
    assert earned.total == sum(earned.by_line) == sum(amounts) * percent // (fen_per_point * 100)
    assert all(share >= 0 for share in earned.by_line)


CODES = st.frozensets(st.sampled_from(["a", "b", "c"]), max_size=2)
SCOPES = st.builds(Scope, skus=CODES, categories=CODES, except_skus=CODES, except_categories=CODES)
MONEY_RULES = st.builds(
    PerAmountRule,
    ref=st.sampled_from("pqrs").map(lambda code: RuleRef(uuid7(), code, 1)),
    fen_per_point=st.integers(1, 500),
    use_tier_multiplier=st.booleans(),
    rounding=st.sampled_from(Rounding),
    by_line=st.booleans(),
    min_order_fen=st.sampled_from([0, 5000]),
    max_points_per_day=st.none() | st.integers(1, 200),
    max_points_in_all=st.none() | st.integers(1, 200),
    scope=SCOPES,
    priority=st.integers(0, 2),
    stacks=st.booleans(),
)
CAMPAIGNS = st.builds(
    MultiplierRule,
    ref=st.sampled_from("xyz").map(lambda code: RuleRef(uuid7(), code, 1)),
    percent=st.integers(101, 500),
    scope=SCOPES,
    compounds=st.booleans(),
)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(0, 10**5)), max_size=6),
    st.lists(MONEY_RULES, max_size=4, unique_by=lambda found: found.ref.code),
    st.lists(CAMPAIGNS, max_size=3, unique_by=lambda found: found.ref.code),
    st.integers(100, 300),
    st.randoms(),
)
def test_whatever_the_rules_the_parts_add_up_and_no_order_of_lines_changes_anything(cells, money, campaigns, percent, random):
    lines = [EarningLine(number, sku, category, fen) for number, (sku, category, fen) in enumerate(cells, start=1)]
    rules = [*money, *campaigns]
    earned = order_points(EarningContext(lines, rules, percent))
    assert earned.total == sum(earned.by_line) == sum(earned.by_rule.values())
    assert all(type(share) is int and share >= 0 for share in earned.by_line)
    for reason in earned.reasons:
        assert "rule" not in reason or reason["points"] <= min(
            cap
            for found in money
            if found.ref.code == reason["rule"]
            for cap in (found.max_points_per_day, found.max_points_in_all, 10**9)
            if cap
        )
    # Every line says something: a rule that looked at it, or why none did.
    told = {reason["line_no"] for reason in earned.reasons if "line_no" in reason}
    told |= {line_no for reason in earned.reasons for line_no in reason.get("lines", ())}
    assert told == {line.line_no for line in lines}
    mixed = random.sample(lines, len(lines))
    again = order_points(EarningContext(mixed, random.sample(rules, len(rules)), percent))
    by_number = {line.line_no: share for line, share in zip(mixed, again.by_line, strict=True)}
    assert [by_number[line.line_no] for line in lines] == earned.by_line
    assert again.reasons == earned.reasons


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
        REF, 200, max_points_per_day=5, scope=Scope(categories=frozenset({"tea"}))
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
        ("per_amount", {"fen_per_point": 100, "rounding": "bankers"}),
        ("per_amount", {"fen_per_point": 100, "max_points_in_all": 0}),
        ("multiplier", {"percent": 100}),
        ("multiplier", {"percent": 200, "weekdays": [8]}),
        ("event", {"event": "survey_answered", "points": 5}),
        ("event", {"event": "birthday", "points": 5}),
        ("event", {"event": "sign_up", "points": 5, "max_times_per_day": 1}),
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
