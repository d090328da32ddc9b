"""The form of a segment: groups of conditions in rows, and the draft that it describes."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from wtforms import HiddenField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import InputRequired, Length, NumberRange

from admin.forms import L_, BooleanField, ConsoleForm, FormSection, IntegerField, SelectField, StringField, TextAreaField
from server.kernel.text import N_
from server.segments.errors import SegmentInvalidError
from server.segments.rules import (
    CHOICES,
    INSTANTS,
    MOST_CONDITIONS,
    MOST_GROUPS,
    MOST_REFRESH_HOURS,
    NUMBERS,
    WINDOWED,
    Condition,
    Fact,
    Group,
    Rule,
    Test,
)
from server.segments.sentence import yuan
from server.segments.service import SegmentDraft

if TYPE_CHECKING:
    from server.segments.queries import SegmentView

_SEPARATORS = re.compile(r"[,，、;；\s]+")
_NUMBER = re.compile(r"[0-9]{1,12}")
FACTS: dict[Fact, str] = {
    Fact.TIER: N_("Tier"),
    Fact.GROWTH: N_("Growth value"),
    Fact.POINTS: N_("Points available"),
    Fact.JOINED: N_("Joined"),
    Fact.JOINED_VIA: N_("Joined by"),
    Fact.BIRTHDAY_MONTH: N_("Month of birth"),
    Fact.GENDER: N_("Gender"),
    Fact.CITY: N_("City"),
    Fact.ORDERS: N_("Paid orders"),
    Fact.PAID: N_("Amount paid (yuan)"),
    Fact.LAST_ORDER: N_("Newest payment"),
    Fact.STORE: N_("Bought in store"),
    Fact.CHANNEL: N_("Bought through channel"),
    Fact.COUPONS: N_("Coupons held"),
    Fact.COUPON: N_("Holds coupon of template"),
}
# A comparison and whether it is turned round are one choice for people.
TESTS: dict[str, tuple[str, Test, bool]] = {
    "one_of": (N_("is one of"), Test.ONE_OF, False),
    "not_one_of": (N_("is none of"), Test.ONE_OF, True),
    "at_least": (N_("at least"), Test.AT_LEAST, False),
    "at_most": (N_("at most"), Test.AT_MOST, False),
    "less": (N_("less than"), Test.AT_LEAST, True),
    "more": (N_("more than"), Test.AT_MOST, True),
    "within": (N_("within days"), Test.WITHIN, False),
    "not_within": (N_("not within days"), Test.WITHIN, True),
    "beyond": (N_("more than days ago"), Test.BEYOND, False),
    "not_beyond": (N_("not more than days ago"), Test.BEYOND, True),
}
_JOINS = {"all": N_("all of them"), "any": N_("any of them")}
_TURNED = {"no": N_("as written"), "yes": N_("the other way round")}


def _choices(words: dict[str, str]) -> list[Any]:
    return [SelectChoice(code, L_(label)) for code, label in words.items()]


class SegmentForm(ConsoleForm):
    """What every segment has; the rows of conditions are read beside it."""

    code = StringField(L_("Code"), [InputRequired(), Length(max=40)], description=L_("Stays the same through all versions."))
    name = StringField(L_("Name"), [InputRequired(), Length(max=80)], description=L_("For colleagues; members never read it."))
    refresh_hours = IntegerField(
        L_("Built anew every (hours)"),
        [InputRequired(), NumberRange(1, MOST_REFRESH_HOURS)],
        default=24,
        description=L_("Who is in the segment is what the last build said."),
    )
    enabled = BooleanField(L_("Built regularly"), default=True, description=L_("Otherwise the last list goes on counting."))
    join = SelectField(L_("Of the groups hold"), choices=_choices(_JOINS), default="all")
    reason = TextAreaField(L_("Reason"), [InputRequired(), Length(min=2, max=300)], description=L_("Kept in the audit trail."))
    version = HiddenField()


SECTIONS = [
    FormSection(N_("Segment"), ["code", "name", "refresh_hours", "enabled"]),
    FormSection(N_("For the record"), ["reason"]),
]


class Rows:
    """The rows as they were sent, or as a version has them: ``g2c3_fact`` is the fact of the third condition of the second group."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values
        self.errors: dict[str, str] = {}

    @classmethod
    def of_rule(cls, rule: Rule) -> Rows:
        """Return the rows of a rule."""
        values: dict[str, str] = {}
        for place, group in enumerate(rule.groups, 1):
            values |= {f"g{place}_join": group.join, f"g{place}_turned": "yes" if group.negated else "no"}
            for line, condition in enumerate(group.conditions, 1):
                values |= {f"g{place}c{line}_{name}": text for name, text in _texts(condition).items()}
        return cls(values)

    def groups(self) -> list[dict[str, Any]]:
        """Return what the template draws: all groups there may be, those without a condition folded."""
        return [
            {
                "place": place,
                "join": self.values.get(f"g{place}_join", "all"),
                "turned": self.values.get(f"g{place}_turned", "no"),
                "open": place == 1 or any(self.values.get(f"g{place}c{line}_fact") for line in range(1, MOST_CONDITIONS + 1)),
                "error": self.errors.get(f"group.{place}", ""),
                "rows": [self._row(place, line) for line in range(1, MOST_CONDITIONS + 1)],
            }
            for place in range(1, MOST_GROUPS + 1)
        ]

    def rule(self, join: str) -> Rule:
        """Return the rule that the rows describe; rows without a fact are left out.

        Raises:
            SegmentInvalidError: a number that is none, with the place of its row.
        """
        groups: list[Group] = []
        wrong: dict[str, str] = {}
        where: dict[str, str] = {}
        for place in range(1, MOST_GROUPS + 1):
            conditions = []
            for line in range(1, MOST_CONDITIONS + 1):
                row = self._row(place, line)
                if not row["fact"]:
                    continue
                try:
                    conditions.append(_condition(row))
                except ValueError:
                    wrong[f"group.{place}.{line}"] = N_("Please choose a comparison and write a number or values that fit it.")
                where[f"group.{len(groups) + 1}.{len(conditions)}"] = f"group.{place}.{line}"
            if conditions:
                turned = self.values.get(f"g{place}_turned") == "yes"
                groups.append(Group(tuple(conditions), "any" if self.values.get(f"g{place}_join") == "any" else "all", turned))
        rule = Rule(tuple(groups), "any" if join == "any" else "all")
        if not wrong:
            wrong = {where.get(name, name): message for name, message in rule.problems().items()}
        if wrong:
            self.errors = wrong
            raise SegmentInvalidError(fields=wrong)
        return rule

    def _row(self, place: int, line: int) -> dict[str, str]:
        row = {name: self.values.get(f"g{place}c{line}_{name}", "").strip() for name in ("fact", "test", "value", "days")}
        return row | {"key": f"g{place}c{line}", "error": self.errors.get(f"group.{place}.{line}", "")}


def draft_of(form: Any, rule: Rule, code: str | None) -> SegmentDraft:
    """Return the version that a form describes.

    Arguments:
        form: as it was sent.
        rule: from its rows.
        code: of the segment that gets another version; None for a new one.
    """
    version = str(form.version.data or "")
    return SegmentDraft(
        code=code or form.code.data,
        name=form.name.data,
        rule=rule,
        reason=form.reason.data,
        refresh_hours=form.refresh_hours.data,
        enabled=bool(form.enabled.data),
        expected=int(version) if code and version.isdecimal() and len(version) < 10 else 0,  # noqa: PLR2004 - no segment has so many
    )


def values_of(view: SegmentView) -> dict[str, Any]:
    """Return what a form shows of a version, its rows aside."""
    return {
        "code": view.code,
        "name": view.name,
        "refresh_hours": view.refresh_hours,
        "enabled": view.enabled,
        "join": view.rule.join,
        "version": view.version,
    }


def _texts(condition: Condition) -> dict[str, str]:
    test = next(code for code, (_, test, turned) in TESTS.items() if (test, turned) == (condition.test, condition.negated))
    value = ", ".join(condition.values)
    if condition.test is not Test.ONE_OF:
        value = yuan(condition.number) if condition.fact is Fact.PAID else str(condition.number)
    return {"fact": condition.fact.value, "test": test, "value": value, "days": "" if condition.days is None else str(condition.days)}


def _condition(row: dict[str, str]) -> Condition:
    """Read one row.

    Raises:
        ValueError: it cannot be read.
    """
    fact = Fact(row["fact"])
    if row["test"] not in TESTS or (row["days"] and not _NUMBER.fullmatch(row["days"])):
        raise ValueError(row["test"])
    _, test, turned = TESTS[row["test"]]
    days = int(row["days"]) if row["days"] else None
    if test is Test.ONE_OF:
        values = tuple(dict.fromkeys(part for part in _SEPARATORS.split(row["value"]) if part))
        return Condition(fact, test, values, days=days, negated=turned)
    if fact is Fact.PAID:
        try:
            fen = Decimal(row["value"]) * 100
        except InvalidOperation:
            raise ValueError(row["value"]) from None
        if not fen.is_finite() or fen != fen.to_integral_value():
            raise ValueError(row["value"])
        return Condition(fact, test, number=int(fen), days=days, negated=turned)
    if not _NUMBER.fullmatch(row["value"]):
        raise ValueError(row["value"])
    return Condition(fact, test, number=int(row["value"]), days=days, negated=turned)


# What the page's script needs: which comparisons a fact has, and whether it takes days.
def kinds() -> dict[str, dict[str, Any]]:
    """Return fact → its comparisons and whether it can be limited to the last days."""
    found: dict[str, dict[str, Any]] = {}
    for fact in FACTS:
        family = (Test.ONE_OF,) if fact in CHOICES else (Test.AT_LEAST, Test.AT_MOST) if fact in NUMBERS else (Test.WITHIN, Test.BEYOND)
        tests = [code for code, (_, test, _) in TESTS.items() if test in family]
        found[fact.value] = {"tests": tests, "days": fact in WINDOWED, "number": fact not in CHOICES, "instant": fact in INSTANTS}
    return found


JOINS, TURNED = _JOINS, _TURNED
