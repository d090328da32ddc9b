"""Rules and expiry policies read from their stored documents; what makes no sense is refused by the name of its field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.kernel.text import N_
from server.points.errors import RuleInvalidError
from server.points.rules.kinds import (
    CHECK_IN,
    EVENT,
    EVERYTHING,
    MULTIPLIER,
    PER_AMOUNT,
    RESERVED_EVENTS,
    CheckInRule,
    EarningEvent,
    EventRule,
    MultiplierRule,
    PerAmountRule,
    Rounding,
    Rule,
    Scope,
)
from server.points.rules.policies import MAX_POINTS, ExpiryPolicy, RuleRef

SCOPE_FIELDS = ("skus", "categories", "stores", "channels", "except_skus", "except_categories", "except_stores")
CAP_FIELDS = ("max_points_per_day", "max_points_per_member", "max_points_in_all")
MIN_PERCENT = 101
MAX_PERCENT = 10_000
MAX_PRIORITY = 1000
MAX_PENDING_DAYS = 365
_MAX_DAYS = 36_500


def read_rule(kind: str, document: Mapping[str, Any], ref: RuleRef) -> Rule:
    """Return a rule from its stored document.

    Raises:
        RuleInvalidError: naming the fields that do not make sense.
    """
    if kind == PER_AMOUNT:
        return _per_amount(document, ref)
    if kind == MULTIPLIER:
        return MultiplierRule(
            ref=ref,
            percent=_whole(document, "percent", low=MIN_PERCENT, high=MAX_PERCENT),
            scope=_scope(document),
            tiers=_names(document, "tiers"),
            weekdays=_days(document, "weekdays", 7),
            month_days=_days(document, "month_days", 31),
            compounds=_flag(document, "compounds", default=False),
        )
    if kind == EVENT:
        return _event(document, ref)
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


def _per_amount(document: Mapping[str, Any], ref: RuleRef) -> PerAmountRule:
    day, member, in_all = (None if document.get(name) is None else _whole(document, name, low=1) for name in CAP_FIELDS)
    try:
        rounding = Rounding(document.get("rounding", Rounding.FLOOR))
    except ValueError as error:
        raise RuleInvalidError(fields={"rounding": " | ".join(Rounding)}) from error
    return PerAmountRule(
        ref=ref,
        fen_per_point=_whole(document, "fen_per_point", low=1),
        use_tier_multiplier=_flag(document, "use_tier_multiplier", default=True),
        use_campaigns=_flag(document, "use_campaigns", default=True),
        rounding=rounding,
        by_line=_flag(document, "by_line", default=False),
        min_order_fen=_whole(document, "min_order_fen", low=0, default=0),
        max_points_per_day=day,
        max_points_per_member=member,
        max_points_in_all=in_all,
        scope=_scope(document),
        priority=_whole(document, "priority", low=-MAX_PRIORITY, high=MAX_PRIORITY, default=0),
        stacks=_flag(document, "stacks", default=False),
    )


def _event(document: Mapping[str, Any], ref: RuleRef) -> EventRule:
    name = document.get("event")
    if name in RESERVED_EVENTS:
        raise RuleInvalidError(fields={"event": N_("Nothing in the product tells of this event yet.")})
    try:
        event = EarningEvent(str(name))
    except ValueError as error:
        raise RuleInvalidError(fields={"event": " | ".join(EarningEvent)}) from error
    times = document.get("max_times_per_day")
    if times is not None and event.once:
        raise RuleInvalidError(fields={"max_times_per_day": N_("This is given once in a lifetime.")})
    return EventRule(
        ref=ref,
        event=event,
        points=_whole(document, "points", low=1),
        max_times_per_day=None if times is None else _whole(document, "max_times_per_day", low=1, high=1000),
        pending_days=_whole(document, "pending_days", low=0, high=MAX_PENDING_DAYS, default=0),
        priority=_whole(document, "priority", low=-MAX_PRIORITY, high=MAX_PRIORITY, default=0),
    )


def _scope(document: Mapping[str, Any]) -> Scope:
    scope = Scope(**{name: _names(document, name) for name in SCOPE_FIELDS})
    return EVERYTHING if scope == EVERYTHING else scope


def _whole(document: Mapping[str, Any], name: str, *, low: int, high: int = MAX_POINTS, default: int | None = None) -> int:
    value = document.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise RuleInvalidError(fields={name: f"{low}–{high}"})
    return value


def _flag(document: Mapping[str, Any], name: str, *, default: bool) -> bool:
    return bool(document.get(name, default))


def _names(document: Mapping[str, Any], name: str) -> frozenset[str]:
    value = document.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise RuleInvalidError(fields={name: "list of codes"})
    return frozenset(value)


def _days(document: Mapping[str, Any], name: str, highest: int) -> frozenset[int]:
    value = document.get(name) or []
    if not isinstance(value, list) or not all(isinstance(day, int) and not isinstance(day, bool) and 1 <= day <= highest for day in value):
        raise RuleInvalidError(fields={name: f"1–{highest}"})
    return frozenset(value)
