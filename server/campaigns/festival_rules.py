"""Festivals: on which day each falls in a year of its own calendar, and what is still to be celebrated. Pure.

Solar days are the Gregorian calendar's. Lunar days are those of plain months: a leap month repeats no festival, and day 30 falls on day
29 of a month without one; the last day of the lunar year (除夕) is whichever of the two there is. Solar terms (清明, 冬至) are the days, in
Beijing, on which the sun reaches a longitude. A festival's *year* is that of its calendar, so 除夕 belongs to the year it ends. The lunar
tables end with 2099: a lunar festival has no day after that, which the calendar shows. The ninth month of 2057 begins within seconds of
midnight, and almanacs differ by a day.
"""

from __future__ import annotations

import calendar
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any

from lunardate import LunarDate

from server.kernel.text import N_

SOLAR, LUNAR, LUNAR_LAST, TERM, WEEKDAY = "solar", "lunar", "lunar_last", "term", "weekday"
KINDS = (SOLAR, LUNAR, LUNAR_LAST, TERM, WEEKDAY)
# A festival on which the product stood still is made up for so many days later; then it is given up, and listed.
CATCH_UP_DAYS = 7
# Occurrences of one festival lie at least 353 days apart; closer ones mean that its day was changed in between.
LEAST_GAP_DAYS = 300
MOST_POINTS, MOST_DAYS, MOST_GREETING = 100_000, 366, 60
_FIRST_YEAR, _LAST_LUNAR_YEAR = 1901, 2099
_LAST_MONTH, _LONG_MONTH, _SHORT_MONTH = 12, 30, 29
_BEIJING = timedelta(hours=8)
_MOST_NTH = 5

# Longitude of the sun, in degrees, and roughly the day of the Gregorian year.
TERMS: dict[str, tuple[int, int, int]] = {"qingming": (15, 4, 5), "dongzhi": (270, 12, 22)}


@dataclass(frozen=True, slots=True)
class FestivalDay:
    """When a festival is.

    Arguments:
        kind: one of ``KINDS``.
        month, day: of the solar or the lunar calendar; ``weekday`` has a month only.
        nth, weekday: for ``weekday``: which one of the month (1 to 5), and of the week (Monday is 0).
        term: for ``term``: one of ``TERMS``.
    """

    kind: str
    month: int = 0
    day: int = 0
    nth: int = 0
    weekday: int = 0
    term: str = ""

    def problems(self) -> dict[str, str]:
        """Return what is wrong with it by field; nothing when it describes a day."""
        found = {}
        if self.kind not in KINDS:
            found["kind"] = self.kind
        if self.kind in {SOLAR, LUNAR, WEEKDAY} and not 1 <= self.month <= _LAST_MONTH:
            found["month"] = "1–12"
        longest = _LONG_MONTH if self.kind == LUNAR else calendar.monthrange(2024, self.month)[1] if 1 <= self.month <= _LAST_MONTH else 31
        if self.kind in {SOLAR, LUNAR} and not 1 <= self.day <= longest:
            found["day"] = f"1–{longest}"
        if self.kind == WEEKDAY and not 1 <= self.nth <= _MOST_NTH:
            found["nth"] = f"1–{_MOST_NTH}"
        if self.kind == WEEKDAY and not 0 <= self.weekday <= calendar.SUNDAY:
            found["weekday"] = "0–6"
        if self.kind == TERM and self.term not in TERMS:
            found["term"] = self.term
        return found

    def in_year(self, year: int) -> date | None:
        """Return its day in a year of its calendar, or None when it has none there."""
        if self.kind == SOLAR:
            # 29 February is celebrated on the 28th of a common year.
            return date(year, self.month, min(self.day, calendar.monthrange(year, self.month)[1]))
        if self.kind == WEEKDAY:
            first = date(year, self.month, 1)
            day = 1 + (self.weekday - first.weekday()) % 7 + 7 * (self.nth - 1)
            return date(year, self.month, day) if day <= calendar.monthrange(year, self.month)[1] else None
        if self.kind == TERM:
            return _term_day(year, self.term)
        month, day = (_LAST_MONTH, _LONG_MONTH) if self.kind == LUNAR_LAST else (self.month, self.day)
        return _lunar_day(year, month, day)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One celebration: the year of the festival's calendar, and its day."""

    year: int
    on: date


@dataclass(frozen=True, slots=True)
class FestivalPlan:
    """A festival as the brand keeps it.

    Arguments:
        name: a gettext msgid for those that everybody knows, the brand's own words otherwise.
        day: when it is.
        greeting: what is said, in the brand's words.
        points: for everybody; 0 for none.
        points_by_tier: tier code → points instead.
        coupon_code: code of a coupon template for everybody, or None.
        coupons_by_tier: tier code → code of a coupon template instead; an empty one for none.
        valid_days: how long the points last.
        send_from: hour of the shop's day from which on it is sent.
    """

    name: str
    day: FestivalDay
    greeting: str
    points: int = 0
    points_by_tier: dict[str, int] = field(default_factory=dict)
    coupon_code: str | None = None
    coupons_by_tier: dict[str, str] = field(default_factory=dict)
    valid_days: int = 30
    send_from: int = 10

    def points_for(self, tier: str) -> int:
        """Return the points for a member of a tier."""
        return self.points_by_tier.get(tier, self.points)

    def coupon_for(self, tier: str) -> str | None:
        """Return the code of the coupon template for a member of a tier, or None."""
        return self.coupons_by_tier.get(tier, self.coupon_code) or None


def plan_of(document: dict[str, Any]) -> FestivalPlan:
    """Return a plan from its stored document."""
    return FestivalPlan(**(document | {"day": FestivalDay(**document["day"])}))


def occurrences(day: FestivalDay, since: date, until: date) -> Iterator[Occurrence]:
    """Yield the celebrations from one day to another, both included, in order."""
    for year in range(max(since.year - 1, _FIRST_YEAR), until.year + 1):
        on = day.in_year(year)
        if on is not None and since <= on <= until:
            yield Occurrence(year, on)


def to_plan(day: FestivalDay, looked_until: date, today: date) -> tuple[list[Occurrence], list[Occurrence]]:
    """Return the celebrations that begin now, and those that are given up because their time to be made up for is over.

    Arguments:
        day: when the festival is.
        looked_until: the newest day whose celebrations were planned.
        today: in the shop's zone; its own celebration is among those that begin.
    """
    found = list(occurrences(day, looked_until + timedelta(days=1), today))
    oldest = today - timedelta(days=CATCH_UP_DAYS)
    return [one for one in found if one.on >= oldest], [one for one in found if one.on < oldest]


def too_close(on: date, last: date | None) -> bool:
    """Tell whether a celebration lies so close to the last that the festival's day must have been changed."""
    return last is not None and abs((on - last).days) < LEAST_GAP_DAYS


@cache
def _lunar_day(year: int, month: int, day: int) -> date | None:
    if not _FIRST_YEAR <= year <= _LAST_LUNAR_YEAR:
        return None
    try:
        return LunarDate(year, month, day).to_solar_date()  # type: ignore[no-any-return]
    except ValueError:
        return LunarDate(year, month, _SHORT_MONTH).to_solar_date()  # type: ignore[no-any-return]


@cache
def _term_day(year: int, term: str) -> date:
    """Return the day in Beijing on which the sun reaches a term's longitude."""
    degrees, month, day = TERMS[term]
    instant = datetime.combine(date(year, month, day), time(4), UTC)
    # The sun moves about a degree a day, so a few steps come within seconds.
    for _ in range(6):
        behind = (degrees - _longitude(instant) + 180) % 360 - 180
        instant += timedelta(days=behind * 365.2422 / 360)
    return (instant + _BEIJING).date()


def _longitude(instant: datetime) -> float:
    """Return the apparent longitude of the sun in degrees, to a hundredth (Meeus, Astronomical Algorithms, chapter 25)."""
    dynamical = instant + timedelta(seconds=70)  # the clocks of the sky are ahead of ours by about this much in this century
    century = ((dynamical - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400) / 36525
    mean = 280.46646 + 36000.76983 * century + 0.0003032 * century**2
    anomaly = math.radians(357.52911 + 35999.05029 * century - 0.0001537 * century**2)
    centre = (
        (1.914602 - 0.004817 * century - 0.000014 * century**2) * math.sin(anomaly)
        + (0.019993 - 0.000101 * century) * math.sin(2 * anomaly)
        + 0.000289 * math.sin(3 * anomaly)
    )
    node = math.radians(125.04 - 1934.136 * century)
    return (mean + centre - 0.00569 - 0.00478 * math.sin(node)) % 360


def _solar(month: int, day: int) -> FestivalDay:
    return FestivalDay(SOLAR, month=month, day=day)


def _lunar(month: int, day: int) -> FestivalDay:
    return FestivalDay(LUNAR, month=month, day=day)


def _weekday(month: int, nth: int, weekday: int) -> FestivalDay:
    return FestivalDay(WEEKDAY, month=month, nth=nth, weekday=weekday)


PRESETS: dict[str, FestivalPlan] = {
    "new_year": FestivalPlan(N_("New Year's Day"), _solar(1, 1), "新的一年，愿您平安喜乐"),
    "laba": FestivalPlan(N_("Laba Festival"), _lunar(12, 8), "腊八到，喝碗热粥暖暖身"),
    "new_years_eve": FestivalPlan(N_("Lunar New Year's Eve"), FestivalDay(LUNAR_LAST), "除夕团圆，辞旧迎新"),
    "spring_festival": FestivalPlan(N_("Spring Festival"), _lunar(1, 1), "新春快乐，万事如意"),
    "lantern": FestivalPlan(N_("Lantern Festival"), _lunar(1, 15), "元宵节快乐，团团圆圆"),
    "womens_day": FestivalPlan(N_("Women's Day"), _solar(3, 8), "祝您节日快乐，自在绽放"),
    "qingming": FestivalPlan(N_("Qingming Festival"), FestivalDay(TERM, term="qingming"), "清明时节，愿您安康"),
    "labour_day": FestivalPlan(N_("Labour Day"), _solar(5, 1), "劳动节快乐，好好休息"),
    "mothers_day": FestivalPlan(N_("Mother's Day"), _weekday(5, 2, calendar.SUNDAY), "母亲节快乐，把爱说出口"),
    "dragon_boat": FestivalPlan(N_("Dragon Boat Festival"), _lunar(5, 5), "端午安康，粽香满怀"),
    "childrens_day": FestivalPlan(N_("Children's Day"), _solar(6, 1), "童心常在，六一快乐"),
    "fathers_day": FestivalPlan(N_("Father's Day"), _weekday(6, 3, calendar.SUNDAY), "父亲节快乐，陪伴是礼物"),
    "qixi": FestivalPlan(N_("Qixi Festival"), _lunar(7, 7), "七夕快乐，良缘相伴"),
    "mid_autumn": FestivalPlan(N_("Mid-Autumn Festival"), _lunar(8, 15), "中秋快乐，人月两团圆"),
    "double_ninth": FestivalPlan(N_("Double Ninth Festival"), _lunar(9, 9), "重阳安康，福寿绵长"),
    "national_day": FestivalPlan(N_("National Day"), _solar(10, 1), "国庆快乐，祝福祖国"),
    "dongzhi": FestivalPlan(N_("Winter Solstice"), FestivalDay(TERM, term="dongzhi"), "冬至快乐，温暖相伴"),
    "christmas": FestivalPlan(N_("Christmas"), _solar(12, 25), "圣诞快乐，温馨常在"),
}
