"""What a segment's rule may say. Pure: ``to_document`` and ``of_document`` are each other's inverse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from server.kernel.text import N_

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_GROUPS = 4
MOST_CONDITIONS = 6
MOST_VALUES = 50
MOST_DAYS = 3650
MOST_NUMBER = 10**11
MOST_REFRESH_HOURS = 720
_CODE_CHARS = 64
_MONTHS = 12
_NUMBER = re.compile(r"[0-9]{1,2}")

Join = Literal["all", "any"]


class Fact(StrEnum):
    """Something that is known of members."""

    TIER = "tier"
    GROWTH = "growth"
    JOINED = "joined"
    JOINED_VIA = "joined_via"
    BIRTHDAY_MONTH = "birthday_month"
    GENDER = "gender"
    CITY = "city"
    POINTS = "points"
    ORDERS = "orders"
    PAID = "paid"
    LAST_ORDER = "last_order"
    STORE = "store"
    CHANNEL = "channel"
    COUPONS = "coupons"
    COUPON = "coupon"


class Test(StrEnum):
    """How a fact is compared."""

    __test__ = False  # no test of pytest's

    ONE_OF = "one_of"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    WITHIN = "within"
    BEYOND = "beyond"


CHOICES = frozenset({Fact.TIER, Fact.JOINED_VIA, Fact.BIRTHDAY_MONTH, Fact.GENDER, Fact.CITY, Fact.STORE, Fact.CHANNEL, Fact.COUPON})
NUMBERS = frozenset({Fact.GROWTH, Fact.POINTS, Fact.ORDERS, Fact.PAID, Fact.COUPONS})
INSTANTS = frozenset({Fact.JOINED, Fact.LAST_ORDER})
# These may look at the last so many days only.
WINDOWED = frozenset({Fact.ORDERS, Fact.PAID, Fact.STORE, Fact.CHANNEL})
GENDERS = frozenset({"female", "male", "unknown"})


def tests_of(fact: Fact) -> tuple[Test, ...]:
    """Return how a fact can be compared."""
    if fact in CHOICES:
        return (Test.ONE_OF,)
    return (Test.AT_LEAST, Test.AT_MOST) if fact in NUMBERS else (Test.WITHIN, Test.BEYOND)


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold.

    Arguments:
        fact: what is looked at.
        test: how it is compared.
        values: for ``one_of``: codes; months as ``1``…``12``.
        number: for ``at_least`` and ``at_most`` (``paid`` in fen); for ``within`` and ``beyond`` business days back from today.
        days: only orders of the last so many business days count, today included; None for ever.
        negated: the other way round.
    """

    fact: Fact
    test: Test
    values: tuple[str, ...] = ()
    number: int = 0
    days: int | None = None
    negated: bool = False

    def problem(self) -> str | None:
        """Return what is wrong with it, or None."""
        choice = self.test is Test.ONE_OF
        lengths = all(1 <= len(value) <= _CODE_CHARS for value in self.values)
        most = MOST_DAYS if self.fact in INSTANTS else MOST_NUMBER
        checks = (
            (self.test not in tests_of(self.fact), N_("This cannot be compared in that way.")),
            (choice and not (1 <= len(self.values) <= MOST_VALUES and lengths), N_("Between one and fifty values.")),
            (choice and self.number != 0, N_("A list of values has no number.")),
            (not choice and bool(self.values), N_("A number has no list of values.")),
            (not 0 <= self.number <= most, N_("A number that is not negative, and days within ten years.")),
            (self.days is not None and not 1 <= self.days <= MOST_DAYS, N_("A number of days between 1 and 3650.")),
            (self.days is not None and self.fact not in WINDOWED, N_("Only what was bought can be limited to the last days.")),
            (self.fact is Fact.BIRTHDAY_MONTH and not all(map(_is_month, self.values)), N_("Months from 1 to 12.")),
            (self.fact is Fact.GENDER and not set(self.values) <= GENDERS, N_("One of female, male and unknown.")),
        )
        return next((message for wrong, message in checks if wrong), None)


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions of which all or any must hold; ``negated``, the other way round."""

    conditions: tuple[Condition, ...]
    join: Join = "all"
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """Groups of which all or any must hold."""

    groups: tuple[Group, ...]
    join: Join = "all"

    def conditions(self) -> Iterator[Condition]:
        """Yield every condition, in order."""
        for group in self.groups:
            yield from group.conditions

    def problems(self) -> dict[str, str]:
        """Return place → what is wrong: ``groups``, ``group.2`` or ``group.2.3``, counted from 1; empty when members can be chosen."""
        found: dict[str, str] = {}
        if not 1 <= len(self.groups) <= MOST_GROUPS:
            found["groups"] = N_("Between one and four groups of conditions.")
        for place, group in enumerate(self.groups, 1):
            if not 1 <= len(group.conditions) <= MOST_CONDITIONS:
                found[f"group.{place}"] = N_("Between one and six conditions in a group.")
            for line, condition in enumerate(group.conditions, 1):
                problem = condition.problem()
                if problem is not None:
                    found[f"group.{place}.{line}"] = problem
        return found

    def to_document(self) -> dict[str, Any]:
        """Return the rule as JSON values; what a condition does not use is left out."""
        return {"join": self.join, "groups": [_group_document(group) for group in self.groups]}

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> Rule:
        """Read a rule back.

        Raises:
            ValueError: a fact or a comparison there is not.
        """
        groups = (
            Group(tuple(_condition(each) for each in group["conditions"]), group["join"], bool(group.get("negated")))
            for group in document["groups"]
        )
        return cls(tuple(groups), document["join"])


def _is_month(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and 1 <= int(text) <= _MONTHS


def _group_document(group: Group) -> dict[str, Any]:
    told: dict[str, Any] = {"join": group.join, "conditions": [_condition_document(each) for each in group.conditions]}
    return told | ({"negated": True} if group.negated else {})


def _condition_document(condition: Condition) -> dict[str, Any]:
    told: dict[str, Any] = {"fact": str(condition.fact), "test": str(condition.test)}
    told |= {"values": list(condition.values)} if condition.test is Test.ONE_OF else {"number": condition.number}
    told |= {"days": condition.days} if condition.days is not None else {}
    return told | ({"negated": True} if condition.negated else {})


def _condition(document: dict[str, Any]) -> Condition:
    return Condition(
        fact=Fact(document["fact"]),
        test=Test(document["test"]),
        values=tuple(document.get("values", ())),
        number=int(document.get("number", 0)),
        days=document.get("days"),
        negated=bool(document.get("negated")),
    )
