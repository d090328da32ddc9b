"""What an order earns, worked out in whole numbers alone. The order of arithmetic is told in ``docs/points.md``.

Points rest on cash paid for goods. Each rule's points are worked out over all its lines, rounded as the rule says, cut to
its caps, and attributed to the lines by largest remainder, so that line refunds add up to exactly what was earned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from server.kernel.amounts import split_by_largest_remainder
from server.points.rules.kinds import EVERYTHING, EarningLine, MultiplierRule, PerAmountRule, Rounding, Rule
from server.points.rules.policies import MAX_POINTS, RuleRef

NOTHING_PAID = "nothing_paid"
NO_RULE_FITS = "no_rule_fits"
EXCLUDED = "excluded"
BELOW_MINIMUM = "below_minimum"
CAP_REACHED = "cap_reached"


@dataclass(frozen=True, slots=True)
class Given:
    """What rules gave before, by rule code: what caps leave depends on it.

    Arguments:
        today: to this member on the business day.
        to_member: to this member over the rule's life.
        in_all: to all members.
    """

    today: Mapping[str, int] = field(default_factory=dict)
    to_member: Mapping[str, int] = field(default_factory=dict)
    in_all: Mapping[str, int] = field(default_factory=dict)


NOTHING_GIVEN = Given()


@dataclass(frozen=True, slots=True)
class EarningContext:
    """What the points of an order are worked out from; the caller fills it from its own domain.

    Arguments:
        lines: the order's lines.
        rules: from ``points.queries.rulebook``; those of other kinds are passed over.
        multiplier_percent: of the member's tier.
        tier: code of the member's tier.
        store: where the sale happened.
        channel: what it came through.
        day: the business day of the sale, for multipliers of a weekday or a day of the month.
        given: what the rules gave before.
    """

    lines: Sequence[EarningLine]
    rules: Sequence[Rule] = ()
    multiplier_percent: int = 100
    tier: str | None = None
    store: str | None = None
    channel: str | None = None
    day: date | None = None
    given: Given = NOTHING_GIVEN


@dataclass(frozen=True, slots=True)
class OrderPoints:
    """The points of one order.

    Arguments:
        total: whole points.
        by_line: the share of each line, in the order of the context's lines; sums to ``total``.
        rules: the rule versions that gave some, the one that gave most first.
        reasons: the trace of why and why not, fit for an entry's ``details``.
        by_rule: rule code → points.
    """

    total: int
    by_line: list[int]
    rules: list[RuleRef]
    reasons: list[dict[str, Any]]
    by_rule: dict[str, int] = field(default_factory=dict)

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

    Each line earns by exactly one exclusive rule, the first that fits by priority, then the most specific, and by every
    stacking rule that fits. The order in which the lines come changes nothing.
    """
    lines = context.lines
    # Ties in the split go to the earlier line, so lines are taken by their numbers wherever they stand.
    numbers = [line.line_no for line in lines]
    order = sorted(range(len(lines)), key=numbers.__getitem__)
    candidates = sorted((rule for rule in context.rules if isinstance(rule, PerAmountRule)), key=PerAmountRule.preference)
    campaigns = [rule for rule in context.rules if isinstance(rule, MultiplierRule) and rule.holds(context.day, context.tier)]
    order_fen = sum(line.basis_fen for line in lines if line.basis_fen > 0)
    groups: dict[str, list[int]] = {}
    reasons: list[dict[str, Any]] = []
    only = (
        candidates[0] if len(candidates) == 1 and candidates[0].scope is EVERYTHING and order_fen >= candidates[0].min_order_fen else None
    )
    for place in order:
        line = lines[place]
        if only is not None and line.basis_fen > 0:
            # Most shops have one rule for everything, and a history has a million lines.
            groups.setdefault(only.ref.code, []).append(place)
            continue
        fitting, refusal = _rules_of(line, candidates, context, order_fen)
        for rule in fitting:
            groups.setdefault(rule.ref.code, []).append(place)
        if refusal is not None:
            reasons.append({"line_no": line.line_no, "points": 0, **refusal})
    by_line = [0] * len(lines)
    given: list[tuple[int, RuleRef]] = []
    for rule in candidates:
        places = groups.get(rule.ref.code)
        if places is None:
            continue
        shares, reason = _points_of_rule(rule, places, context, campaigns)
        reasons.append(reason)
        for place, share in zip(places, shares, strict=True):
            by_line[place] += share
        if reason["points"]:
            given.append((reason["points"], rule.ref))
    given.sort(key=lambda pair: (-pair[0], pair[1].code))
    by_rule = {ref.code: count for count, ref in given}
    return OrderPoints(sum(by_line), by_line, [ref for _, ref in given], reasons, by_rule)


def _rules_of(
    line: EarningLine, candidates: Sequence[PerAmountRule], context: EarningContext, order_fen: int
) -> tuple[list[PerAmountRule], dict[str, Any] | None]:
    """Return the rules a line earns by, and why it earns by none.

    A rule that leaves the line out, or whose minimum the order does not reach, makes way for the next one.
    """
    if line.basis_fen <= 0:
        return [], {"why": NOTHING_PAID}
    fitting: list[PerAmountRule] = []
    refusal: dict[str, Any] = {"why": NO_RULE_FITS}
    exclusive = False
    for rule in candidates:
        if (exclusive and not rule.stacks) or not rule.scope.covers(line, context.store, context.channel):
            continue
        if rule.scope.leaves_out(line, context.store):
            refusal = {"why": EXCLUDED, "rule": rule.ref.code, "version": rule.ref.version} if len(refusal) == 1 else refusal
        elif order_fen < rule.min_order_fen:
            if len(refusal) == 1:
                refusal = {"why": BELOW_MINIMUM, "rule": rule.ref.code, "version": rule.ref.version, "min_order_fen": rule.min_order_fen}
        else:
            fitting.append(rule)
            exclusive = exclusive or not rule.stacks
    return fitting, None if fitting else refusal


def _points_of_rule(
    rule: PerAmountRule, places: Sequence[int], context: EarningContext, campaigns: Sequence[MultiplierRule]
) -> tuple[list[int], dict[str, Any]]:
    """Return a rule's points for each of its lines, and the trace of how they came about."""
    lines = [context.lines[place] for place in places]
    tier_percent = context.multiplier_percent if rule.use_tier_multiplier else 100
    chains: list[list[MultiplierRule]] = []
    longest = 0
    if campaigns and rule.use_campaigns:
        chains = [_campaigns_of(line, context, campaigns) for line in lines]
        longest = max(len(chain) for chain in chains)
    # One denominator for all lines: each percent that a line lacks counts as a hundred.
    denominator = rule.fen_per_point * 100 ** (1 + longest)
    if longest:
        numerators = [_numerator(line, tier_percent, chain, longest) for line, chain in zip(lines, chains, strict=True)]
    else:
        numerators = [line.basis_fen * tier_percent for line in lines]
    if rule.by_line:
        weights = [rule.rounding.whole(numerator, denominator) for numerator in numerators]
        earned = sum(weights)
    else:
        weights = numerators
        earned = rule.rounding.whole(sum(numerators), denominator)
    reason: dict[str, Any] = {
        "rule": rule.ref.code,
        "version": rule.ref.version,
        "basis_fen": sum(line.basis_fen for line in lines),
        "fen_per_point": rule.fen_per_point,
        "multiplier_percent": tier_percent,
        "lines": [line.line_no for line in lines],
    }
    if longest:
        reason["campaigns"] = _campaign_trace(lines, chains)
    if rule.rounding is not Rounding.FLOOR or rule.by_line:
        reason.update(rounding=str(rule.rounding), by_line=rule.by_line)
    if rule.stacks:
        reason["stacks"] = True
    earned, cut = _capped(rule, earned, context.given)
    reason.update(cut)
    reason["points"] = earned
    return split_by_largest_remainder(earned, weights), reason


def _numerator(line: EarningLine, tier_percent: int, chain: Sequence[MultiplierRule], longest: int) -> int:
    numerator = line.basis_fen * tier_percent
    for campaign in chain:
        numerator *= campaign.percent
    missing: int = 100 ** (longest - len(chain))
    return numerator * missing


def _campaigns_of(line: EarningLine, context: EarningContext, campaigns: Sequence[MultiplierRule]) -> list[MultiplierRule]:
    """Return what multiplies a line: the highest of those that do not compound, and all that do."""
    fitting = [campaign for campaign in campaigns if campaign.fits(line, context.store, context.channel)]
    alone = sorted((campaign for campaign in fitting if not campaign.compounds), key=lambda rule: (-rule.percent, rule.ref.code))
    return alone[:1] + sorted((campaign for campaign in fitting if campaign.compounds), key=lambda rule: rule.ref.code)


def _campaign_trace(lines: Sequence[EarningLine], chains: Sequence[Sequence[MultiplierRule]]) -> list[dict[str, Any]]:
    trace: dict[str, dict[str, Any]] = {}
    for line, chain in zip(lines, chains, strict=True):
        for campaign in chain:
            fresh = {"rule": campaign.ref.code, "version": campaign.ref.version, "percent": campaign.percent, "lines": []}
            trace.setdefault(campaign.ref.code, fresh)["lines"].append(line.line_no)
    return [trace[code] for code in sorted(trace)]


def _capped(rule: PerAmountRule, earned: int, given: Given) -> tuple[int, dict[str, Any]]:
    """Return what the tightest cap leaves of a rule's points, and the trace of it."""
    code = rule.ref.code
    # What a single entry can hold is no cap anybody declared, hence without a trace.
    earned = min(earned, MAX_POINTS)
    if rule.max_points_per_day is None and not rule.counted:
        return earned, {}
    caps = [
        (cap, max(cap - before.get(code, 0), 0), which)
        for cap, before, which in (
            (rule.max_points_per_day, given.today, "day"),
            (rule.max_points_per_member, given.to_member, "member"),
            (rule.max_points_in_all, given.in_all, "in_all"),
        )
        if cap is not None
    ]
    cap, room, which = min(caps, key=lambda found: found[1])
    if earned <= room:
        return earned, {}
    return room, {"why": CAP_REACHED, "cap_of": which, "before_cap": earned, "cap": cap}
