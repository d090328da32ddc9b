"""Console pages of growth: the rule with its draft and what publishing would do, who is at risk, and the lock of one member's tier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect, request
from flask_babel import gettext
from wtforms import HiddenField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from admin import formats
from admin.base import ConsoleView, action, console_url_or_none, core, current_actor, form_page, now, page
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.export import MAX_ROWS, csv_response, record_export
from admin.formats import Tag
from admin.forms import L_, ConsoleForm, DateField, FormPage, FormSection, IntegerField, MoneyField, SelectField, StringField, TextAreaField
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.views.tier_tables import changes_table, gifts_table, statement_table
from admin.words import member_names
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.members import queries as members
from server.staff.permissions import Permission
from server.tiers import overview, queries, service
from server.tiers.errors import GrowthRuleInvalidError
from server.tiers.qualifying import CALENDAR_YEAR, CHECK_IN, PROFILE, RATING, ROLLING, Formula

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.tiers.queries import TierView

STATES = {"draft": Tag(N_("Draft"), "orange"), "published": Tag(N_("Published"), "green"), "dropped": Tag(N_("Given up"), "grey")}
_WINDOWS = [SelectChoice(ROLLING, L_("Rolling months")), SelectChoice(CALENDAR_YEAR, L_("Calendar year"))]
_DAYS_AHEAD = 60


class GrowthForm(ConsoleForm):
    """The rule."""

    spend_percent = IntegerField(L_("Growth for one yuan (%)"), [InputRequired()], description=L_("100 is one growth for each yuan paid."))
    per_order = IntegerField(L_("Growth for an order"), [InputRequired()])
    order_min_fen = MoneyField(L_("Orders count from (yuan)"), [InputRequired(), NumberRange(min=0)])
    check_in = IntegerField(L_("Growth for a check-in"), [InputRequired()])
    profile = IntegerField(L_("Growth for a complete profile"), [InputRequired()])
    rating = IntegerField(L_("Growth for rating the service"), [InputRequired()])
    activity_daily_max = IntegerField(L_("Most growth of activities a day"), [Optional()], description=L_("Empty for no limit."))
    window = SelectField(L_("Growth counts for"), choices=_WINDOWS)
    window_months = IntegerField(L_("Rolling months"), [InputRequired()])
    period_months = IntegerField(L_("A tier is held for (months)"), [InputRequired()])
    grace_days = IntegerField(L_("Days of grace"), [InputRequired()], description=L_("After the period, to make up for what is missing."))
    thresholds = StringField(
        L_("Growth a tier takes"),
        [Length(max=500)],
        description=L_("Code and growth, for example silver:1000, gold:5000. A tier that is not named is given by hand only."),
    )
    # How often the draft had been changed when this page was made, so that nobody writes over another's work unseen.
    edits = HiddenField()


class LockForm(ConsoleForm):
    """Holding a member's tier."""

    tier = SelectField(L_("Tier"))
    until = DateField(L_("Locked until"), [InputRequired()], description=L_("The last day; growth decides again from the next."))
    reason = TextAreaField(
        L_("Reason"), [InputRequired(), Length(max=200)], description=L_("The member sees it; the audit trail keeps it.")
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """A member at risk, with the name staff read."""

    risk: overview.AtRisk
    member: str


class TierGrowthView(ConsoleView):
    """The growth rule, and who is at risk under it."""

    slug = "tier-growth"
    title = N_("Tier growth")
    group = "benefits"
    icon = "chart-line"
    order = 21
    permission = Permission.MEMBERS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show the rule that holds, the draft with what publishing it would do, and all versions."""
        with self.reading() as session:
            versions = overview.rule_versions(session)
            names = {tier.code: gettext(tier.name) for tier in queries.definitions(session)}
            draft = next((one for one in versions if one.state == "draft"), None)
            found = overview.preview(session, draft.formula, now=now()) if draft else None
        holding = next((one for one in versions if one.state == "published"), None)
        panels = []
        if draft is not None and found is not None:
            moves = Table(
                [
                    Column(N_("From"), lambda row: names.get(row.before, row.before)),
                    Column(N_("To"), lambda row: names.get(row.after, row.after)),
                    Column(N_("Members"), "members", "number"),
                ],
                found.moves,
                empty=N_("Nobody would move at once"),
            )
            panels.append(Panel(N_("Who would move if the draft were published"), table=moves))
        panels.append(Panel(N_("Versions"), table=_versions(versions, names)))
        figures = []
        if found is not None:
            figures = [
                Figure(N_("Members looked at"), found.looked_at, tip=N_("At most 100,000 members are looked at.")),
                Figure(N_("Would be upgraded"), sum(move.members for move in found.moves), tone="green"),
                Figure(
                    N_("Below their tier"),
                    found.at_risk,
                    tip=N_("They keep the tier until their period ends."),
                    tone="orange" if found.at_risk else "",
                ),
                Figure(N_("Locked"), found.locked),
            ]
        return DetailPage(
            title=N_("Growth rule"),
            tags=[STATES["published"]] if holding else [],
            figures=figures,
            buttons=self._buttons(draft),
            sections=[Section(N_("The rule that holds"), _fields(holding.formula, names))] if holding else [],
            panels=panels,
            notice="" if holding else gettext("No rule is published yet: nothing earns growth, and tiers are given by hand."),
        ).render(self)

    def _buttons(self, draft: overview.RuleView | None) -> list[RowAction]:
        buttons = [RowAction(N_("Members at risk"), self.url_to("at_risk"), icon="triangle-alert")]
        if draft is None:
            return [
                *buttons,
                RowAction(N_("Draft a new version"), self.url_to("draft"), Permission.POINTS_RULES, tone="primary", icon="plus"),
            ]
        publish = RowAction(
            N_("Publish"),
            self.url_to("publish", edits=draft.edits),
            Permission.POINTS_RULES,
            post=True,
            reason=True,
            tone="primary",
            confirm=N_("The draft holds from now on. Upgrades follow within minutes; nobody is downgraded before their period ends."),
        )
        drop = RowAction(
            N_("Give the draft up"),
            self.url_to("drop", edits=draft.edits),
            Permission.POINTS_RULES,
            post=True,
            tone="danger",
            confirm=N_("The draft is lost."),
        )
        return [*buttons, drop, RowAction(N_("Edit the draft"), self.url_to("draft"), Permission.POINTS_RULES, icon="pencil"), publish]

    @form_page("/draft", Permission.POINTS_RULES)
    def draft(self) -> ResponseReturnValue:
        """Write the next version, or change its draft."""
        with self.reading() as session:
            versions = overview.rule_versions(session)
        begun = next((one for one in versions if one.state == "draft"), None)
        base = begun or next((one for one in versions if one.state == "published"), None)
        form, actor = GrowthForm(data=_values(base.formula if base else Formula(), begun.edits if begun else None)), current_actor()
        done, _ = self.submit(
            form, lambda session: service.save_draft(session, _formula(form), edits=_number(form.edits.data), actor=actor, now=now())
        )
        if done:
            flash(gettext("The draft is saved; it holds once it is published."), "success")
            return redirect(self.url_to("index"))
        sections = [
            FormSection(N_("Orders"), ["spend_percent", "per_order", "order_min_fen"]),
            FormSection(N_("Activities"), ["check_in", "profile", "rating", "activity_daily_max"]),
            FormSection(N_("Window and period"), ["window", "window_months", "period_months", "grace_days"]),
            FormSection(N_("Tiers"), ["thresholds"]),
        ]
        return FormPage(N_("Draft of the growth rule"), form, sections, submit=N_("Save"), back=self.url_to("index")).render(self)

    @action("/publish", Permission.POINTS_RULES)
    def publish(self) -> ResponseReturnValue:
        """Let the draft hold."""
        actor, reason = current_actor(), request.form.get("reason", "")
        edits = _number(request.args.get("edits"))
        return self.change(
            lambda session: service.publish(session, edits=-1 if edits is None else edits, reason=reason, actor=actor, now=now()),
            done=N_("The rule is published."),
            back=self.url_to("index"),
        )

    @action("/drop", Permission.POINTS_RULES)
    def drop(self) -> ResponseReturnValue:
        """Give the draft up."""
        actor, edits = current_actor(), _number(request.args.get("edits"))
        return self.change(
            lambda session: service.drop_draft(session, edits=-1 if edits is None else edits, actor=actor, now=now()),
            done=N_("The draft is given up."),
            back=self.url_to("index"),
        )

    @page("/at-risk")
    def at_risk(self) -> ResponseReturnValue:
        """List members who will lose a tier unless growth is earned, the soonest first."""
        with self.reading() as session:
            filters = _filters(queries.definitions(session))
            asked = read_filters(filters)
            rows = _at_risk(session, asked.choice("tier"), 200)
        table = Table(_risk_columns(), rows, empty=N_("Nobody is at risk"))
        export = RowAction(
            N_("Download"),
            f"{self.url_to('export')}?{request.query_string.decode('ascii', 'ignore')}",
            Permission.EXPORTS_CREATE,
            post=True,
            icon="download",
            reason=True,
            confirm=N_("The members of this list, at most 5,000, as a CSV file."),
        )
        intro = N_("Whose period ends within 60 days, or has ended and is in its grace, and whose growth does not keep the tier.")
        return ListPage(N_("Members at risk"), table, filters, asked, buttons=[export], intro=intro).render(self)

    @action("/at-risk/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download the members at risk."""
        actor, reason = current_actor(), request.form.get("reason", "")
        with self.reading() as session:
            asked = read_filters(_filters(queries.definitions(session)))
            rows = _at_risk(session, asked.choice("tier"), MAX_ROWS)
        core().db.run(lambda session: record_export(session, what="tiers_at_risk", rows=len(rows), actor=actor, now=now(), reason=reason))
        return csv_response("tiers-at-risk", _risk_columns(), rows)

    @page("/members/<member_id>")
    def member(self, member_id: str) -> ResponseReturnValue:
        """Show how one member stands: growth, period, lock, every change with its cause, and what reaching tiers gave."""
        key = self.uuid(member_id)
        with self.reading() as session:
            found = members.find(session, key)
            if found is None:
                abort(404)
            standing, held = queries.progress(session, key, now=now()), queries.of_member(session, key)
            panels = [
                Panel(N_("Growth statement"), table=statement_table(queries.entries(session, key, PageRequest(100)).items)),
                Panel(N_("Changes"), table=changes_table(queries.changes(session, key, limit=100, only_moves=False))),
                Panel(N_("Gifts for reaching tiers"), table=gifts_table(queries.gifts(session, key))),
            ]
        buttons = [RowAction(N_("Lock the tier"), self.url_to("lock", member_id=key), Permission.MEMBERS_EDIT, icon="lock")]
        if standing.locked_until is not None:
            address = self.url_to("unlock", member_id=key)
            buttons.append(RowAction(N_("Unlock the tier"), address, Permission.MEMBERS_EDIT, post=True, reason=True, tone="primary"))
        tags = [Tag(N_("At risk"), "orange")] if standing.at_risk else []
        return DetailPage(
            title=found.nickname or gettext("No nickname"),
            subtitle=gettext(held.name),
            tags=[*tags, *([Tag(N_("Locked"), "purple")] if standing.locked_until else [])],
            buttons=buttons,
            figures=[
                Figure(N_("Growth"), standing.growth, tip=N_("What counts today.")),
                Figure(N_("Missing for the next tier"), standing.missing),
                Figure(N_("Missing to keep the tier"), standing.keep_missing, tone="orange" if standing.at_risk else ""),
                Figure(N_("Period ends"), standing.period_ends_on, "date"),
                Figure(N_("Grace until"), standing.grace_until, "date"),
                Figure(N_("Locked until"), standing.locked_until, "date"),
            ],
            panels=panels,
            back=(N_("Members"), console_url_or_none("members.detail", member_id=key) or self.url_to("index")),
        ).render(self)

    @form_page("/members/<member_id>/lock", Permission.MEMBERS_EDIT)
    def lock(self, member_id: str) -> ResponseReturnValue:
        """Hold a member's tier until a day."""
        key, actor = self.uuid(member_id), current_actor()
        with self.reading() as session:
            member = members.find(session, key)
            tiers, held = queries.definitions(session), queries.of_member(session, key)
        if member is None:
            abort(404)
        form = LockForm(data={"tier": held.code})
        form.tier.choices = [SelectChoice(tier.code, gettext(tier.name)) for tier in tiers]

        def work(session: Session) -> TierView:
            until, reason = form.until.data, form.reason.data
            return service.lock(session, key, until, reason=reason, tier_code=form.tier.data, actor=actor, now=now())

        back = self.url_to("member", member_id=key)
        done, _ = self.submit(form, work)
        if done:
            flash(gettext("The tier is locked."), "success")
            return redirect(back)
        sections = [FormSection(N_("Lock"), ["tier", "until"]), FormSection(N_("For the record"), ["reason"])]
        return FormPage(N_("Lock the tier"), form, sections, submit=N_("Lock"), back=back).render(self)

    @action("/members/<member_id>/unlock", Permission.MEMBERS_EDIT)
    def unlock(self, member_id: str) -> ResponseReturnValue:
        """Let growth decide again."""
        key, actor, reason = self.uuid(member_id), current_actor(), request.form.get("reason", "")
        with self.reading() as session:
            if members.find(session, key) is None:
                abort(404)
        return self.change(
            lambda session: service.unlock(session, key, reason=reason, actor=actor, now=now()),
            done=N_("The tier is unlocked."),
            back=self.url_to("member", member_id=key),
        )


def _filters(tiers: list[TierView]) -> list[Filter]:
    return [Filter("tier", N_("Tier"), "choice", {tier.code: tier.name for tier in tiers})]


def _at_risk(session: Session, tier: str | None, limit: int) -> list[_Row]:
    found = overview.at_risk(session, now=now(), days=_DAYS_AHEAD, tier=tier, limit=limit)
    names = member_names(session, [row.member_id for row in found])
    return [_Row(row, names[row.member_id]) for row in found]


def _risk_columns() -> list[Column]:
    return [
        Column(N_("Member"), "member", "link", href=lambda row: console_url_or_none("members.detail", member_id=row.risk.member_id)),
        Column(N_("Tier"), lambda row: gettext(row.risk.tier_name)),
        Column(N_("Growth in the period"), "risk.keep_growth", "number"),
        Column(N_("Growth missing"), "risk.missing", "number"),
        Column(N_("Period ends"), "risk.period_ends_on", "date"),
        Column(N_("Grace until"), "risk.grace_until", "date"),
    ]


def _versions(versions: list[overview.RuleView], names: dict[str, str]) -> Table:
    return Table(
        [
            Column(N_("Version"), "version", "number"),
            Column(N_("State"), "state", "tag", tags=STATES),
            Column(N_("Growth a tier takes"), lambda row: _thresholds(row.formula, names)),
            Column(N_("Reason"), lambda row: row.reason or ""),
            Column(N_("Changed"), "updated_at", "minute"),
            Column(N_("Published"), "published_at", "minute"),
        ],
        versions,
        empty=N_("No rules yet"),
    )


def _fields(formula: Formula, names: dict[str, str]) -> list[Field]:
    rolling = gettext("%(months)s months, rolling", months=formula.window_months)
    activities = formula.activities
    return [
        Field(N_("Growth for one yuan (%)"), formula.spend_percent, "number"),
        Field(N_("Growth for an order"), formula.per_order, "number"),
        Field(N_("Orders count from (yuan)"), formula.order_min_fen, "money"),
        Field(N_("Growth for a check-in"), activities.get(CHECK_IN, 0), "number"),
        Field(N_("Growth for a complete profile"), activities.get(PROFILE, 0), "number"),
        Field(N_("Growth for rating the service"), activities.get(RATING, 0), "number"),
        Field(N_("Most growth of activities a day"), formula.activity_daily_max, "number"),
        Field(N_("Growth counts for"), rolling if formula.window == ROLLING else gettext("Calendar year")),
        Field(N_("A tier is held for (months)"), formula.period_months if formula.window == ROLLING else None, "number"),
        Field(N_("Days of grace"), formula.grace_days, "number"),
        Field(N_("Growth a tier takes"), _thresholds(formula, names), wide=True),
    ]


def _thresholds(formula: Formula, names: dict[str, str]) -> str:
    pairs = sorted(formula.thresholds.items(), key=lambda pair: pair[1])
    return " · ".join(f"{names.get(code, code)} {formats.shown(growth, 'number')}" for code, growth in pairs)


def _values(formula: Formula, edits: int | None) -> dict[str, Any]:
    same = ("spend_percent", "per_order", "order_min_fen", "activity_daily_max", "window", "window_months", "period_months", "grace_days")
    pairs = sorted(formula.thresholds.items(), key=lambda pair: pair[1])
    return {
        **{name: getattr(formula, name) for name in same},
        **{name: formula.activities.get(name, 0) for name in (CHECK_IN, PROFILE, RATING)},
        "thresholds": ", ".join(f"{code}:{growth}" for code, growth in pairs),
        "edits": "" if edits is None else str(edits),
    }


def _formula(form: Any) -> Formula:
    thresholds = {}
    for part in (form.thresholds.data or "").replace("，", ",").replace("：", ":").split(","):
        if not part.strip():
            continue
        code, _, growth = part.partition(":")
        if not growth.strip().isdigit():
            raise GrowthRuleInvalidError(fields={"thresholds": gettext("Please write code:growth, for example silver:1000, gold:5000.")})
        thresholds[code.strip()] = int(growth)
    return Formula(
        spend_percent=form.spend_percent.data,
        per_order=form.per_order.data,
        order_min_fen=form.order_min_fen.data,
        activities={name: form[name].data for name in (CHECK_IN, PROFILE, RATING)},
        activity_daily_max=form.activity_daily_max.data,
        window=form.window.data,
        window_months=form.window_months.data,
        period_months=form.period_months.data,
        grace_days=form.grace_days.data,
        thresholds=thresholds,
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() and len(text) < 10 else None  # noqa: PLR2004 - no draft is edited that often


VIEWS = [TierGrowthView]
