"""How a tier is earned and kept: what growth something brings, which days count, when a period ends. Pure.

A day is the shop's calendar day. Growth counts on the day of the fact that brought it; what takes it back counts on that same day,
so it leaves the window together with what it takes back.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from server.tiers.errors import GrowthRuleInvalidError

ROLLING, CALENDAR_YEAR = "months", "calendar_year"
CHECK_IN, PROFILE, RATING = "check_in", "profile", "rating"
ACTIVITIES = (CHECK_IN, PROFILE, RATING)

UPGRADE, DOWNGRADE, RENEWAL = "upgrade", "downgrade", "renewal"
LOCK, UNLOCK, MERGE, IMPORT, ASSIGNMENT = "lock", "unlock", "merge", "import", "assignment"
CAUSES = (UPGRADE, DOWNGRADE, RENEWAL, LOCK, UNLOCK, MERGE, IMPORT, ASSIGNMENT)

WARN_DAYS = 30
HISTORY_DAYS = 7
_MOST_MONTHS, _MOST_GRACE_DAYS, _MOST_GROWTH, _MOST_PERCENT, _MOST_FEN = 60, 180, 10**9, 100_000, 10**10
_ONE_DAY = timedelta(days=1)
_LAST = date(9999, 12, 31)


@dataclass(frozen=True, slots=True)
class Formula:
    """One version of the rule.

    Arguments:
        spend_percent: growth for one yuan paid for goods, in percent (100 is one for one).
        per_order: growth for a paid order.
        order_min_fen: orders below bring no ``per_order``.
        activities: activity → growth.
        activity_daily_max: most growth of activities on one day; None for no limit.
        window: ``months`` (rolling) or ``calendar_year``.
        window_months: of a rolling window.
        period_months: how long a tier is held before it is looked at again, under a rolling window.
        grace_days: after the period's end, to make up for what is missing.
        thresholds: tier code → growth it takes; a tier without one is given by hand only.
    """

    spend_percent: int = 100
    per_order: int = 10
    order_min_fen: int = 0
    activities: dict[str, int] = field(default_factory=lambda: {CHECK_IN: 2, PROFILE: 50, RATING: 5})
    activity_daily_max: int | None = 20
    window: str = ROLLING
    window_months: int = 12
    period_months: int = 12
    grace_days: int = 30
    thresholds: dict[str, int] = field(default_factory=lambda: {"silver": 1_000, "gold": 5_000, "black": 20_000})

    def document(self) -> dict[str, Any]:
        """Return it as stored."""
        return asdict(self)


def check(formula: Formula, ranks: Sequence[str]) -> None:
    """Look whether a formula makes sense for the tiers there are.

    Arguments:
        formula: to be checked.
        ranks: codes of the tiers, the lowest first.

    Raises:
        GrowthRuleInvalidError: naming the wrong fields.
    """
    problems = {}
    bounds = {
        "spend_percent": (0, _MOST_PERCENT),
        "per_order": (0, _MOST_GROWTH),
        "order_min_fen": (0, _MOST_FEN),
        "window_months": (1, _MOST_MONTHS),
        "period_months": (1, _MOST_MONTHS),
        "grace_days": (0, _MOST_GRACE_DAYS),
    }
    for name, (least, most) in bounds.items():
        if not least <= getattr(formula, name) <= most:
            problems[name] = f"{least}–{most}"
    if formula.window not in {ROLLING, CALENDAR_YEAR}:
        problems["window"] = f"{ROLLING} | {CALENDAR_YEAR}"
    if set(formula.activities) - set(ACTIVITIES) or any(not 0 <= growth <= _MOST_GROWTH for growth in formula.activities.values()):
        problems["activities"] = " ".join(ACTIVITIES)
    if formula.activity_daily_max is not None and not 0 <= formula.activity_daily_max <= _MOST_GROWTH:
        problems["activity_daily_max"] = f"0–{_MOST_GROWTH}"
    asked = [formula.thresholds[code] for code in ranks if code in formula.thresholds]
    rising = all(lower < higher for lower, higher in pairwise(asked))
    lowest = ranks[0] if ranks else None
    if (
        set(formula.thresholds) - set(ranks)
        or lowest in formula.thresholds
        or not rising
        or any(not 1 <= one <= _MOST_GROWTH for one in asked)
    ):
        problems["thresholds"] = " < ".join(code for code in ranks if code != lowest)
    if problems:
        raise GrowthRuleInvalidError(fields=problems)


# --- What brings growth -----------------------------------------------------------------------------------------------


def spend_growth(formula: Formula, paid_fen: int) -> int:
    """Return the growth of cash paid for goods, whole points of growth, rounded down once for the order."""
    return paid_fen * formula.spend_percent // 10_000


def order_growth(formula: Formula, paid_fen: int) -> int:
    """Return the growth for having bought at all."""
    return formula.per_order if paid_fen > 0 and paid_fen >= formula.order_min_fen else 0


def taken_back(earned: int, paid_fen: int, refunded_fen: int, *, whole: bool) -> int:
    """Return how much of an order's growth all its refunds so far take back; all of it when everything went back.

    Cumulated before rounding down: whatever the order of the refunds, and however many, the whole takes exactly what was earned.
    """
    if whole or refunded_fen >= paid_fen:
        return earned
    return earned * max(refunded_fen, 0) // paid_fen


def activity_growth(formula: Formula, activity: str, earned_today: int) -> int:
    """Return the growth of an activity beside what the day's activities have brought already."""
    growth = formula.activities.get(activity, 0)
    if formula.activity_daily_max is None:
        return growth
    return max(min(growth, formula.activity_daily_max - earned_today), 0)


# --- Which days count -------------------------------------------------------------------------------------------------


def shifted(day: date, months: int) -> date:
    """Return the same day some months later or earlier, or the month's last where it has no such day."""
    number = day.year * 12 + day.month - 1 + months
    year, month = number // 12, number % 12 + 1
    if year > _LAST.year:
        return _LAST
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def window_start(formula: Formula, day: date) -> date:
    """Return the first day that counts on a day."""
    if formula.window == CALENDAR_YEAR:
        return date(day.year, 1, 1)
    return shifted(day, -formula.window_months) + _ONE_DAY


def leaves_on(formula: Formula, counted_on: date) -> date:
    """Return the first day on which what was earned on a day no longer counts."""
    if formula.window == CALENDAR_YEAR:
        return date(counted_on.year + 1, 1, 1)
    candidate = shifted(counted_on, formula.window_months)
    # A month without that day stands on its last, which is a little early: 29 February still counts on 28 February.
    while window_start(formula, candidate) <= counted_on:
        candidate += _ONE_DAY
    return candidate


def period_end(formula: Formula, start: date) -> date:
    """Return the last day of the period that begins on a day."""
    if formula.window == CALENDAR_YEAR:
        return date(start.year, 12, 31)
    return shifted(start, formula.period_months) - _ONE_DAY


def growth_on(formula: Formula, days: Mapping[date, int], day: date) -> int:
    """Return the growth that counts on a day.

    Arguments:
        formula: says how far back.
        days: day → growth earned on it, what was taken back included.
        day: on which it is asked.
    """
    first = window_start(formula, day)
    return sum(growth for earned_on, growth in days.items() if first <= earned_on <= day)


# --- Which tier that is -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """What a member holds.

    Arguments:
        tier: code.
        period_starts_on, period_ends_on: first and last day for which the tier is held; None for the lowest tier.
        locked_until: last day on which the job leaves the tier alone.
        warned_for: end of the period of which the member was warned.
    """

    tier: str
    period_starts_on: date | None = None
    period_ends_on: date | None = None
    locked_until: date | None = None
    warned_for: date | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """One change; ``before`` and ``after`` are codes and are the same where only the period or the lock changed."""

    cause: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """What follows from a member's growth on a day.

    Arguments:
        standing: what the member holds now.
        moves: what led to it, in order.
        growth: what counts today.
        keep_growth: what will count at the end of the period if nothing more is earned; ``growth`` for the lowest tier.
        changes_on: the day on which ``growth`` changes by itself; None for never.
        due_on: the day on which the member must be looked at again; None for never.
        warn: the member is to be told that the tier is at risk.
    """

    standing: Standing
    moves: tuple[Move, ...]
    growth: int
    keep_growth: int
    changes_on: date | None
    due_on: date | None
    warn: bool


def assess(formula: Formula, ranks: Sequence[str], standing: Standing, days: Mapping[date, int], today: date) -> Assessment:
    """Work out what a member holds today.

    Upgrades are made at once and may skip tiers; a downgrade is made only when a period and its grace are over, by one step, and
    opens a period of its own. A lock keeps the tier, and a period that ends under it ends with it.

    Arguments:
        formula: the rule that holds.
        ranks: codes of the tiers, the lowest first.
        standing: what the member held until now.
        days: day → growth earned on it.
        today: in the shop's zone.
    """
    growth = growth_on(formula, days, today)
    now, moves = standing, list[Move]()
    if now.locked_until is not None and now.locked_until < today:
        moves.append(Move(UNLOCK, now.tier, now.tier))
        ends = None if now.period_ends_on is None else max(now.period_ends_on, now.locked_until)
        now = replace(now, locked_until=None, period_ends_on=ends)
    if now.tier == ranks[0]:
        now = replace(now, period_starts_on=None, period_ends_on=None)
    elif now.period_ends_on is None:
        # Given before there was a rule: the first period begins when the rule first looks.
        now = replace(now, period_starts_on=today, period_ends_on=period_end(formula, today))
    if now.locked_until is None:
        now = _stepped(formula, ranks, now, days, today, growth, moves)
    ends = now.period_ends_on
    keep = growth if ends is None else growth_on(formula, days, ends)
    at_risk = is_at_risk(formula, now, keep) and (ends is not None and today >= ends - timedelta(days=WARN_DAYS))
    warn = at_risk and today <= (ends or today) and now.warned_for != ends
    if warn:
        now = replace(now, warned_for=ends)
    counted = [day for day, earned in days.items() if earned and window_start(formula, today) <= day <= today]
    changes_on = leaves_on(formula, min(counted)) if counted else None
    dates = [day for day in (changes_on, _looked_at(formula, now, today)) if day is not None]
    return Assessment(now, tuple(moves), growth, keep, changes_on, min(dates) if dates else None, warn)


def is_at_risk(formula: Formula, standing: Standing, keep_growth: int) -> bool:
    """Tell whether a tier would be lost for want of growth at the end of its period."""
    needed = formula.thresholds.get(standing.tier)
    ends = standing.period_ends_on
    locked = standing.locked_until is not None and ends is not None and standing.locked_until > ends
    return needed is not None and ends is not None and not locked and keep_growth < needed


def earned_tier(formula: Formula, ranks: Sequence[str], growth: int) -> str:
    """Return the best tier that growth reaches."""
    return next((code for code in reversed(ranks) if code in formula.thresholds and growth >= formula.thresholds[code]), ranks[0])


def _stepped(
    formula: Formula, ranks: Sequence[str], now: Standing, days: Mapping[date, int], today: date, growth: int, moves: list[Move]
) -> Standing:
    best = earned_tier(formula, ranks, growth)
    if ranks.index(best) > ranks.index(now.tier):
        moves.append(Move(UPGRADE, now.tier, best))
        return Standing(best, today, period_end(formula, today))
    while (ends := now.period_ends_on) is not None and today > ends:
        needed = formula.thresholds.get(now.tier)
        if needed is None or growth >= needed or growth_on(formula, days, ends) >= needed:
            start = ends + _ONE_DAY
            now = Standing(now.tier, start, period_end(formula, start))
            moves.append(Move(RENEWAL, now.tier, now.tier))
            continue
        if today <= ends + timedelta(days=formula.grace_days):
            break
        below = ranks[ranks.index(now.tier) - 1]
        moves.append(Move(DOWNGRADE, now.tier, below))
        # From today, however late the job comes: never two steps for one absence.
        return Standing(below) if below == ranks[0] else Standing(below, today, period_end(formula, today))
    return now


def _looked_at(formula: Formula, now: Standing, today: date) -> date | None:
    ends = now.period_ends_on
    warning = None if ends is None else ends - timedelta(days=WARN_DAYS)
    if now.locked_until is not None:
        # A lock that ends before the period does not spare the member the warning, which may be due under it.
        free = now.locked_until + _ONE_DAY
        return warning if warning is not None and today < warning < free else free
    if ends is None or warning is None:
        return None
    if today < warning:
        return warning
    return ends + _ONE_DAY if today <= ends else ends + timedelta(days=formula.grace_days + 1)
