from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest

from server.campaigns.rules import BirthdayPolicy, Celebration, LeapDayRule, celebrated_on, days_to_do, too_soon


def solar(day: date, rule: LeapDayRule = LeapDayRule.DAY_BEFORE) -> set[tuple[int, int]]:
    return {(one.month, one.day) for one in celebrated_on(day, rule) if one.calendar == "solar"}


@pytest.mark.requirement("NTF5")
def test_the_leap_day_is_celebrated_every_year_by_the_brands_rule() -> None:
    assert solar(date(2028, 2, 29)) == {(2, 29)}
    assert solar(date(2028, 2, 28)) == {(2, 28)}
    assert solar(date(2028, 3, 1), LeapDayRule.DAY_AFTER) == {(3, 1)}
    assert solar(date(2027, 2, 28)) == {(2, 28), (2, 29)}
    assert solar(date(2027, 2, 28), LeapDayRule.DAY_AFTER) == {(2, 28)}
    assert solar(date(2027, 3, 1), LeapDayRule.DAY_AFTER) == {(3, 1), (2, 29)}
    assert solar(date(2100, 2, 28)) == {(2, 28), (2, 29)}


@pytest.mark.parametrize("rule", list(LeapDayRule))
def test_every_solar_birthday_comes_once_a_year(rule: LeapDayRule) -> None:
    for year in (2026, 2027, 2028):
        day, seen = date(year, 1, 1), Counter[tuple[int, int]]()
        while day.year == year:
            seen.update(solar(day, rule))
            day += timedelta(days=1)
        assert len(seen) == 366
        assert set(seen.values()) == {1}


def test_every_lunar_birthday_comes_once_in_each_lunar_year() -> None:
    day, seen = date(2020, 1, 1), Counter[Celebration]()
    while day < date(2032, 1, 1):
        seen.update(one for one in celebrated_on(day) if one.calendar == "lunar")
        day += timedelta(days=1)
    assert set(seen.values()) == {1}
    for year in range(2021, 2031):
        assert sum(one.year == year for one in seen) == 360, "twelve months of thirty days, short ones included"


def test_known_lunar_days() -> None:
    assert Celebration("lunar", 1, 1, 2026) in celebrated_on(date(2026, 2, 17))
    assert Celebration("lunar", 12, 30, 2025) in celebrated_on(date(2026, 2, 16))
    # 2025 has a leap sixth month (25 July to 22 August): it celebrates nobody again.
    assert [one.calendar for one in celebrated_on(date(2025, 8, 1))] == ["solar"]
    assert [one.calendar for one in celebrated_on(date(2120, 8, 1))] == ["solar"]


def test_days_are_made_up_for_but_not_without_end() -> None:
    today = date(2026, 6, 15)
    assert days_to_do(None, today) == [today]
    assert days_to_do(date(2026, 6, 14), today) == [today]
    assert days_to_do(date(2026, 6, 12), today) == [date(2026, 6, 13), date(2026, 6, 14), today]
    assert len(days_to_do(date(2026, 1, 1), today)) == 15
    assert days_to_do(today, today) == []


def test_a_gift_within_the_year_is_too_soon() -> None:
    today = date(2026, 6, 15)
    assert not too_soon(None, today)
    assert too_soon(date(2026, 1, 15), today)
    assert not too_soon(date(2025, 6, 27), today)


def test_tiers_can_get_more() -> None:
    policy = BirthdayPolicy(points=50, points_by_tier={"gold": 200})
    assert (policy.points_for("gold"), policy.points_for("silver")) == (200, 50)
