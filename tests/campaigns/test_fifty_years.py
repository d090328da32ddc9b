"""Half a century of birthdays by the rules, against what each member is owed by a calendar read forwards.

``HUIBAN_TEST_MEMBERS`` and ``HUIBAN_TEST_SEED`` make the run larger, or another: 5,000 members if nothing is said.
"""

from __future__ import annotations

import os
import random
from bisect import bisect_left
from collections import defaultdict
from datetime import date, timedelta
from functools import cache
from itertools import pairwise

import pytest
from lunardate import LunarDate

from server.campaigns.rules import LEAST_GAP_DAYS, LUNAR, SOLAR, LeapDayRule, celebrated_on, days_to_do, too_soon

MEMBERS = int(os.environ.get("HUIBAN_TEST_MEMBERS", "5000"))
SEED = int(os.environ.get("HUIBAN_TEST_SEED", "50"))
FIRST, YEARS = date(2026, 1, 1), 50
LAST = date(FIRST.year + YEARS, 1, 1)
EDITS_EACH = 3
STANDSTILL_CHANCE, LONGEST_STANDSTILL = 0.03, 7
LEAP_DAY = LeapDayRule.DAY_BEFORE

pytestmark = pytest.mark.requirement("NTF5")


@cache
def celebrations(birthday):
    """Return the days a birthday is celebrated on and their years, from its calendar forwards; the rules go from the day back."""
    calendar, month, day = birthday
    found = []
    for year in range(FIRST.year - 1, LAST.year + 1):
        try:
            on = date(year, month, day) if calendar == SOLAR else LunarDate(year, month, day).to_solar_date()
        except ValueError:
            on = date(year, 2, 28) if calendar == SOLAR else LunarDate(year, month, day - 1).to_solar_date()
        found.append((on, calendar, year))
    return found


def a_birthday(die):
    kind = die.random()
    if kind < 0.05:
        return (SOLAR, 2, 29)
    if kind < 0.1:
        return (LUNAR, die.randint(1, 12), 30)
    if kind < 0.15:  # around both new years, where the numbers of the years differ
        return die.choice([(SOLAR, die.choice([1, 12]), die.randint(1, 31)), (LUNAR, die.choice([11, 12]), die.randint(1, 30))])
    if kind < 0.6:
        day = FIRST.replace(year=2028) + timedelta(days=die.randrange(366))
        return (SOLAR, day.month, day.day)
    return (LUNAR, die.randint(1, 12), die.randint(1, 30))


def running_days(die):
    """Return the days on which the job runs: all but those of standstills."""
    found, day = [], FIRST
    while day < LAST:
        if die.random() < STANDSTILL_CHANCE:
            day += timedelta(days=die.randint(1, LONGEST_STANDSTILL))
        found.append(day)
        day += timedelta(days=1)
    return [day for day in found if day < LAST]


def lives(die):
    """Return for each member the birthdays they held, each with the day it was entered."""
    days = (LAST - FIRST).days
    return [
        [(FIRST, a_birthday(die)), *((FIRST + timedelta(days=at), a_birthday(die)) for at in sorted(die.sample(range(1, days), die.randint(0, 2 * EDITS_EACH))))]
        for _ in range(MEMBERS)
    ]  # fmt: skip


def owed(life, runs):
    """Return what a member must get: each celebration of the birthday they hold when its day is looked at.

    None within 300 days of another, and one in a year of its calendar.
    """
    found, years = [], set()
    for number, (begins, birthday) in enumerate(life):
        ends = life[number + 1][0] if number + 1 < len(life) else LAST
        first = bisect_left(runs, begins)
        until = bisect_left(runs, ends)
        if first >= until:
            continue
        # The first run with this birthday still looks at the day of the run before it.
        since = runs[first - 1] if first else runs[0]
        for day, *year in celebrations(birthday):
            if since <= day <= runs[until - 1] and tuple(year) not in years and (not found or (day - found[-1]).days >= LEAST_GAP_DAYS):
                found.append(day)
                years.add(tuple(year))
    return found


def given_by_the_rules(every_life, runs):
    """Return what each member gets from the job, which knows birthdays by day and gifts by member, calendar and year."""
    born = defaultdict(set)
    edits = defaultdict(list)
    for member, life in enumerate(every_life):
        for place, (at, birthday) in enumerate(life):
            edits[at].append((member, life[place - 1][1] if place else None, birthday))
    pending = sorted(edits)
    gifts = [[] for _ in every_life]
    keys = set()
    done = None
    for today in runs:
        while pending and pending[0] <= today:
            for member, before, after in edits[pending.pop(0)]:
                if before is not None:
                    born[before].discard(member)
                born[after].add(member)
        for day in days_to_do(done, today):
            for what in celebrated_on(day, LEAP_DAY):
                for member in born[what.calendar, what.month, what.day]:
                    last = gifts[member][-1] if gifts[member] else None
                    key = (member, what.calendar, what.year)
                    if key not in keys and not too_soon(last, day):
                        keys.add(key)
                        gifts[member].append(day)
        done = today - timedelta(days=1)
    return gifts


def test_no_birthday_is_missed_and_none_doubled_in_fifty_years():
    die = random.Random(SEED)
    runs, every_life = running_days(die), lives(die)
    gifts = given_by_the_rules(every_life, runs)
    standstills = sum((later - earlier).days > 1 for earlier, later in pairwise(runs))
    edited = sum(len(life) - 1 for life in every_life)
    missed = doubled = total = 0
    for life, got in zip(every_life, gifts, strict=True):
        due = owed(life, runs)
        total += len(due)
        missed += len(set(due) - set(got))
        doubled += len(got) - len(set(got) & set(due))
    print(
        f"\n{MEMBERS} members, {YEARS} years, {edited} edits, {standstills} standstills, seed {SEED}: owed {total}, missed {missed}, doubled {doubled}"
    )
    assert standstills > 100
    assert total > 30 * MEMBERS
    assert (missed, doubled) == (0, 0)
