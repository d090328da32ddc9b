"""The kinds of earning rules: points for money, campaign multipliers, points for events, and the daily check-in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from server.points.rules.policies import RuleRef

PER_AMOUNT = "per_amount"
MULTIPLIER = "multiplier"
EVENT = "event"
CHECK_IN = "check_in"
KINDS = (PER_AMOUNT, MULTIPLIER, EVENT, CHECK_IN)


class Rounding(StrEnum):
    """How a broken number of points becomes a whole one."""

    FLOOR = "floor"
    HALF_UP = "half_up"
    CEIL = "ceil"

    def whole(self, numerator: int, denominator: int) -> int:
        """Return ``numerator / denominator`` as a whole number; both are zero or more, and no float is ever made."""
        if self is Rounding.HALF_UP:
            return (2 * numerator + denominator) // (2 * denominator)
        if self is Rounding.CEIL:
            return -(-numerator // denominator)
        return numerator // denominator


@dataclass(frozen=True, slots=True)
class EarningLine:
    """An order line as far as points care; ``basis_fen`` is the cash paid for it, without its share of points paid."""

    line_no: int
    sku: str
    category: str | None
    basis_fen: int


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rule is limited to, and what it leaves out; empty means no limit.

    Arguments:
        skus, categories: of the line.
        stores, channels: of the sale.
        except_skus, except_categories, except_stores: left out, whatever the limits say.
    """

    skus: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    stores: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    except_skus: frozenset[str] = frozenset()
    except_categories: frozenset[str] = frozenset()
    except_stores: frozenset[str] = frozenset()

    def covers(self, line: EarningLine, store: str | None, channel: str | None) -> bool:
        """Tell whether a line is within the limits; what is left out is asked by ``leaves_out``."""
        return (
            (not self.skus or line.sku in self.skus)
            and (not self.categories or line.category in self.categories)
            and (not self.stores or store in self.stores)
            and (not self.channels or channel in self.channels)
        )

    def leaves_out(self, line: EarningLine, store: str | None) -> bool:
        """Tell whether a line is left out."""
        return line.sku in self.except_skus or line.category in self.except_categories or store in self.except_stores

    @property
    def narrowness(self) -> int:
        """Return how specific the limits are: products before categories, these before stores, and channels last."""
        return 8 * bool(self.skus) + 4 * bool(self.categories) + 2 * bool(self.stores) + bool(self.channels)


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class PerAmountRule:
    """One point for every ``fen_per_point`` of cash paid for goods.

    Arguments:
        ref: which version this is.
        fen_per_point: fen for one point at a multiplier of 100 %.
        use_tier_multiplier: whether the member's tier multiplies.
        use_campaigns: whether campaign multipliers multiply.
        rounding: how a broken number becomes whole.
        by_line: rounded for each line by itself; otherwise once for the order.
        min_order_fen: cash that the order's goods must come to.
        max_points_per_day: cap for one member on one business day, or None.
        max_points_per_member: cap for one member over the rule's life, or None.
        max_points_in_all: cap over all members, the campaign's budget, or None.
        scope: what it is limited to.
        priority: the higher comes first among the rules that fit a line.
        stacks: adds its points on top of those of the line's other rule, instead of competing with it.
    """

    ref: RuleRef
    fen_per_point: int
    use_tier_multiplier: bool = True
    use_campaigns: bool = True
    rounding: Rounding = Rounding.FLOOR
    by_line: bool = False
    min_order_fen: int = 0
    max_points_per_day: int | None = None
    max_points_per_member: int | None = None
    max_points_in_all: int | None = None
    scope: Scope = EVERYTHING
    priority: int = 0
    stacks: bool = False

    def preference(self) -> tuple[int, int, int, str]:
        """Return the sort key among rules that fit a line: priority, the most specific, the most generous, then code."""
        return -self.priority, -self.scope.narrowness, self.fen_per_point, self.ref.code

    @property
    def counted(self) -> bool:
        """Tell whether what it gave must be counted over more than a day."""
        return self.max_points_per_member is not None or self.max_points_in_all is not None


@dataclass(frozen=True, slots=True)
class MultiplierRule:
    """A campaign that multiplies what the per-amount rules give.

    Arguments:
        ref: which version this is.
        percent: 200 doubles.
        scope: lines and sales it is for.
        tiers: of members it is for; empty for all.
        weekdays: 1 (Monday) to 7; it holds on these and on ``month_days``, every day when both are empty.
        month_days: members' days of the month.
        compounds: multiplies on top of the best of the others; otherwise only the highest one counts.
    """

    ref: RuleRef
    percent: int
    scope: Scope = EVERYTHING
    tiers: frozenset[str] = frozenset()
    weekdays: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    compounds: bool = False

    def holds(self, day: date | None, tier: str | None) -> bool:
        """Tell whether it is for this business day and tier."""
        if self.tiers and tier not in self.tiers:
            return False
        if not self.weekdays and not self.month_days:
            return True
        return day is not None and (day.isoweekday() in self.weekdays or day.day in self.month_days)

    def fits(self, line: EarningLine, store: str | None, channel: str | None) -> bool:
        """Tell whether it multiplies a line."""
        return self.scope.covers(line, store, channel) and not self.scope.leaves_out(line, store)


class EarningEvent(StrEnum):
    """What fixed points are given for."""

    SIGN_UP = "sign_up"
    PROFILE_COMPLETED = "profile_completed"
    FIRST_ORDER = "first_order"
    TICKET_RATED = "ticket_rated"

    @property
    def once(self) -> bool:
        """Tell whether one person gets it once in a lifetime."""
        return self is not EarningEvent.TICKET_RATED


# Names kept for domains that do not tell of them yet: a rule for one would never give anything.
RESERVED_EVENTS = frozenset({"survey_answered"})


@dataclass(frozen=True, slots=True)
class EventRule:
    """Fixed points for an event.

    Arguments:
        ref: which version this is.
        event: what for.
        points: how many.
        max_times_per_day: for what may happen again, or None.
        pending_days: the points are there after so many days.
        priority: of several rules for one event the highest gives, then the one with most points.
    """

    ref: RuleRef
    event: EarningEvent
    points: int
    max_times_per_day: int | None = None
    pending_days: int = 0
    priority: int = 0

    def preference(self) -> tuple[int, int, str]:
        """Return the sort key among the rules for one event."""
        return -self.priority, -self.points, self.ref.code


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


Rule = PerAmountRule | MultiplierRule | EventRule | CheckInRule


def streak_after(last_day: date | None, last_streak_days: int, today: date) -> int:
    """Return the length of the check-in streak that a check-in today makes."""
    return last_streak_days + 1 if last_day == today - timedelta(days=1) else 1


@dataclass(frozen=True, slots=True)
class DatedRule:
    """A rule with the window it holds in; None for open."""

    rule: Rule
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    def holds_at(self, instant: datetime) -> bool:
        """Tell whether an instant is inside its window."""
        return (self.valid_from is None or self.valid_from <= instant) and (self.valid_until is None or instant < self.valid_until)


class Rulebook:
    """The newest enabled version of every rule; which of them hold depends on the instant.

    Arguments:
        dated: the rules.
    """

    def __init__(self, dated: Sequence[DatedRule]) -> None:
        self._dated = tuple(dated)
        self._always = all(rule.valid_from is None and rule.valid_until is None for rule in dated)
        self._rules = [rule.rule for rule in dated]

    def at(self, instant: datetime) -> list[Rule]:
        """Return the rules that hold at an instant."""
        return self._rules if self._always else [dated.rule for dated in self._dated if dated.holds_at(instant)]

    def event_rule(self, event: EarningEvent, instant: datetime) -> EventRule | None:
        """Return the one rule that gives for an event at an instant, or None."""
        fitting = [rule for rule in self.at(instant) if isinstance(rule, EventRule) and rule.event is event]
        return min(fitting, key=EventRule.preference, default=None)

    def offers(self, event: EarningEvent) -> bool:
        """Tell whether there is a rule for an event, whatever its window."""
        return any(isinstance(rule, EventRule) and rule.event is event for rule in self._rules)

    @property
    def counted(self) -> list[str]:
        """Return the codes of rules with a cap over more than a day."""
        return sorted(rule.ref.code for rule in self._rules if isinstance(rule, PerAmountRule) and rule.counted)

    @property
    def capped_daily(self) -> bool:
        """Tell whether any rule has a cap for the day."""
        return any(isinstance(rule, PerAmountRule) and rule.max_points_per_day is not None for rule in self._rules)
