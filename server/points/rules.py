"""What earns points, how many, how long they live, and how they are taken back. Pure: no database, no clock.

Points rest on cash paid for goods. An order's points are worked out once, down to whole points per order and rule, and
attributed to its lines by largest remainder, so that line refunds add up to exactly what was earned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.kernel.amounts import split_by_largest_remainder
from server.kernel.clock import business_date, end_of_day
from server.points.errors import RuleInvalidError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

PER_AMOUNT = "per_amount"
CHECK_IN = "check_in"
MAX_POINTS = 1_000_000_000
_MONTHS = 12
_MAX_DAYS = 36_500


class DebtPolicy(StrEnum):
    """What happens when more is to be taken back than the member still has."""

    WITHIN_BALANCE = "within_balance"
    NEGATIVE = "negative"


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """The brand's declared policies.

    Arguments:
        debt_policy: for reversals that outrun the balance.
        reopen_days: life of points returned into a lot that expired meanwhile.
    """

    debt_policy: DebtPolicy = DebtPolicy.WITHIN_BALANCE
    reopen_days: int = 30


@dataclass(frozen=True, slots=True)
class ExpiryPolicy:
    """How long points live.

    Arguments:
        kind: ``never``, ``days`` (whole days after the day of earning), ``month_end`` or ``year_end`` (the end of the
            month or year that is ``count`` months or years on).
        count: days, months or years.
    """

    kind: str = "never"
    count: int = 0

    def expires_at(self, earned_at: datetime, zone: ZoneInfo) -> datetime | None:
        """Return the first instant at which the points are gone, or None."""
        day = business_date(earned_at, zone)
        if self.kind == "days":
            return end_of_day(day + timedelta(days=self.count), zone)
        if self.kind == "month_end":
            months = day.year * _MONTHS + day.month + self.count
            return end_of_day(date(months // _MONTHS, months % _MONTHS + 1, 1) - timedelta(days=1), zone)
        if self.kind == "year_end":
            return end_of_day(date(day.year + self.count, _MONTHS, 31), zone)
        return None


@dataclass(frozen=True, slots=True)
class RuleRef:
    """The rule version that made an entry, and the life of the points it gives."""

    id: UUID
    code: str
    version: int
    expiry: ExpiryPolicy = field(default_factory=ExpiryPolicy)


@dataclass(frozen=True, slots=True)
class PerAmountRule:
    """One point for every ``fen_per_point`` of cash paid for goods.

    Arguments:
        ref: which version this is.
        fen_per_point: fen for one point at a multiplier of 100 %.
        use_tier_multiplier: whether the member's tier multiplies.
        max_points_per_day: cap for one member on one business day, or None.
        skus, categories, stores: what it is limited to; empty means no limit.
    """

    ref: RuleRef
    fen_per_point: int
    use_tier_multiplier: bool = True
    max_points_per_day: int | None = None
    skus: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    stores: frozenset[str] = frozenset()

    def fits(self, line: EarningLine, store: str | None) -> bool:
        """Tell whether a line earns by this rule."""
        return (
            (not self.skus or line.sku in self.skus)
            and (not self.categories or line.category in self.categories)
            and (not self.stores or store in self.stores)
        )

    def preference(self) -> tuple[int, int, str]:
        """Return the sort key among rules that fit a line: the most specific first, then the most generous, then code."""
        narrowness = 4 * bool(self.skus) + 2 * bool(self.categories) + bool(self.stores)
        return -narrowness, self.fen_per_point, self.ref.code


@dataclass(frozen=True, slots=True)
class CheckInRule:
    """Points for a daily check-in.

    Arguments:
        ref: which version this is.
        points: for each day.
        streak_bonus: streak length in days → extra points on the day it is reached.
        cycle_days: after so many days in a row the bonus table starts again; 0 for never.
    """

    ref: RuleRef
    points: int
    streak_bonus: Mapping[int, int] = field(default_factory=dict)
    cycle_days: int = 0

    def points_on(self, streak_days: int) -> int:
        """Return the points for the n-th day in a row."""
        place = (streak_days - 1) % self.cycle_days + 1 if self.cycle_days else streak_days
        return self.points + self.streak_bonus.get(place, 0)


Rule = PerAmountRule | CheckInRule


@dataclass(frozen=True, slots=True)
class EarningLine:
    """An order line as far as points care; ``basis_fen`` is the cash paid for it, without its share of points paid."""

    line_no: int
    sku: str
    category: str | None
    basis_fen: int


@dataclass(frozen=True, slots=True)
class EarningContext:
    """What the points of an order are worked out from; the caller fills it from its own domain.

    Arguments:
        lines: the order's lines.
        rules: from ``points.queries.active_rules``; those of other kinds are passed over.
        multiplier_percent: of the member's tier.
        store: where the sale happened.
        earned_today: rule code → points the member earned by it today (``points.queries.earned_on``), for daily caps.
    """

    lines: Sequence[EarningLine]
    rules: Sequence[Rule] = ()
    multiplier_percent: int = 100
    store: str | None = None
    earned_today: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OrderPoints:
    """The points of one order.

    Arguments:
        total: whole points.
        by_line: the share of each line, in the order of the context's lines; sums to ``total``.
        rules: the rule versions that gave some, the one that gave most first.
        reasons: the trace of why and why not, fit for an entry's ``details``.
    """

    total: int
    by_line: list[int]
    rules: list[RuleRef]
    reasons: list[dict[str, Any]]

    @property
    def rule(self) -> RuleRef | None:
        """Return the rule version that gave most."""
        return self.rules[0] if self.rules else None

    @property
    def details(self) -> dict[str, Any]:
        """Return the trace as an entry keeps it."""
        return {"why": self.reasons, "by_line": self.by_line}


def order_points(context: EarningContext) -> OrderPoints:
    """Work out what an order earns.

    Each line earns by exactly one rule, the most specific that fits. A rule's points are
    ``floor(Σ basis × multiplier / (fen_per_point × 100))``, cut to what its daily cap leaves.
    """
    groups: dict[str, list[int]] = {}
    rules: dict[str, PerAmountRule] = {}
    reasons: list[dict[str, Any]] = []
    candidates = sorted((rule for rule in context.rules if isinstance(rule, PerAmountRule)), key=PerAmountRule.preference)
    for place, line in enumerate(context.lines):
        fitting = next((rule for rule in candidates if line.basis_fen > 0 and rule.fits(line, context.store)), None)
        if fitting is None:
            why = "no_rule_fits" if line.basis_fen > 0 else "nothing_paid"
            reasons.append({"line_no": line.line_no, "points": 0, "why": why})
            continue
        groups.setdefault(fitting.ref.code, []).append(place)
        rules[fitting.ref.code] = fitting
    by_line = [0] * len(context.lines)
    given: list[tuple[int, RuleRef]] = []
    for code, places in groups.items():
        rule = rules[code]
        percent = context.multiplier_percent if rule.use_tier_multiplier else 100
        basis = [context.lines[place].basis_fen for place in places]
        earned = min(sum(basis) * percent // (rule.fen_per_point * 100), MAX_POINTS)
        reason: dict[str, Any] = {
            "rule": code,
            "version": rule.ref.version,
            "basis_fen": sum(basis),
            "fen_per_point": rule.fen_per_point,
            "multiplier_percent": percent,
            "lines": [context.lines[place].line_no for place in places],
        }
        if rule.max_points_per_day is not None:
            room = max(rule.max_points_per_day - context.earned_today.get(code, 0), 0)
            if earned > room:
                reason.update(why="daily_cap", before_cap=earned, cap=rule.max_points_per_day)
                earned = room
        reasons.append({**reason, "points": earned})
        for place, share in zip(places, split_by_largest_remainder(earned, basis), strict=True):
            by_line[place] = share
        if earned:
            given.append((earned, rule.ref))
    given.sort(key=lambda pair: (-pair[0], pair[1].code))
    return OrderPoints(sum(by_line), by_line, [ref for _, ref in given], reasons)


def points_taken_back(line_points: int, paid_fen: int, refunded_fen: int) -> int:
    """Return the points of a line that a refunded amount, cumulated over all its refunds, takes back.

    ``floor(line points × refunded / paid)``; everything once the whole line is refunded.

    Arguments:
        line_points: what the line earned.
        paid_fen: cash paid for the line.
        refunded_fen: refunded so far in all, this refund included; more than paid counts as paid.
    """
    if paid_fen <= 0 or refunded_fen <= 0:
        return 0
    return line_points * min(refunded_fen, paid_fen) // paid_fen


def points_of_refund(line_points: int, paid_fen: int, refunded_before_fen: int, refund_fen: int) -> int:
    """Return the points that one more refund of a line takes back."""
    before = points_taken_back(line_points, paid_fen, refunded_before_fen)
    return points_taken_back(line_points, paid_fen, refunded_before_fen + refund_fen) - before


def streak_after(last_day: date | None, last_streak_days: int, today: date) -> int:
    """Return the length of the check-in streak that a check-in today makes."""
    return last_streak_days + 1 if last_day == today - timedelta(days=1) else 1


def read_rule(kind: str, document: Mapping[str, Any], ref: RuleRef) -> Rule:
    """Return a rule from its stored document.

    Raises:
        RuleInvalidError: naming the fields that do not make sense.
    """
    if kind == PER_AMOUNT:
        cap = document.get("max_points_per_day")
        return PerAmountRule(
            ref=ref,
            fen_per_point=_whole(document, "fen_per_point", low=1),
            use_tier_multiplier=bool(document.get("use_tier_multiplier", True)),
            max_points_per_day=None if cap is None else _whole(document, "max_points_per_day", low=1),
            skus=_names(document, "skus"),
            categories=_names(document, "categories"),
            stores=_names(document, "stores"),
        )
    if kind == CHECK_IN:
        table = document.get("streak_bonus") or {}
        try:
            bonus = {int(days): int(points) for days, points in table.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise RuleInvalidError(fields={"streak_bonus": "days: points"}) from error
        if any(days < 1 or not 0 <= points <= MAX_POINTS for days, points in bonus.items()):
            raise RuleInvalidError(fields={"streak_bonus": "days: points"})
        return CheckInRule(ref, _whole(document, "points", low=0), bonus, _whole(document, "cycle_days", low=0, default=0))
    raise RuleInvalidError(fields={"kind": kind})


def read_expiry(document: Mapping[str, Any]) -> ExpiryPolicy:
    """Return the expiry policy of a rule's document.

    Raises:
        RuleInvalidError: for an unknown kind or a count out of bounds.
    """
    part = document.get("expiry") or {"kind": "never"}
    kind = part.get("kind") if isinstance(part, Mapping) else None
    if kind not in {"never", "days", "month_end", "year_end"}:
        raise RuleInvalidError(fields={"expiry": "never | days | month_end | year_end"})
    if kind == "never":
        return ExpiryPolicy()
    highest = {"days": _MAX_DAYS, "month_end": 1200, "year_end": 100}[kind]
    return ExpiryPolicy(kind, _whole(part, "count", low=0, high=highest))


def _whole(document: Mapping[str, Any], name: str, *, low: int, high: int = MAX_POINTS, default: int | None = None) -> int:
    value = document.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise RuleInvalidError(fields={name: f"{low}–{high}"})
    return value


def _names(document: Mapping[str, Any], name: str) -> frozenset[str]:
    value = document.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise RuleInvalidError(fields={name: "list of codes"})
    return frozenset(value)
