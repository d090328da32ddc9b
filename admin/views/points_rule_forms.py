"""Forms of the points rules, one for each kind, and the draft that each of them describes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask_babel import gettext
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from admin.formats import Tag
from admin.forms import (
    L_,
    BooleanField,
    ConsoleForm,
    FormSection,
    IntegerField,
    LocalInstantField,
    ManyField,
    MoneyField,
    SelectField,
    StringField,
    TextAreaField,
)
from server.kernel.text import N_
from server.points.errors import RuleInvalidError
from server.points.rulebook import RuleDraft
from server.points.rules import CHECK_IN, EVENT, MAX_POINTS, MULTIPLIER, PER_AMOUNT, EarningEvent, Rounding, RuleRef, read_rule, sentence
from server.points.rules.documents import CAP_FIELDS, MAX_PENDING_DAYS, MAX_PERCENT, MAX_PRIORITY, MIN_PERCENT, SCOPE_FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.points.drafts import DraftView
    from server.points.queries import RuleView
    from server.points.rules import Language

KINDS = {
    PER_AMOUNT: Tag(N_("Points per amount"), "blue"),
    MULTIPLIER: Tag(N_("Points multiplier"), "purple"),
    EVENT: Tag(N_("Points for an event"), "gold"),
    CHECK_IN: Tag(N_("Daily check-in"), "cyan"),
}
EVENTS = {
    EarningEvent.SIGN_UP: N_("Joining"),
    EarningEvent.PROFILE_COMPLETED: N_("A complete profile"),
    EarningEvent.FIRST_ORDER: N_("The first order"),
    EarningEvent.TICKET_RATED: N_("Rating an answer"),
}
_ROUNDINGS = {
    Rounding.FLOOR: N_("Rounded down"),
    Rounding.HALF_UP: N_("Rounded half up"),
    Rounding.CEIL: N_("Rounded up"),
}
_WEEKDAYS = [N_("Monday"), N_("Tuesday"), N_("Wednesday"), N_("Thursday"), N_("Friday"), N_("Saturday"), N_("Sunday")]
_EXPIRY = [
    SelectChoice("never", L_("Never")),
    SelectChoice("days", L_("Days after earning")),
    SelectChoice("month_end", L_("Month's end")),
    SelectChoice("year_end", L_("Year's end")),
]
_SEPARATORS = re.compile(r"[,，、;；\s]+")
_CODES = L_("Codes with commas between; empty for all.")
_LEFT_OUT = L_("Codes with commas between.")
_UNLIMITED = L_("Empty for no limit.")
_NOBODY = UUID(int=0)


def _codes(label: Any, hint: Any = _CODES) -> Any:
    return StringField(label, [Length(max=2000)], description=hint)


def _cap(label: Any, hint: Any = _UNLIMITED) -> Any:
    return IntegerField(label, [Optional(), NumberRange(1, MAX_POINTS)], description=hint)


def _priority() -> Any:
    hint = L_("The higher goes first.")
    return IntegerField(L_("Priority"), [Optional(), NumberRange(-MAX_PRIORITY, MAX_PRIORITY)], default=0, description=hint)


class RuleForm(ConsoleForm):
    """What all kinds of rules have."""

    code = StringField(L_("Code"), [InputRequired(), Length(max=40)], description=L_("Stays the same through all versions."))
    name = StringField(L_("Name"), [InputRequired(), Length(max=80)])
    enabled = BooleanField(L_("Enabled"), default=True)
    valid_from = LocalInstantField(L_("Valid from"), [Optional()])
    valid_until = LocalInstantField(L_("Valid until"), [Optional()])
    expiry_kind = SelectField(L_("Points expire"), choices=_EXPIRY)
    expiry_count = IntegerField(
        L_("After so many"),
        [Optional(), NumberRange(0, 36500)],
        description=L_("Days, months or years; 0 months is the end of this month."),
    )
    reason = TextAreaField(
        L_("Reason"),
        [Length(max=300)],
        description=L_("Asked for on publishing; kept with the version and in the audit trail."),
    )


class ScopedForm(RuleForm):
    """What is limited to some goods and sales."""

    channels = _codes(L_("Only channels"))
    stores = _codes(L_("Only stores"))
    categories = _codes(L_("Only categories"))
    skus = _codes(L_("Only products"))
    except_stores = _codes(L_("Stores left out"), _LEFT_OUT)
    except_categories = _codes(L_("Categories left out"), _LEFT_OUT)
    except_skus = _codes(L_("Products left out"), _LEFT_OUT)


class PerAmountForm(ScopedForm):
    """Points for money."""

    fen_per_point = MoneyField(L_("Yuan for one point"), [InputRequired(), NumberRange(min=1)])
    min_order_fen = MoneyField(L_("Orders from (yuan)"), [Optional(), NumberRange(min=0)], description=L_("Cash paid for all its goods."))
    rounding = SelectField(L_("Broken points are"), choices=[SelectChoice(str(code), L_(label)) for code, label in _ROUNDINGS.items()])
    by_line = BooleanField(L_("Rounded for each line by itself"), default=False)
    use_tier_multiplier = BooleanField(L_("The tier multiplies"), default=True)
    use_campaigns = BooleanField(L_("Campaigns multiply"), default=True)
    priority = _priority()
    stacks = BooleanField(L_("Adds on top of the line's other rule"), default=False)
    max_points_per_day = _cap(L_("At most a day"), L_("For each member; empty for no limit."))
    max_points_per_member = _cap(L_("At most in all"), L_("For each member; empty for no limit."))
    max_points_in_all = _cap(L_("Budget in points"), L_("For all members together; empty for no limit."))


class MultiplierForm(ScopedForm):
    """A campaign that multiplies. It gives nothing by itself: what it multiplies expires by the rule that gives it."""

    expiry_kind = None
    expiry_count = None
    percent = IntegerField(L_("Percent"), [InputRequired(), NumberRange(MIN_PERCENT, MAX_PERCENT)], description=L_("200 doubles."))
    compounds = BooleanField(L_("Multiplies on top of other campaigns"), default=False)
    tiers = ManyField(L_("Only tiers"), choices=[], description=L_("All tiers when none is ticked."))
    weekdays = ManyField(L_("Weekdays"), choices=[SelectChoice(str(number), L_(label)) for number, label in enumerate(_WEEKDAYS, start=1)])
    month_days = StringField(
        L_("Days of the month"), [Length(max=120)], description=L_("For example 8, 18, 28. Every day when no day is named at all.")
    )


class EventForm(RuleForm):
    """Points for an event."""

    event = SelectField(L_("Event"), choices=[SelectChoice(str(code), L_(label)) for code, label in EVENTS.items()])
    points = IntegerField(L_("Points"), [InputRequired(), NumberRange(1, MAX_POINTS)])
    max_times_per_day = IntegerField(
        L_("At most so many times a day"),
        [Optional(), NumberRange(1, 1000)],
        description=L_("For what may happen again; empty: no limit."),
    )
    pending_days = IntegerField(L_("Available after (days)"), [Optional(), NumberRange(0, MAX_PENDING_DAYS)], default=0)
    priority = _priority()


class CheckInForm(RuleForm):
    """Points for checking in."""

    points = IntegerField(L_("Points a day"), [InputRequired(), NumberRange(0, MAX_POINTS)])
    streak_bonus = StringField(L_("Bonus for days in a row"), [Length(max=300)], description=L_("For example 7:10, 30:50."))
    cycle_days = IntegerField(L_("Starts again after (days)"), [Optional(), NumberRange(0, 366)], description=L_("0 for never."))


FORMS: dict[str, type[RuleForm]] = {PER_AMOUNT: PerAmountForm, MULTIPLIER: MultiplierForm, EVENT: EventForm, CHECK_IN: CheckInForm}
_OWN = {
    PER_AMOUNT: ["fen_per_point", "min_order_fen", "rounding", "by_line", "use_tier_multiplier", "use_campaigns", "priority", "stacks"],
    MULTIPLIER: ["percent", "compounds", "tiers", "weekdays", "month_days"],
    EVENT: ["event", "points", "max_times_per_day", "pending_days", "priority"],
    CHECK_IN: ["points", "streak_bonus", "cycle_days"],
}
_FLAGS = ("by_line", "use_tier_multiplier", "use_campaigns", "stacks", "compounds")
_TURNED_ON = ("use_tier_multiplier", "use_campaigns")
_NUMBERS = ("fen_per_point", "min_order_fen", "percent", "points", "max_times_per_day", "pending_days", "priority", *CAP_FIELDS)
_ALWAYS = ("points",)


def sections_of(kind: str) -> list[FormSection]:
    """Return the fields of a kind's form, in groups."""
    scoped = kind in {PER_AMOUNT, MULTIPLIER}
    return [
        FormSection(N_("Rule"), ["code", "name", "enabled", *_OWN[kind]]),
        *([FormSection(N_("Caps"), list(CAP_FIELDS))] if kind == PER_AMOUNT else []),
        *([FormSection(N_("Limited to"), list(SCOPE_FIELDS))] if scoped else []),
        FormSection(N_("Validity"), ["valid_from", "valid_until", *([] if kind == MULTIPLIER else ["expiry_kind", "expiry_count"])]),
        FormSection(N_("For the record"), ["reason"]),
    ]


def offer_tiers(form: Any, names: Mapping[str, str]) -> None:
    """Let a multiplier's form offer the tiers there are, and keep those it names that are gone.

    Arguments:
        form: of any kind; others are left as they are.
        names: code → name as the reader reads it, the lowest tier first.
    """
    if isinstance(form, MultiplierForm):
        kept = [code for code in form.tiers.object_data or [] if code not in names]
        form.tiers.choices = [*(SelectChoice(code, name) for code, name in names.items()), *(SelectChoice(code, code) for code in kept)]


def values_of(rule: RuleView | DraftView) -> dict[str, Any]:
    """Return what a form shows of a version or a draft."""
    document = rule.document
    expiry = document.get("expiry") or {}
    return {
        "code": rule.code,
        "name": rule.name,
        "enabled": rule.enabled,
        "valid_from": rule.valid_from,
        "valid_until": rule.valid_until,
        "expiry_kind": expiry.get("kind", "never"),
        "expiry_count": expiry.get("count"),
        **{name: document.get(name) for name in (*_NUMBERS, "cycle_days", "event", "rounding") if name in document},
        **{name: document.get(name, name in _TURNED_ON) for name in _FLAGS},
        **{name: ", ".join(document.get(name) or []) for name in SCOPE_FIELDS},
        "tiers": list(document.get("tiers") or []),
        "weekdays": [str(day) for day in document.get("weekdays") or []],
        "month_days": ", ".join(str(day) for day in document.get("month_days") or []),
        "streak_bonus": _bonus_text(document.get("streak_bonus") or {}),
    }


def draft_of(kind: str, form: Any) -> RuleDraft:
    """Return the rule version that a form describes.

    Raises:
        RuleInvalidError: a list of days or bonuses that is none.
    """
    return RuleDraft(
        code=form.code.data,
        kind=kind,
        name=form.name.data,
        document={**_plain(form), **_special(kind, form)},
        enabled=bool(form.enabled.data),
        valid_from=form.valid_from.data,
        valid_until=form.valid_until.data,
        reason=form.reason.data,
    )


def _plain(form: Any) -> dict[str, Any]:
    """Return the numbers, marks and lists of a form. What is as it is anyhow is left out: a version says what is special."""
    document: dict[str, Any] = {}
    for field in form:
        name = field.name
        if name in _FLAGS and (bool(field.data) is not (name in _TURNED_ON) or name == "use_tier_multiplier"):
            document[name] = bool(field.data)
        elif name in _NUMBERS and (field.data or (name in _ALWAYS and field.data is not None)):
            document[name] = field.data
        elif name in SCOPE_FIELDS and (codes := [code for code in _SEPARATORS.split(field.data or "") if code]):
            document[name] = codes
    return document


def _special(kind: str, form: Any) -> dict[str, Any]:
    """Return what only one kind has, and how its points expire."""
    document: dict[str, Any] = {"expiry": {"kind": "never" if kind == MULTIPLIER else form.expiry_kind.data}}
    if document["expiry"]["kind"] != "never":
        document["expiry"]["count"] = form.expiry_count.data
    if kind == PER_AMOUNT and form.rounding.data != Rounding.FLOOR:
        document["rounding"] = form.rounding.data
    if kind == MULTIPLIER:
        days = {"weekdays": [int(day) for day in form.weekdays.data or []], "month_days": _days(form.month_days.data or "")}
        document.update({name: found for name, found in days.items() if found})
        if form.tiers.data:
            document["tiers"] = list(form.tiers.data)
    if kind == EVENT:
        document["event"] = form.event.data
    if kind == CHECK_IN:
        document.update(cycle_days=form.cycle_days.data or 0, streak_bonus=_bonus(form.streak_bonus.data or ""))
    return document


def told(kind: str, document: dict[str, Any], language: Language) -> str:
    """Return the sentence of a rule's document."""
    return sentence(read_rule(kind, document, RuleRef(_NOBODY, "", 0)), language)


def _bonus_text(table: dict[str, int]) -> str:
    return ", ".join(f"{days}:{points}" for days, points in sorted(table.items(), key=lambda pair: int(pair[0])))


def _days(text: str) -> list[int]:
    parts = [part for part in _SEPARATORS.split(text) if part]
    if not all(part.isdecimal() for part in parts):
        raise RuleInvalidError(fields={"month_days": gettext("Please write days with commas between, for example 8, 18, 28.")})
    return [int(part) for part in parts]


def _bonus(text: str) -> dict[str, int]:
    table = {}
    for part in text.replace("，", ",").replace("：", ":").split(","):
        if not part.strip():
            continue
        days, _, points = part.partition(":")
        if not days.strip().isdigit() or not points.strip().isdigit():
            raise RuleInvalidError(fields={"streak_bonus": gettext("Please write days:points, for example 7:10, 30:50.")})
        table[days.strip()] = int(points)
    return table
