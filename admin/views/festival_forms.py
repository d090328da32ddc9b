"""The form of a festival, and how a plan goes in and comes out of it."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext
from wtforms import HiddenField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its stubs
from wtforms.validators import InputRequired, Length, NumberRange, Optional, Regexp

from admin.forms import L_, ConsoleForm, FormSection, IntegerField, SelectField, StringField, TextAreaField
from server.campaigns import festival_rules as rules
from server.campaigns.festival_rules import LUNAR, LUNAR_LAST, PRESETS, SOLAR, TERM, WEEKDAY, FestivalDay, FestivalPlan
from server.kernel.text import N_

POINTS, COUPON = "points__", "coupon__"
WEEKDAYS = (N_("Monday"), N_("Tuesday"), N_("Wednesday"), N_("Thursday"), N_("Friday"), N_("Saturday"), N_("Sunday"))
TERMS = {"qingming": N_("Clear and Bright (Qingming)"), "dongzhi": N_("Winter Solstice")}
DAY_KINDS = {
    SOLAR: N_("A day of the solar calendar"),
    LUNAR: N_("A day of the lunar calendar"),
    LUNAR_LAST: N_("The last day of the lunar year"),
    TERM: N_("A solar term"),
    WEEKDAY: N_("A weekday of a month"),
}
_CODE = r"^[a-z0-9][a-z0-9_-]{1,39}$"
_LAST_HOUR = 23


def day_words(day: FestivalDay) -> str:
    """Say when a festival is, in the reader's language."""
    if day.kind == SOLAR:
        return str(gettext("Solar %(month)s-%(day)s", month=f"{day.month:02d}", day=f"{day.day:02d}"))
    if day.kind == LUNAR:
        return str(gettext("Lunar %(month)s-%(day)s", month=f"{day.month:02d}", day=f"{day.day:02d}"))
    if day.kind == TERM:
        return str(gettext("Solar term: %(term)s", term=gettext(TERMS[day.term])))
    if day.kind == WEEKDAY:
        return str(
            gettext("%(weekday)s no. %(nth)s of month %(month)s", nth=day.nth, weekday=gettext(WEEKDAYS[day.weekday]), month=day.month)
        )
    return str(gettext(DAY_KINDS[LUNAR_LAST]))


def festival_form(levels: list[tuple[str, str]], *, fresh: bool, known: bool) -> type[ConsoleForm]:
    """Return the form: a new festival has a code to choose, one that everybody knows has neither code nor name nor day."""
    points = [Optional(), NumberRange(0, rules.MOST_POINTS)]
    fields: dict[str, Any] = {}
    if fresh:
        fields["code"] = StringField(
            L_("Code"), [InputRequired(), Regexp(_CODE)], description=L_("Lower-case letters, digits and hyphens; never changed later.")
        )
    if not known:
        month, day = [Optional(), NumberRange(1, 12)], [Optional(), NumberRange(1, 31)]
        fields |= {
            "name": StringField(L_("Name"), [InputRequired(), Length(max=20)]),
            "kind": SelectField(L_("When it is"), validate_choice=True),
            "month": IntegerField(L_("Month"), month, description=L_("For a day of a calendar, or a weekday of a month.")),
            "day": IntegerField(L_("Day"), day, description=L_("For a day of a calendar.")),
            "nth": IntegerField(L_("Which one of the month"), [Optional(), NumberRange(1, 5)], description=L_("For a weekday of a month.")),
            "weekday": SelectField(L_("Weekday"), validate_choice=True),
            "term": SelectField(L_("Solar term"), validate_choice=True),
        }
    fields |= {
        "greeting": StringField(
            L_("Greeting"),
            [InputRequired(), Length(max=rules.MOST_GREETING)],
            description=L_("WeChat shows 20 characters of it; the inbox shows all."),
        ),
        "points": IntegerField(L_("Points"), [InputRequired(), NumberRange(0, rules.MOST_POINTS)], description=L_("0 gives no points.")),
        "valid_days": IntegerField(L_("Points valid for (days)"), [InputRequired(), NumberRange(1, rules.MOST_DAYS)]),
        "coupon_code": SelectField(L_("Coupon"), validate_choice=True, description=L_("A published template, issued with the points.")),
        "send_from": IntegerField(
            L_("Sent from (hour)"),
            [InputRequired(), NumberRange(0, _LAST_HOUR)],
            description=L_("On the shop's clock; quiet hours hold anyway."),
        ),
        "reason": TextAreaField(L_("Reason"), [InputRequired(), Length(min=2, max=300)], description=L_("Kept in the audit trail.")),
        "version": HiddenField(),
        **{f"{POINTS}{code}": IntegerField(name, points) for code, name in levels},
        **{f"{COUPON}{code}": SelectField(name, validate_choice=True) for code, name in levels},
    }
    return type("FestivalForm", (ConsoleForm,), fields)


def sections(levels: list[str], *, fresh: bool, known: bool) -> list[FormSection]:
    """Return the form's sections."""
    own = (["code"] if fresh else []) + ([] if known else ["name", "kind", "month", "day", "nth", "weekday", "term"])
    found = [FormSection(N_("Festival"), own)] if own else []
    return [
        *found,
        FormSection(N_("What is said and given"), ["greeting", "points", "valid_days", "coupon_code", "send_from"]),
        FormSection(N_("Points by tier"), [f"{POINTS}{code}" for code in levels], N_("Left empty, a tier gets the points above.")),
        FormSection(
            N_("Coupon by tier"), [f"{COUPON}{code}" for code in levels], N_("Unless one is chosen, a tier gets the coupon above.")
        ),
        FormSection(N_("For the record"), ["reason"]),
    ]


def fill_choices(form: Any, levels: list[str], offered: dict[str, str]) -> None:
    """Put the coupons, weekdays and terms to choose from into the form."""
    coupons = [SelectChoice(*one) for one in offered.items()]
    form.coupon_code.choices = [SelectChoice("", gettext("No coupon")), *coupons]
    for code in levels:
        form[f"{COUPON}{code}"].choices = [SelectChoice("*", gettext("The one above")), SelectChoice("", gettext("No coupon")), *coupons]
    if "kind" in form:
        form.kind.choices = [SelectChoice(kind, gettext(label)) for kind, label in DAY_KINDS.items()]
        form.weekday.choices = [SelectChoice(str(number), gettext(label)) for number, label in enumerate(WEEKDAYS)]
        form.term.choices = [SelectChoice(term, gettext(label)) for term, label in TERMS.items()]


def values_of(plan: FestivalPlan, version: int, levels: list[str]) -> dict[str, Any]:
    """Return a plan as the form shows it."""
    day = plan.day
    return {
        "name": plan.name, "kind": day.kind, "month": day.month or None, "day": day.day or None, "nth": day.nth or None,
        "weekday": str(day.weekday), "term": day.term or "qingming", "greeting": plan.greeting, "points": plan.points,
        "valid_days": plan.valid_days, "coupon_code": plan.coupon_code or "", "send_from": plan.send_from, "version": version,
        **{f"{POINTS}{code}": plan.points_by_tier.get(code) for code in levels},
        **{f"{COUPON}{code}": plan.coupons_by_tier.get(code, "*") for code in levels},
    }  # fmt: skip


def plan_from(form: Any, before: FestivalPlan | None, code: str, levels: list[str]) -> FestivalPlan:
    """Return the plan that a form describes; a tier that is not on the form keeps what it had."""
    by_tier = {tier: count for tier, count in (before.points_by_tier if before else {}).items() if tier not in levels}
    by_tier |= {tier: count for tier in levels if (count := form[f"{POINTS}{tier}"].data) is not None}
    coupons = {tier: coupon for tier, coupon in (before.coupons_by_tier if before else {}).items() if tier not in levels}
    coupons |= {tier: chosen for tier in levels if (chosen := form[f"{COUPON}{tier}"].data) not in {"*", None}}
    known = PRESETS.get(code)
    return FestivalPlan(
        name=known.name if known else form.name.data.strip(),
        day=known.day if known else _day_from(form),
        greeting=form.greeting.data.strip(),
        points=form.points.data,
        points_by_tier=by_tier,
        coupon_code=form.coupon_code.data or None,
        coupons_by_tier=coupons,
        valid_days=form.valid_days.data,
        send_from=form.send_from.data,
    )


def _day_from(form: Any) -> FestivalDay:
    kind, month, day = form.kind.data, form.month.data or 0, form.day.data or 0
    if kind in {SOLAR, LUNAR}:
        return FestivalDay(kind, month=month, day=day)
    if kind == WEEKDAY:
        return FestivalDay(kind, month=month, nth=form.nth.data or 0, weekday=int(form.weekday.data))
    return FestivalDay(kind, term=form.term.data) if kind == TERM else FestivalDay(kind)
