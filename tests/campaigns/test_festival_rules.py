"""The days of festivals, against another library's, and what is planned after a standstill."""

from __future__ import annotations

import csv
import random
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from server.campaigns import festival_rules as rules
from server.campaigns.festival_rules import LUNAR, PRESETS, SOLAR, TERM, WEEKDAY, FestivalDay

pytestmark = pytest.mark.requirement("NTF5")

# Made with lunar-python 1.4.8: a table of another origin than that of lunardate, and solar terms of its own.
DATES = Path(__file__).parent / "data" / "festival_days.csv"


def test_a_century_of_lunar_festivals_and_solar_terms_falls_on_the_days_another_library_gives():
    with DATES.open() as file:
        rows = [(row["festival"], int(row["year"]), date.fromisoformat(row["day"])) for row in csv.DictReader(file)]
    assert len(rows) == 101 * 10
    wrong = [(code, year, on, got) for code, year, on in rows if (got := PRESETS[code].day.in_year(year)) not in {on, None}]
    # The new moon of that month falls within seconds of midnight in Beijing; almanacs differ by the day.
    assert wrong == [("double_ninth", 2057, date(2057, 10, 7), date(2057, 10, 6))]
    # The lunar table ends with 2099, and so does what is told.
    missing = {(code, year) for code, year, _ in rows if PRESETS[code].day.in_year(year) is None}
    assert missing == {(code, 2100) for code in {row[0] for row in rows} - {"qingming", "dongzhi"}}


@pytest.mark.parametrize(
    ("code", "year", "on"),
    [
        ("mothers_day", 2026, date(2026, 5, 10)), ("fathers_day", 2026, date(2026, 6, 21)), ("national_day", 2027, date(2027, 10, 1)),
        ("new_years_eve", 2024, date(2025, 1, 28)), ("new_years_eve", 2025, date(2026, 2, 16)), ("spring_festival", 2026, date(2026, 2, 17)),
        ("dongzhi", 2021, date(2021, 12, 21)), ("qingming", 2026, date(2026, 4, 5)), ("laba", 2025, date(2026, 1, 26)),
    ],
)  # fmt: skip
def test_well_known_days(code, year, on):
    assert PRESETS[code].day.in_year(year) == on


def test_a_day_that_a_year_lacks_is_celebrated_before_it_or_not_at_all():
    assert FestivalDay(SOLAR, month=2, day=29).in_year(2027) == date(2027, 2, 28)
    assert FestivalDay(WEEKDAY, month=2, nth=5, weekday=0).in_year(2027) is None
    assert FestivalDay(LUNAR, month=12, day=30).in_year(2025) == PRESETS["new_years_eve"].day.in_year(2025)


@pytest.mark.parametrize(
    ("day", "wrong"),
    [
        (FestivalDay("moon"), {"kind"}), (FestivalDay(SOLAR, month=13, day=1), {"month"}), (FestivalDay(SOLAR, month=2, day=30), {"day"}),
        (FestivalDay(LUNAR, month=1, day=31), {"day"}), (FestivalDay(WEEKDAY, month=5, nth=6, weekday=7), {"nth", "weekday"}),
        (FestivalDay(TERM, term="x"), {"term"}), *((plan.day, set()) for plan in PRESETS.values()),
    ],
)  # fmt: skip
def test_a_day_that_is_none_is_told_by_field(day, wrong):
    assert set(day.problems()) == wrong


def test_every_preset_greeting_fits_what_is_sent():
    for plan in PRESETS.values():
        assert 1 <= len(plan.greeting) <= 20


def test_fifty_years_of_standstills_miss_no_festival_and_double_none():
    die = random.Random(50)
    first, last = date(2026, 1, 1), date(2076, 1, 1)
    runs, day = [], first
    while day < last:
        if die.random() < 0.05:
            day += timedelta(days=die.randint(1, 7))
        runs.append(day)
        day += timedelta(days=1)
    standstills = sum((later - earlier).days > 1 for earlier, later in pairwise(runs))
    owed = given = late = 0
    for plan in PRESETS.values():
        looked, got = first - timedelta(days=1), []
        for today in runs:
            begin, given_up = rules.to_plan(plan.day, looked, today)
            assert given_up == []
            late += sum(one.on < today for one in begin)
            got += begin
            looked = today
        due = list(rules.occurrences(plan.day, first, runs[-1]))
        assert got == due
        assert len({one.year for one in due}) == len(due)
        assert all((later.on - earlier.on).days >= rules.LEAST_GAP_DAYS for earlier, later in pairwise(due))
        owed, given = owed + len(due), given + len(got)
    print(
        f"\n{len(PRESETS)} festivals, 50 years, {standstills} standstills of up to 7 days: owed {owed}, begun {given}, {late} of them late"
    )
    assert standstills > 200
    assert late > 20


def test_what_is_past_its_time_is_given_up_and_told():
    day = PRESETS["national_day"].day
    begin, given_up = rules.to_plan(day, date(2026, 9, 1), date(2026, 10, 8))
    assert ([one.on for one in begin], given_up) == ([date(2026, 10, 1)], [])
    begin, given_up = rules.to_plan(day, date(2026, 9, 1), date(2026, 10, 9))
    assert (begin, [one.on for one in given_up]) == ([], [date(2026, 10, 1)])


def test_a_changed_day_brings_no_second_celebration():
    assert rules.too_close(date(2026, 10, 8), date(2026, 10, 1))
    assert not rules.too_close(date(2027, 10, 1), date(2026, 10, 1))
    assert not rules.too_close(date(2027, 10, 1), None)
