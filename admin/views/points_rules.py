"""Console pages of the points rulebook: earning rules by version, and the brand's policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect
from flask_babel import gettext
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from admin.base import ConsoleView, current_actor, form_page, now, page
from admin.detail import DetailPage, Field, Panel, Section
from admin.formats import Tag
from admin.forms import (
    L_,
    BooleanField,
    ConsoleForm,
    FormPage,
    FormSection,
    IntegerField,
    LocalInstantField,
    MoneyField,
    SelectField,
    StringField,
)
from admin.listing import Column, ListPage, RowAction, Table
from server.kernel.text import N_
from server.points import queries, service
from server.points.errors import RuleInvalidError
from server.points.queries import RuleView
from server.points.rulebook import RuleDraft
from server.points.rules import CHECK_IN, MAX_POINTS, PER_AMOUNT, DebtPolicy, PolicySettings
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

KINDS = {PER_AMOUNT: Tag(N_("Points per amount"), "blue"), CHECK_IN: Tag(N_("Daily check-in"), "cyan")}
STATES = {True: Tag(N_("Enabled"), "green"), False: Tag(N_("Switched off"), "grey")}
_EXPIRY = [
    SelectChoice("never", L_("Never")),
    SelectChoice("days", L_("Days after earning")),
    SelectChoice("month_end", L_("Month's end")),
    SelectChoice("year_end", L_("Year's end")),
]


class RuleForm(ConsoleForm):
    """What both kinds of rules have."""

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


class PerAmountForm(RuleForm):
    """Points for money."""

    fen_per_point = MoneyField(L_("Yuan for one point"), [InputRequired(), NumberRange(min=1)])
    use_tier_multiplier = BooleanField(L_("The tier multiplies"), default=True)
    max_points_per_day = IntegerField(
        L_("At most a day"), [Optional(), NumberRange(1, MAX_POINTS)], description=L_("For each member; empty for no limit.")
    )
    categories = StringField(L_("Only categories"), [Length(max=500)], description=L_("Codes with commas between; empty for all."))
    skus = StringField(L_("Only products"), [Length(max=500)], description=L_("Codes with commas between; empty for all."))
    stores = StringField(L_("Only stores"), [Length(max=500)], description=L_("Codes with commas between; empty for all."))


class CheckInForm(RuleForm):
    """Points for checking in."""

    points = IntegerField(L_("Points a day"), [InputRequired(), NumberRange(0, MAX_POINTS)])
    streak_bonus = StringField(L_("Bonus for days in a row"), [Length(max=300)], description=L_("For example 7:10, 30:50."))
    cycle_days = IntegerField(L_("Starts again after (days)"), [Optional(), NumberRange(0, 366)], description=L_("0 for never."))


class PolicyForm(ConsoleForm):
    """The declared policies."""

    debt_policy = SelectField(
        L_("When a refund outruns the balance"),
        choices=[
            SelectChoice("within_balance", L_("Take what is there, forgive the rest")),
            SelectChoice("negative", L_("Keep the rest as debt")),
        ],
    )
    reopen_days = IntegerField(L_("Life of points returned after they expired (days)"), [InputRequired(), NumberRange(1, 3650)])


class PointsRulesView(ConsoleView):
    """Earning rules."""

    slug = "points-rules"
    title = N_("Points rules")
    group = "benefits"
    icon = "scroll-text"
    order = 11
    permission = Permission.POINTS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List the newest version of every rule."""
        with self.reading() as session:
            rules = queries.rule_versions(session)
        table = Table(
            columns=[
                Column(
                    N_("Name"), lambda row: gettext(row.name), "link", href=lambda row: self.url_to("detail", code=row.code), second="code"
                ),
                Column(N_("Kind"), "kind", "tag", tags=KINDS),
                Column(N_("Rule"), _summary),
                Column(N_("State"), "enabled", "tag", tags=STATES),
                Column(N_("Version"), "version", "number"),
                Column(N_("Changed"), "created_at", "minute"),
            ],
            rows=rules,
            actions=lambda row: [
                RowAction(N_("Versions"), self.url_to("detail", code=row.code)),
                RowAction(N_("New version"), self.url_to("edit", code=row.code), Permission.POINTS_RULES),
            ],
            empty=N_("No rules yet"),
            empty_hint=N_("Without a rule nothing earns points."),
        )
        buttons = [
            RowAction(N_("Policies"), self.url_to("policies"), Permission.POINTS_RULES, icon="settings"),
            RowAction(N_("New check-in rule"), self.url_to("create", kind=CHECK_IN), Permission.POINTS_RULES, icon="plus"),
            RowAction(
                N_("New purchase rule"), self.url_to("create", kind=PER_AMOUNT), Permission.POINTS_RULES, tone="primary", icon="plus"
            ),
        ]
        return ListPage(N_("Points rules"), table, buttons=buttons).render(self)

    @page("/<code>")
    def detail(self, code: str) -> ResponseReturnValue:
        """Show a rule with all its versions."""
        with self.reading() as session:
            versions = queries.rule_versions(session, code=code)
        if not versions:
            abort(404)
        newest = versions[0]
        table = Table(
            [
                Column(N_("Version"), "version", "number"),
                Column(N_("Rule"), _summary),
                Column(N_("State"), "enabled", "tag", tags=STATES),
                Column(N_("Valid from"), "valid_from", "minute"),
                Column(N_("Valid until"), "valid_until", "minute"),
                Column(N_("Made on"), "created_at", "minute"),
            ],
            versions,
        )
        fields = [
            Field(N_("Code"), newest.code, "code"),
            Field(N_("Kind"), newest.kind, "tag", KINDS),
            Field(N_("Rule"), _summary(newest), wide=True),
        ]
        return DetailPage(
            title=gettext(newest.name),
            subtitle=newest.code,
            tags=[STATES[newest.enabled]],
            back=(N_("Points rules"), self.url_to("index")),
            buttons=[RowAction(N_("New version"), self.url_to("edit", code=code), Permission.POINTS_RULES, tone="primary")],
            sections=[Section(N_("Rule"), fields)],
            panels=[Panel(N_("Versions"), table=table)],
        ).render(self)

    @form_page("/new/<kind>", Permission.POINTS_RULES)
    def create(self, kind: str) -> ResponseReturnValue:
        """Write a rule's first version."""
        if kind not in KINDS:
            abort(404)
        return self._form(kind, None)

    @form_page("/<code>/edit", Permission.POINTS_RULES)
    def edit(self, code: str) -> ResponseReturnValue:
        """Write a rule's next version."""
        with self.reading() as session:
            versions = queries.rule_versions(session, code=code)
        if not versions:
            abort(404)
        return self._form(versions[0].kind, versions[0])

    @form_page("/policies", Permission.POINTS_RULES)
    def policies(self) -> ResponseReturnValue:
        """Declare what happens when refunds outrun balances, and to points returned late."""
        with self.reading() as session:
            held = queries.settings(session)
        form, actor = PolicyForm(data={"debt_policy": str(held.debt_policy), "reopen_days": held.reopen_days}), current_actor()
        done, _ = self.submit(
            form,
            lambda session: service.change_settings(
                session, PolicySettings(DebtPolicy(form.debt_policy.data), form.reopen_days.data), actor=actor, now=now()
            ),
        )
        if done:
            flash(gettext("The policies hold from now on."), "success")
            return redirect(self.url_to("index"))
        sections = [FormSection(N_("Policies"), ["debt_policy", "reopen_days"])]
        return FormPage(N_("Points policies"), form, sections, back=self.url_to("index")).render(self)

    def _form(self, kind: str, rule: RuleView | None) -> ResponseReturnValue:
        kind_form = PerAmountForm if kind == PER_AMOUNT else CheckInForm
        form, actor = kind_form(data=_values(rule) if rule else None), current_actor()
        if rule is not None:
            form.code.data = rule.code
        done, _ = self.submit(form, lambda session: service.save_rule(session, _draft(kind, form), actor=actor, now=now()))
        if done:
            flash(gettext("The new version holds from now on."), "success")
            return redirect(self.url_to("detail", code=form.code.data))
        own = (
            ["fen_per_point", "use_tier_multiplier", "max_points_per_day"]
            if kind == PER_AMOUNT
            else ["points", "streak_bonus", "cycle_days"]
        )
        sections = [
            FormSection(N_("Rule"), ["code", "name", "enabled", *own]),
            *([FormSection(N_("Limited to"), ["categories", "skus", "stores"])] if kind == PER_AMOUNT else []),
            FormSection(N_("Validity"), ["valid_from", "valid_until", "expiry_kind", "expiry_count"]),
        ]
        title = N_("New version") if rule else N_("New rule")
        return FormPage(title, form, sections, submit=N_("Save"), back=self.url_to("index")).render(self)


def _summary(rule: RuleView) -> str:
    document = rule.document
    if rule.kind == PER_AMOUNT:
        return str(gettext("1 point for %(yuan)s yuan", yuan=f"{document['fen_per_point'] / 100:g}"))
    points: str = gettext("%(points)s points a day", points=document["points"])
    bonuses = sorted((document.get("streak_bonus") or {}).items(), key=lambda pair: int(pair[0]))
    return " · ".join([points, *(gettext("%(days)s days in a row: +%(points)s", days=days, points=more) for days, more in bonuses)])


def _bonus_text(table: dict[str, int]) -> str:
    return ", ".join(f"{days}:{points}" for days, points in sorted(table.items(), key=lambda pair: int(pair[0])))


def _values(rule: RuleView) -> dict[str, Any]:
    document = rule.document
    expiry = document.get("expiry") or {}
    values = {
        "name": rule.name,
        "enabled": rule.enabled,
        "valid_from": rule.valid_from,
        "valid_until": rule.valid_until,
        "expiry_kind": expiry.get("kind", "never"),
        "expiry_count": expiry.get("count"),
    }
    if rule.kind == PER_AMOUNT:
        lists = {name: ", ".join(document.get(name) or []) for name in ("categories", "skus", "stores")}
        numbers = {name: document.get(name) for name in ("fen_per_point", "max_points_per_day")}
        return {**values, **lists, **numbers, "use_tier_multiplier": document.get("use_tier_multiplier", True)}
    bonus = _bonus_text(document.get("streak_bonus") or {})
    return {**values, "points": document["points"], "cycle_days": document.get("cycle_days", 0), "streak_bonus": bonus}


def _draft(kind: str, form: Any) -> RuleDraft:
    expiry: dict[str, Any] = {"kind": form.expiry_kind.data}
    if form.expiry_kind.data != "never":
        expiry["count"] = form.expiry_count.data
    document: dict[str, Any] = {"expiry": expiry}
    if kind == PER_AMOUNT:
        document.update(fen_per_point=form.fen_per_point.data, use_tier_multiplier=bool(form.use_tier_multiplier.data))
        if form.max_points_per_day.data:
            document["max_points_per_day"] = form.max_points_per_day.data
        for name in ("categories", "skus", "stores"):
            codes = [code.strip() for code in (form[name].data or "").replace("，", ",").split(",") if code.strip()]
            if codes:
                document[name] = codes
    else:
        document.update(points=form.points.data, cycle_days=form.cycle_days.data or 0, streak_bonus=_bonus(form.streak_bonus.data or ""))
    return RuleDraft(
        code=form.code.data,
        kind=kind,
        name=form.name.data,
        document=document,
        enabled=bool(form.enabled.data),
        valid_from=form.valid_from.data,
        valid_until=form.valid_until.data,
    )


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


VIEWS = [PointsRulesView]
