"""Which birthdays are celebrated on a day. Pure.

Solar birthdays follow the Gregorian calendar; 29 February is celebrated, in a year without it, on 28 February or 1 March by
the brand's rule. Lunar birthdays follow the Chinese calendar: a leap month's birthday was stored as the plain month's, so the
leap month itself celebrates nobody, and day 30 is celebrated on day 29 of a month that has no thirtieth.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from lunardate import LunarDate

SOLAR, LUNAR = "solar", "lunar"
CATCH_UP_DAYS = 14
# Birthdays of one calendar lie at least 353 days apart; a shorter gap means that the birthday was changed.
LEAST_GAP_DAYS = 300
_LUNAR_FROM, _LUNAR_UNTIL = date(1901, 1, 1), date(2099, 12, 31)
_SHORT_MONTH = 29
_FEBRUARY, _MARCH, _LEAP_DAY = 2, 3, 29


class LeapDayRule(StrEnum):
    """When a 29 February is celebrated in a year without one."""

    DAY_BEFORE = "feb_28"
    DAY_AFTER = "mar_1"


@dataclass(frozen=True, slots=True)
class Celebration:
    """A birthday that is celebrated on a day.

    Arguments:
        calendar: ``solar`` or ``lunar``.
        month, day: the birthday as members hold it.
        year: of that calendar; a birthday's gift is given once in it.
    """

    calendar: str
    month: int
    day: int
    year: int


@dataclass(frozen=True, slots=True)
class BirthdayPolicy:
    """What the brand gives.

    Arguments:
        enabled: nothing is given while False.
        points: to everybody; 0 for none.
        points_by_tier: tier code → points instead.
        coupon_code: code of a coupon template, or None.
        valid_days: how long the points last.
        leap_day: the rule for 29 February.
    """

    enabled: bool = False
    points: int = 0
    points_by_tier: dict[str, int] = field(default_factory=dict)
    coupon_code: str | None = None
    valid_days: int = 30
    leap_day: LeapDayRule = LeapDayRule.DAY_BEFORE

    def points_for(self, tier: str) -> int:
        """Return the points for a member of a tier."""
        return self.points_by_tier.get(tier, self.points)


def celebrated_on(day: date, leap_day: LeapDayRule = LeapDayRule.DAY_BEFORE) -> list[Celebration]:
    """Return the birthdays that are celebrated on a day.

    Arguments:
        day: in the shop's zone.
        leap_day: the rule for 29 February.
    """
    found = [Celebration(SOLAR, day.month, day.day, day.year)]
    if not calendar.isleap(day.year):
        stand_in = (_FEBRUARY, 28) if leap_day is LeapDayRule.DAY_BEFORE else (_MARCH, 1)
        if (day.month, day.day) == stand_in:
            found.append(Celebration(SOLAR, _FEBRUARY, _LEAP_DAY, day.year))
    if not _LUNAR_FROM <= day < _LUNAR_UNTIL:
        return found
    lunar = LunarDate.from_solar_date(day.year, day.month, day.day)
    if lunar.is_leap_month:
        return found
    found.append(Celebration(LUNAR, lunar.month, lunar.day, lunar.year))
    if lunar.day == _SHORT_MONTH:
        following = day + timedelta(days=1)
        # The next day opens a new month, so this one has no thirtieth.
        if LunarDate.from_solar_date(following.year, following.month, following.day).day == 1:
            found.append(Celebration(LUNAR, lunar.month, _SHORT_MONTH + 1, lunar.year))
    return found


def days_to_do(last_done: date | None, today: date) -> list[date]:
    """Return the days whose birthdays are still to be celebrated, the oldest first, today among them.

    Arguments:
        last_done: the newest day that is wholly done; None when the job never ran.
        today: in the shop's zone.
    """
    if last_done is None:
        return [today]
    first = max(last_done + timedelta(days=1), today - timedelta(days=CATCH_UP_DAYS))
    return [first + timedelta(days=number) for number in range((today - first).days + 1)]


def too_soon(last_given_on: date | None, today: date) -> bool:
    """Tell whether a gift lies so short back that the birthday must have been changed since."""
    return last_given_on is not None and (today - last_given_on).days < LEAST_GAP_DAYS
