"""Drives the pure rules of points with a seeded die beside what ``docs/points.md`` says, worked out with fractions and by looking at every case.

A shop goes through its days: members buy under rules that come and go, caps fill, lines are refunded in parts of any size and order, and
points get their last day. No database and no clock of a machine, so that a million steps take minutes.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import ceil, floor
from zoneinfo import ZoneInfo

from server.kernel.ids import uuid7
from server.points.rules import (
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
    streak_after,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
SKUS = ("tea", "cup", "pot", "tin")
CATEGORIES = ("drinks", "ware", None)
STORES = ("north", "south", None)
CHANNELS = ("till", "shop", None)
TIERS = ("standard", "gold")
MEMBERS = 3


@dataclass
class Line:
    """A line that earned: what is left of its money and of its points."""

    points: int
    paid: int
    refunded: int = 0
    taken: int = 0


@dataclass
class Counted:
    """What a rule gave so far, as its caps see it."""

    today: Counter = field(default_factory=Counter)
    to_member: Counter = field(default_factory=Counter)
    in_all: int = 0


class RulesMachine:
    """A run; ``run`` takes steps and raises at the first that is not as the documents say."""

    def __init__(self, seed):
        self.seed = seed
        self.die = random.Random(seed)
        self.done = Counter()
        self.step = 0
        self.refs = [RuleRef(uuid7(), f"rule-{place}", 1) for place in range(8)]
        self.day = date(2026, 1, 1)
        self.lines = []
        self.streaks = {}
        self._new_rules()

    def run(self, steps):
        for _ in range(steps):
            self.step += 1
            name = self.die.choices(("order", "refund", "expiry", "check_in", "next_day", "new_rules"), (50, 35, 8, 4, 2, 1))[0]
            self.done[name] += 1
            try:
                getattr(self, f"_{name}")()
            except Exception as error:
                message = f"seed {self.seed}, step {self.step}, {name}: {error}"
                raise AssertionError(message) from error

    # --- the shop -------------------------------------------------------------------------------------------------

    def _some(self, values, chance):
        return frozenset(self.die.sample([value for value in values if value], 1)) if self.die.random() < chance else frozenset()

    def _scope(self):
        if self.die.random() < 0.4:
            return Scope()
        some = self._some
        return Scope(
            some(SKUS, 0.3), some(CATEGORIES, 0.3), some(STORES, 0.2), some(CHANNELS, 0.2),
            some(SKUS, 0.2), some(CATEGORIES, 0.15), some(STORES, 0.15),
        )  # fmt: skip

    def _cap(self, chance, most):
        return self.die.randint(0, most) if self.die.random() < chance else None

    def _new_rules(self):
        die = self.die
        self.rules = [
            PerAmountRule(
                ref,
                fen_per_point=die.choice([1, 7, 50, 100, 100, 333, 1000]),
                use_tier_multiplier=die.random() < 0.7,
                use_campaigns=die.random() < 0.7,
                rounding=die.choice(list(Rounding)),
                by_line=die.random() < 0.4,
                min_order_fen=die.choice([0, 0, 500, 5000]),
                max_points_per_day=self._cap(0.25, 200),
                max_points_per_member=self._cap(0.2, 2000),
                max_points_in_all=self._cap(0.2, 5000),
                scope=self._scope(),
                priority=die.choice([0, 0, 1]),
                stacks=die.random() < 0.25,
            )
            for ref in self.refs[: die.randint(1, 4)]
        ]
        self.campaigns = [
            MultiplierRule(
                ref,
                percent=die.choice([0, 50, 110, 150, 200, 333]),
                scope=self._scope(),
                tiers=self._some(TIERS, 0.3),
                weekdays=frozenset(die.sample(range(1, 8), die.randint(1, 3))) if die.random() < 0.3 else frozenset(),
                month_days=frozenset(die.sample(range(1, 32), 5)) if die.random() < 0.3 else frozenset(),
                compounds=die.random() < 0.5,
            )
            for ref in self.refs[4 : 4 + die.randint(0, 3)]
        ]
        self.given = {rule.ref.code: Counted() for rule in self.rules}

    def _next_day(self):
        self.day += timedelta(days=self.die.choice([1, 1, 1, 2, 30]))
        for counted in self.given.values():
            counted.today.clear()

    # --- an order -------------------------------------------------------------------------------------------------

    def _order(self):
        die, member = self.die, self.die.randrange(MEMBERS)
        numbers = die.sample(range(1, 9), die.randint(1, 4))
        lines = [
            EarningLine(number, die.choice(SKUS), die.choice(CATEGORIES), die.choice([0, 1, 99, 100, 199, die.randint(1, 20_000)]))
            for number in numbers
        ]
        before = Given(
            {code: counted.today[member] for code, counted in self.given.items()},
            {code: counted.to_member[member] for code, counted in self.given.items()},
            {code: counted.in_all for code, counted in self.given.items()},
        )
        rules = [*self.rules, *self.campaigns]
        die.shuffle(rules)
        context = EarningContext(
            lines,
            rules,
            die.choice([100, 100, 125, 150, 33]),
            die.choice(TIERS),
            die.choice(STORES),
            die.choice(CHANNELS),
            self.day,
            before,
        )
        found = order_points(context)
        by_line, by_rule = self._as_documented(context)
        assert found.by_line == by_line, (found.by_line, by_line)
        assert found.by_rule == {code: points for code, points in by_rule.items() if points}
        assert found.total == sum(by_line) == sum(by_rule.values())
        for code, points in by_rule.items():
            rule, counted = next(rule for rule in self.rules if rule.ref.code == code), self.given[code]
            counted.today[member] += points
            counted.to_member[member] += points
            counted.in_all += points
            for cap, count in (
                (rule.max_points_per_day, counted.today[member]),
                (rule.max_points_per_member, counted.to_member[member]),
                (rule.max_points_in_all, counted.in_all),
            ):
                assert cap is None or count <= cap, code
        self.lines += [Line(points, line.basis_fen) for line, points in zip(lines, by_line, strict=True) if points]

    def _as_documented(self, context):
        """Return the points by line and by rule, by the six steps of «The order of arithmetic»."""
        goods = sum(line.basis_fen for line in context.lines)
        of_rule = {rule.ref.code: [] for rule in self.rules}
        for line in context.lines:
            if line.basis_fen:
                for rule in self._rules_of(line, context, goods):
                    of_rule[rule.ref.code].append(line)
        points = {line.line_no: 0 for line in context.lines}
        by_rule = {}
        for rule in self.rules:
            lines = sorted(of_rule[rule.ref.code], key=lambda line: line.line_no)
            exact = [self._exact(rule, line, context) for line in lines]
            weights = [_whole(rule.rounding, part) for part in exact] if rule.by_line else exact
            earned = sum(weights) if rule.by_line else _whole(rule.rounding, sum(exact, Fraction(0)))
            code = rule.ref.code
            for cap, had in (
                (rule.max_points_per_day, context.given.today[code]),
                (rule.max_points_per_member, context.given.to_member[code]),
                (rule.max_points_in_all, context.given.in_all[code]),
            ):
                if cap is not None:
                    earned = min(earned, max(cap - had, 0))
            by_rule[code] = earned
            for line, share in zip(lines, _shares(earned, weights), strict=True):
                points[line.line_no] += share
        return [points[line.line_no] for line in context.lines], by_rule

    def _rules_of(self, line, context, goods):
        fitting = [rule for rule in self.rules if _covers(rule.scope, line, context) and goods >= rule.min_order_fen]
        alone = [rule for rule in fitting if not rule.stacks]
        # The higher priority, then the most specific, the most generous, the code: each sort keeps the order of the one before.
        alone.sort(key=lambda rule: rule.ref.code)
        alone.sort(key=lambda rule: rule.fen_per_point)
        alone.sort(key=lambda rule: _specific(rule.scope), reverse=True)
        alone.sort(key=lambda rule: rule.priority, reverse=True)
        return alone[:1] + [rule for rule in fitting if rule.stacks]

    def _exact(self, rule, line, context):
        exact = Fraction(line.basis_fen, rule.fen_per_point)
        if rule.use_tier_multiplier:
            exact *= Fraction(context.multiplier_percent, 100)
        if rule.use_campaigns:
            fitting = [campaign for campaign in self.campaigns if _on(campaign, context) and _covers(campaign.scope, line, context)]
            alone = [campaign.percent for campaign in fitting if not campaign.compounds]
            for percent in sorted(alone)[-1:] + [campaign.percent for campaign in fitting if campaign.compounds]:
                exact *= Fraction(percent, 100)
        return exact

    # --- what comes after -----------------------------------------------------------------------------------------

    def _refund(self):
        """Some money of a line goes back, at times more than was paid; what is taken is what was not taken yet of its share."""
        if not self.lines:
            return
        place = self.die.randrange(len(self.lines))
        line = self.lines[place]
        left = line.paid - line.refunded
        fen = self.die.choice([left, left + 5, 1, self.die.randint(1, left)])
        taken = points_of_refund(line.points, line.paid, line.refunded, fen)
        line.refunded += fen
        line.taken += taken
        assert taken >= 0
        assert line.taken == min(floor(Fraction(line.points * line.refunded, line.paid)), line.points)
        assert line.taken == points_taken_back(line.points, line.paid, line.refunded)
        if line.refunded >= line.paid:
            assert line.taken == line.points
            self.lines[place] = self.lines[-1]
            self.lines.pop()
        elif len(self.lines) > 500:
            self.lines.pop(0)

    def _expiry(self):
        """The last day is found by walking the calendar; the points are gone with its last instant."""
        kind, count = self.die.choice(["never", "days", "month_end", "year_end"]), self.die.randint(0, 30)
        hour, minute = self.die.randrange(24), self.die.choice([0, 1, 59])
        earned_at = datetime(self.day.year, self.day.month, self.day.day, hour, minute, tzinfo=SHANGHAI).astimezone(UTC)
        gone = ExpiryPolicy(kind, count if kind != "year_end" else count % 4).expires_at(earned_at, SHANGHAI)
        if kind == "never":
            assert gone is None
            return
        last = self.day
        if kind == "days":
            for _ in range(count):
                last += timedelta(days=1)
        else:
            turns = (count if kind == "month_end" else count % 4) + 1
            while turns:
                following = last + timedelta(days=1)
                turns -= following.day == 1 and (kind == "month_end" or following.month == 1)
                last = following if turns else last
        assert (gone - timedelta(microseconds=1)).astimezone(SHANGHAI).date() == last
        assert gone.astimezone(SHANGHAI).date() == last + timedelta(days=1)
        assert gone > earned_at

    def _check_in(self):
        member = self.die.randrange(MEMBERS)
        days = self.streaks.setdefault(member, [])
        if self.day in days:
            return
        length = streak_after(days[-1] if days else None, len(days), self.day)
        if self.day - timedelta(days=1) not in days:
            days.clear()
        days.append(self.day)
        assert length == len(days)


def _whole(rounding, exact):
    if rounding is Rounding.FLOOR:
        return floor(exact)
    return ceil(exact) if rounding is Rounding.CEIL else floor(exact + Fraction(1, 2))


def _shares(total, weights):
    """Share out by largest remainder; ties go to the earlier."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    exact = [total * Fraction(weight) / whole for weight in weights]
    shares = [floor(part) for part in exact]
    while sum(shares) < total:
        place = max(range(len(shares)), key=lambda place: (exact[place] - shares[place], -place))
        shares[place] += 1
    return shares


def _covers(scope, line, context):
    if line.sku in scope.except_skus or line.category in scope.except_categories or context.store in scope.except_stores:
        return False
    asked = ((scope.skus, line.sku), (scope.categories, line.category), (scope.stores, context.store), (scope.channels, context.channel))
    return all(not wanted or value in wanted for wanted, value in asked)


def _specific(scope):
    return (bool(scope.skus), bool(scope.categories), bool(scope.stores), bool(scope.channels))


def _on(campaign, context):
    if campaign.tiers and context.tier not in campaign.tiers:
        return False
    special = campaign.weekdays or campaign.month_days
    return not special or context.day.isoweekday() in campaign.weekdays or context.day.day in campaign.month_days
