"""The rules of growth: windows, periods, refunds, one step down. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.tiers import qualifying
from server.tiers.errors import GrowthRuleInvalidError
from server.tiers.qualifying import (
    CALENDAR_YEAR,
    CHECK_IN,
    DOWNGRADE,
    RENEWAL,
    UNLOCK,
    UPGRADE,
    Formula,
    Standing,
    assess,
    growth_on,
    leaves_on,
    period_end,
    shifted,
    taken_back,
    window_start,
)

RANKS = ["standard", "silver", "gold", "black"]
ROLLING = Formula(thresholds={"silver": 100, "gold": 500, "black": 2000})
YEARLY = replace(ROLLING, window=CALENDAR_YEAR)
DAYS = st.dates(date(2019, 1, 1), date(2031, 12, 31))
FORMULAS = st.builds(
    lambda window, months, period, grace: replace(ROLLING, window=window, window_months=months, period_months=period, grace_days=grace),
    st.sampled_from([qualifying.ROLLING, CALENDAR_YEAR]),
    st.integers(1, 36),
    st.integers(1, 24),
    st.integers(0, 90),
)
STANDINGS = st.builds(
    lambda formula, tier, start, lock, locked: (
        formula,
        Standing(
            tier,
            start if tier != "standard" else None,
            period_end(formula, start) if tier != "standard" else None,
            start + timedelta(days=lock) if locked else None,
        ),
    ),
    FORMULAS,
    st.sampled_from(RANKS),
    DAYS,
    st.integers(0, 900),
    st.booleans(),
)
EARNED = st.dictionaries(DAYS, st.integers(1, 900), max_size=12)


@pytest.mark.parametrize(
    ("months", "earned", "last_counted"),
    [
        (12, date(2024, 2, 29), date(2025, 2, 28)),
        (12, date(2023, 2, 28), date(2024, 2, 27)),
        (12, date(2026, 6, 15), date(2027, 6, 14)),
        (6, date(2023, 3, 31), date(2023, 9, 30)),
        (1, date(2025, 1, 31), date(2025, 2, 28)),
        (12, date(2026, 12, 31), date(2027, 12, 30)),
    ],
)
def test_a_day_leaves_the_window_at_month_ends_and_leap_days_as_written_down(months, earned, last_counted):
    formula = replace(ROLLING, window_months=months)
    assert leaves_on(formula, earned) == last_counted + timedelta(days=1)
    assert growth_on(formula, {earned: 7}, last_counted) == 7
    assert growth_on(formula, {earned: 7}, last_counted + timedelta(days=1)) == 0


@given(FORMULAS, DAYS, st.integers(0, 1500))
def test_a_day_counts_from_itself_until_it_leaves_and_never_again(formula, earned, later):
    day = earned + timedelta(days=later)
    assert (window_start(formula, day) <= earned) == (day < leaves_on(formula, earned))
    assert growth_on(formula, {earned: 5}, earned) == 5
    assert growth_on(formula, {earned: 5}, earned - timedelta(days=1)) == 0


@given(FORMULAS, DAYS, DAYS)
def test_what_was_earned_earlier_leaves_no_later(formula, one, other):
    first, second = sorted((one, other))
    assert leaves_on(formula, first) <= leaves_on(formula, second)


@given(DAYS, st.integers(-60, 60))
def test_a_shift_lands_in_its_month(day, months):
    target = shifted(day, months)
    assert (target.year * 12 + target.month) - (day.year * 12 + day.month) == months
    assert target.day == day.day or target == shifted(target.replace(day=1), 1) - timedelta(days=1)


def test_the_calendar_year_begins_anew():
    assert growth_on(YEARLY, {date(2026, 12, 31): 9}, date(2026, 12, 31)) == 9
    assert growth_on(YEARLY, {date(2026, 12, 31): 9}, date(2027, 1, 1)) == 0
    assert period_end(YEARLY, date(2028, 2, 29)) == date(2028, 12, 31)
    assert period_end(ROLLING, date(2028, 2, 29)) == date(2029, 2, 27)


@given(st.integers(0, 10**9), st.integers(1, 10**8), st.lists(st.integers(0, 10**8), max_size=8), st.randoms())
def test_refunds_in_any_order_take_back_in_all_exactly_what_was_earned(earned, paid, refunds, random):
    cuts = [min(one, paid) for one in refunds]
    total, parts = 0, []
    for one in cuts:
        parts.append(min(one, paid - total))
        total += parts[-1]
    parts.append(paid - total)
    random.shuffle(parts)
    back, so_far = 0, 0
    for part in parts:
        so_far += part
        target = taken_back(earned, paid, so_far, whole=False)
        assert back <= target <= earned
        back = target
    assert back == earned


def test_a_whole_refund_takes_all_whatever_the_lines_say():
    assert taken_back(7, 0, 0, whole=True) == 7
    assert taken_back(7, 300, 100, whole=False) == 2
    assert taken_back(7, 300, 100, whole=True) == 7


def test_growth_is_rounded_down_once_for_the_order():
    assert qualifying.spend_growth(ROLLING, 19_999) == 199
    assert qualifying.spend_growth(replace(ROLLING, spend_percent=150), 199) == 2
    assert qualifying.order_growth(replace(ROLLING, order_min_fen=5_000), 4_999) == 0
    assert qualifying.order_growth(replace(ROLLING, order_min_fen=5_000), 5_000) == 10
    assert qualifying.order_growth(ROLLING, 0) == 0


def test_the_days_activities_bring_no_more_than_the_limit():
    assert qualifying.activity_growth(ROLLING, CHECK_IN, 0) == 2
    assert qualifying.activity_growth(ROLLING, CHECK_IN, 19) == 1
    assert qualifying.activity_growth(ROLLING, CHECK_IN, 20) == 0
    assert qualifying.activity_growth(replace(ROLLING, activity_daily_max=None), CHECK_IN, 999) == 2
    assert qualifying.activity_growth(ROLLING, "dancing", 0) == 0


def test_an_upgrade_is_made_at_once_and_may_skip_tiers():
    today = date(2026, 6, 15)
    result = assess(ROLLING, RANKS, Standing("standard"), {today: 700}, today)
    assert [(move.cause, move.before, move.after) for move in result.moves] == [(UPGRADE, "standard", "gold")]
    assert result.standing == Standing("gold", today, date(2027, 6, 14))
    assert (result.growth, result.keep_growth, result.changes_on) == (700, 700, date(2027, 6, 15))
    # What was earned before the period does not keep the tier.
    later = assess(ROLLING, RANKS, result.standing, {date(2026, 1, 1): 700}, today)
    assert (later.moves, later.keep_growth) == ((), 0)


def test_a_tier_is_kept_through_the_grace_and_lost_by_one_step_after_it():
    held = Standing("black", date(2026, 1, 1), date(2026, 12, 31))
    last_of_grace = date(2027, 1, 30)
    assert assess(ROLLING, RANKS, held, {}, last_of_grace).moves == ()
    lost = assess(ROLLING, RANKS, held, {}, last_of_grace + timedelta(days=1))
    assert [(move.cause, move.after) for move in lost.moves] == [(DOWNGRADE, "gold")]
    assert lost.standing == Standing("gold", date(2027, 1, 31), date(2028, 1, 30))
    # However late the job comes, it is one step, and the period of the step begins with it.
    late = assess(ROLLING, RANKS, held, {}, date(2030, 1, 1))
    assert [(move.cause, move.after) for move in late.moves] == [(DOWNGRADE, "gold")]
    assert late.standing.period_starts_on == date(2030, 1, 1)


def test_growth_made_up_in_the_grace_keeps_the_tier():
    held = Standing("silver", date(2026, 1, 1), date(2026, 12, 31))
    in_grace = {date(2027, 1, 20): 120}
    result = assess(ROLLING, RANKS, held, in_grace, date(2027, 1, 20))
    assert [move.cause for move in result.moves] == [RENEWAL]
    assert result.standing == Standing("silver", date(2027, 1, 1), date(2027, 12, 31))


def test_growth_of_the_period_keeps_the_tier_although_the_window_has_moved_on():
    held = Standing("silver", date(2026, 1, 1), date(2026, 12, 31))
    earned = {date(2026, 1, 1): 100}
    result = assess(ROLLING, RANKS, held, earned, date(2027, 1, 1))
    assert ([move.cause for move in result.moves], result.growth) == ([RENEWAL], 0)


def test_a_calendar_year_is_judged_by_the_year_that_ended():
    held = Standing("silver", date(2026, 3, 1), date(2026, 12, 31))
    kept = assess(YEARLY, RANKS, held, {date(2026, 2, 1): 100}, date(2027, 1, 1))
    assert [move.cause for move in kept.moves] == [RENEWAL]
    assert kept.standing.period_ends_on == date(2027, 12, 31)


def test_a_lock_keeps_the_tier_and_the_grace_begins_when_it_ends():
    held = Standing("gold", date(2026, 1, 1), date(2026, 6, 30), locked_until=date(2026, 9, 30))
    assert assess(ROLLING, RANKS, held, {date(2026, 8, 1): 5000}, date(2026, 9, 30)).moves == ()
    free = assess(ROLLING, RANKS, held, {}, date(2026, 10, 1))
    assert [move.cause for move in free.moves] == [UNLOCK]
    assert (free.standing.tier, free.standing.period_ends_on) == ("gold", date(2026, 9, 30))
    up = assess(ROLLING, RANKS, held, {date(2026, 8, 1): 5000}, date(2026, 10, 1))
    assert [(move.cause, move.after) for move in up.moves] == [(UNLOCK, "gold"), (UPGRADE, "black")]


def test_a_tier_that_only_people_give_is_not_lost_for_want_of_growth():
    formula = replace(ROLLING, thresholds={"silver": 100, "gold": 500})
    held = Standing("black", date(2026, 1, 1), date(2026, 12, 31))
    result = assess(formula, RANKS, held, {}, date(2027, 6, 1))
    assert ([move.cause for move in result.moves], result.standing.tier, result.warn) == ([RENEWAL], "black", False)


def test_a_member_is_warned_once_for_each_period():
    held = Standing("gold", date(2026, 1, 1), date(2026, 12, 31))
    assert not assess(ROLLING, RANKS, held, {}, date(2026, 11, 30)).warn
    first = assess(ROLLING, RANKS, held, {}, date(2026, 12, 1))
    assert (first.warn, first.standing.warned_for) == (True, date(2026, 12, 31))
    assert not assess(ROLLING, RANKS, first.standing, {}, date(2026, 12, 2)).warn
    assert not assess(ROLLING, RANKS, held, {date(2026, 6, 1): 500}, date(2026, 12, 1)).warn


def test_a_lock_that_ends_within_the_period_does_not_delay_the_warning():
    held = Standing("gold", date(2026, 1, 1), date(2026, 12, 31), locked_until=date(2026, 12, 20))
    assert assess(ROLLING, RANKS, held, {}, date(2026, 6, 1)).due_on == date(2026, 12, 1)
    assert assess(ROLLING, RANKS, held, {}, date(2026, 12, 1)).warn


@given(STANDINGS, EARNED, DAYS)
def test_whatever_comes_the_outcome_is_sound(given_standing, days, today):
    formula, held = given_standing
    result = assess(formula, RANKS, held, days, today)
    downgrades = [move for move in result.moves if move.cause == DOWNGRADE]
    assert len(downgrades) <= 1
    assert all(RANKS.index(move.before) - RANKS.index(move.after) == 1 for move in downgrades)
    chain = [held.tier, *(move.after for move in result.moves)]
    assert [move.before for move in result.moves] == chain[:-1]
    assert result.standing.tier == chain[-1]
    assert (result.standing.period_ends_on is None) == (result.standing.tier == "standard")
    # Nothing is left for today: looked at again, nothing changes, and the next look lies ahead.
    assert result.due_on is None or result.due_on > today
    again = assess(formula, RANKS, result.standing, days, today)
    assert (again.moves, again.warn, again.standing) == ((), False, result.standing)
    if held.locked_until is not None and today <= held.locked_until:
        assert result.moves == ()


@given(STANDINGS, EARNED, DAYS, st.integers(1, 500))
def test_nothing_changes_by_itself_before_the_day_it_is_looked_at_again(given_standing, days, today, later):
    formula, held = given_standing
    result = assess(formula, RANKS, held, days, today)
    days = {day: growth for day, growth in days.items() if day <= today}
    result = assess(formula, RANKS, result.standing, days, today)
    day = today + timedelta(days=later)
    if result.due_on is None or day < result.due_on:
        then = assess(formula, RANKS, result.standing, days, day)
        assert (then.moves, then.warn, then.growth, then.keep_growth) == ((), False, result.growth, result.keep_growth)


@pytest.mark.parametrize(
    "wrong",
    [
        {"spend_percent": -1},
        {"per_order": -1},
        {"order_min_fen": -1},
        {"window": "week"},
        {"window_months": 0},
        {"period_months": 61},
        {"grace_days": 181},
        {"activities": {"dancing": 1}},
        {"activities": {CHECK_IN: -1}},
        {"activity_daily_max": -1},
        {"thresholds": {"platinum": 5}},
        {"thresholds": {"standard": 5}},
        {"thresholds": {"silver": 500, "gold": 500}},
        {"thresholds": {"silver": 0}},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(wrong):
    qualifying.check(ROLLING, RANKS)
    with pytest.raises(GrowthRuleInvalidError) as refusal:
        qualifying.check(replace(ROLLING, **wrong), RANKS)
    assert list(refusal.value.fields) == list(wrong)
