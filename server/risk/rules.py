"""Pure rules of risk control: what can be held, what is counted, and when it is too much."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class Scope(StrEnum):
    """What a member can be held from."""

    COUPONS = "coupons"
    POINTS = "points"
    REWARDS = "rewards"
    REFERRALS = "referrals"


ALL = "all"
SCOPES = (*(str(scope) for scope in Scope), ALL)


class Kind(StrEnum):
    """What the block list names."""

    MEMBER = "member"
    PHONE = "phone"
    DEVICE = "device"
    ADDRESS = "address"


class Way(StrEnum):
    """A way in to something of value."""

    CLAIM = "claim"
    CODE = "code"
    GIFT = "gift"
    CHECK_IN = "check_in"
    REDEMPTION = "redemption"
    REFERRAL = "referral"
    WELCOME = "welcome"


SCOPE_OF: dict[Way, Scope] = {
    Way.CLAIM: Scope.COUPONS,
    Way.CODE: Scope.COUPONS,
    Way.GIFT: Scope.COUPONS,
    Way.CHECK_IN: Scope.POINTS,
    Way.REDEMPTION: Scope.REWARDS,
    Way.REFERRAL: Scope.REFERRALS,
    Way.WELCOME: Scope.COUPONS,
}


class Count(StrEnum):
    """What a rule counts."""

    TIMES = "times"
    MEMBERS = "members"


@dataclass(frozen=True, slots=True)
class VelocityRule:
    """At most so many, of one device or to one address, within so many days.

    Arguments:
        code: stable name, told with each refusal.
        way: which way in it watches.
        per: ``Kind.DEVICE`` or ``Kind.ADDRESS``.
        count: times, or different members.
        most: how many go through; the next one does not.
        days: of 24 hours each, up to now.
        enabled: whether it holds.
    """

    code: str
    way: Way
    per: Kind
    count: Count
    most: int
    days: int
    enabled: bool = True


# Wide enough for a family that shares a phone or lives at one address, and for a colleague or two; see docs/risk.md for how often real
# households reach them.
DEFAULTS: tuple[VelocityRule, ...] = (
    VelocityRule("claims_per_device", Way.CLAIM, Kind.DEVICE, Count.TIMES, 250, 1),
    VelocityRule("codes_per_device", Way.CODE, Kind.DEVICE, Count.TIMES, 60, 1),
    VelocityRule("gifts_per_device", Way.GIFT, Kind.DEVICE, Count.TIMES, 30, 1),
    VelocityRule("check_ins_per_device", Way.CHECK_IN, Kind.DEVICE, Count.MEMBERS, 6, 1),
    VelocityRule("redemptions_per_address", Way.REDEMPTION, Kind.ADDRESS, Count.TIMES, 20, 30),
    VelocityRule("redeemers_per_device", Way.REDEMPTION, Kind.DEVICE, Count.MEMBERS, 6, 30),
    VelocityRule("invited_per_device", Way.REFERRAL, Kind.DEVICE, Count.MEMBERS, 6, 30),
    VelocityRule("welcomed_per_device", Way.WELCOME, Kind.DEVICE, Count.MEMBERS, 6, 30),
)
MOST, DAYS = (1, 100_000), (1, 365)


def wrong_fields(rules: Iterable[VelocityRule]) -> dict[str, str]:
    """Return which numbers make no sense: ``{code.field: range}``."""
    wrong: dict[str, str] = {}
    for rule in rules:
        for name, value, (low, high) in (("most", rule.most, MOST), ("days", rule.days, DAYS)):
            if not low <= value <= high:
                wrong[f"{rule.code}.{name}"] = f"{low}–{high}"
    return wrong


def refuses(rule: VelocityRule, done: int, *, among_them: bool) -> bool:
    """Tell whether one more is too much.

    Arguments:
        rule: one that holds.
        done: how many times, or how many members, there were within its days.
        among_them: who asks is one of those members.
    """
    if rule.count is Count.MEMBERS and among_them:
        return False
    return done >= rule.most


def since(rule: VelocityRule, now: datetime) -> datetime:
    """Return from when on a rule counts."""
    return now - timedelta(days=rule.days)


def to_document(rules: Iterable[VelocityRule]) -> list[Any]:
    """Return rules as they are stored."""
    return [
        {
            "code": rule.code,
            "way": str(rule.way),
            "per": str(rule.per),
            "count": str(rule.count),
            "most": rule.most,
            "days": rule.days,
            "enabled": rule.enabled,
        }
        for rule in rules
    ]


def from_document(document: Iterable[dict[str, Any]]) -> tuple[VelocityRule, ...]:
    """Return stored rules, and what the product comes with for a code that the stored version does not know yet."""
    stored = {
        one["code"]: VelocityRule(
            one["code"], Way(one["way"]), Kind(one["per"]), Count(one["count"]), int(one["most"]), int(one["days"]), bool(one["enabled"])
        )
        for one in document
    }
    return tuple(stored.get(rule.code, rule) for rule in DEFAULTS)


def normalised_address(text: str) -> str:
    """Return an address without what people write differently each time: width, case, blanks and punctuation."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"[\W_]+", "", folded)


def masked(kind: Kind, text: str) -> str:
    """Return as much of a phone number or address as lets staff recognise it; of a device nothing of what the client sent."""
    if kind is Kind.PHONE:
        return f"*******{text[-4:]}"
    if kind is Kind.ADDRESS:
        return f"{text.strip()[:6]}***"
    return ""


def scopes_of(scope: str) -> tuple[str, ...]:
    """Return the scopes that an entry's scope means."""
    return tuple(str(one) for one in Scope) if scope == ALL else (scope,)
