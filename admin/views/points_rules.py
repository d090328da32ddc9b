"""Console pages of the points rulebook: earning rules by version, their drafts, and the brand's policies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect, request
from flask_babel import gettext
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import InputRequired, NumberRange

from admin.base import ConsoleView, action, console_url, current_actor, form_page, now, page, put_errors
from admin.detail import DetailPage, Field, Panel, Section
from admin.formats import Tag, reader_language
from admin.forms import L_, ConsoleForm, FormPage, FormSection, IntegerField, SelectField
from admin.listing import Column, ListPage, RowAction, Table
from admin.views.points_rule_forms import FORMS, KINDS, draft_of, offer_tiers, sections_of, told, values_of
from admin.words import maker_names
from server.kernel.errors import DomainError
from server.kernel.text import N_
from server.points import drafts, queries, service
from server.points.errors import ReasonRequiredError
from server.points.rules import CHECK_IN, EVENT, MULTIPLIER, PER_AMOUNT, DebtPolicy, PolicySettings
from server.staff.permissions import Permission
from server.tiers import queries as tiers

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.points.drafts import DraftView
    from server.points.queries import RuleView

STATES = {True: Tag(N_("Enabled"), "green"), False: Tag(N_("Switched off"), "grey")}
DRAFT = Tag(N_("Draft"), "orange")


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
            waiting = len(drafts.all_drafts(session))
        table = Table(
            columns=[
                Column(
                    N_("Name"), lambda row: gettext(row.name), "link", href=lambda row: self.url_to("detail", code=row.code), second="code"
                ),
                Column(N_("Kind"), "kind", "tag", tags=KINDS),
                Column(N_("Rule"), _sentence),
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
        kinds = (
            (CHECK_IN, N_("New check-in rule")),
            (EVENT, N_("New event rule")),
            (MULTIPLIER, N_("New multiplier")),
            (PER_AMOUNT, N_("New purchase rule")),
        )
        buttons = [
            RowAction(N_("Controls"), console_url("points-controls.index"), Permission.POINTS_RULES, icon="shield-check"),
            RowAction(N_("Policies"), self.url_to("policies"), Permission.POINTS_RULES, icon="settings"),
            *(
                RowAction(
                    label,
                    self.url_to("create", kind=kind),
                    Permission.POINTS_RULES,
                    icon="plus",
                    tone="primary" if kind == PER_AMOUNT else "",
                )
                for kind, label in kinds
            ),
        ]
        return ListPage(N_("Points rules"), table, buttons=buttons, tabs=self._tabs("index", waiting)).render(self)

    @page("/drafts")
    def drafts(self) -> ResponseReturnValue:
        """List the drafts."""
        with self.reading() as session:
            found = drafts.all_drafts(session)
            makers = maker_names(session, [row.saved_by for row in found])
        table = Table(
            columns=[
                Column(N_("Name"), lambda row: gettext(row.name), second="code"),
                Column(N_("Kind"), "kind", "tag", tags=KINDS),
                Column(N_("Rule"), _sentence),
                Column(N_("State"), "enabled", "tag", tags=STATES),
                Column(N_("Saved"), "saved_at", "minute", second=lambda row: makers[row.saved_by]),
            ],
            rows=found,
            actions=lambda row: [
                RowAction(N_("Edit the draft"), self.url_to("edit_draft", code=row.code), Permission.POINTS_RULES),
                self._publish(row),
                RowAction(
                    N_("Give the draft up"),
                    self.url_to("drop", code=row.code, edits=row.edits),
                    Permission.POINTS_RULES,
                    post=True,
                    tone="danger",
                    confirm=N_("The draft is lost."),
                ),
            ],
            empty=N_("No drafts"),
            empty_hint=N_("Save a rule as a draft to try it out on past orders before it holds."),
        )
        lab = RowAction(N_("Dry run"), console_url("points-lab.create"), Permission.POINTS_RULES, tone="primary", icon="chart-column")
        return ListPage(N_("Points rules"), table, buttons=[lab], tabs=self._tabs("drafts", len(found))).render(self)

    @page("/<code>")
    def detail(self, code: str) -> ResponseReturnValue:
        """Show a rule with all its versions."""
        with self.reading() as session:
            versions = queries.rule_versions(session, code=code)
            draft = drafts.find(session, code)
            makers = maker_names(session, [row.created_by for row in versions])
        if not versions:
            abort(404)
        newest = versions[0]
        table = Table(
            [
                Column(N_("Version"), "version", "number"),
                Column(N_("Rule"), _sentence),
                Column(N_("State"), "enabled", "tag", tags=STATES),
                Column(N_("Valid from"), "valid_from", "minute"),
                Column(N_("Valid until"), "valid_until", "minute"),
                Column(N_("Made on"), "created_at", "minute", second=lambda row: makers[row.created_by]),
                Column(N_("Reason"), lambda row: row.reason or ""),
                Column(
                    N_("Dry run"),
                    lambda row: gettext("Look") if row.dry_run_id else "",
                    "link",
                    href=lambda row: console_url("points-lab.detail", run_id=row.dry_run_id) if row.dry_run_id else None,
                ),
            ],
            versions,
        )
        fields = [
            Field(N_("Code"), newest.code, "code"),
            Field(N_("Kind"), newest.kind, "tag", KINDS),
            Field(N_("Rule"), _sentence(newest), wide=True),
        ]
        buttons = [RowAction(N_("New version"), self.url_to("edit", code=code), Permission.POINTS_RULES, tone="primary")]
        if draft is not None:
            fields.append(Field(N_("Draft"), _sentence(draft), wide=True))
            buttons = [RowAction(N_("Edit the draft"), self.url_to("edit_draft", code=code), Permission.POINTS_RULES), self._publish(draft)]
        return DetailPage(
            title=gettext(newest.name),
            subtitle=newest.code,
            tags=[STATES[newest.enabled], *([DRAFT] if draft else [])],
            back=(N_("Points rules"), self.url_to("index")),
            buttons=buttons,
            sections=[Section(N_("Rule"), fields)],
            panels=[Panel(N_("Versions"), table=table)],
        ).render(self)

    @form_page("/new/<kind>", Permission.POINTS_RULES)
    def create(self, kind: str) -> ResponseReturnValue:
        """Write a rule's first version."""
        if kind not in KINDS:
            abort(404)
        return self._form(kind, None, N_("New rule"))

    @form_page("/<code>/edit", Permission.POINTS_RULES)
    def edit(self, code: str) -> ResponseReturnValue:
        """Write a rule's next version."""
        with self.reading() as session:
            versions = queries.rule_versions(session, code=code)
        if not versions:
            abort(404)
        return self._form(versions[0].kind, versions[0], N_("New version"))

    @form_page("/<code>/draft", Permission.POINTS_RULES)
    def edit_draft(self, code: str) -> ResponseReturnValue:
        """Go on with a draft."""
        with self.reading() as session:
            draft = drafts.find(session, code)
        if draft is None:
            abort(404)
        # It is published from the list, with the reason asked for there: what was tried out, and nothing else.
        return self._form(draft.kind, draft, N_("Draft of a rule"), submit=N_("Save as a draft"))

    @action("/<code>/publish", Permission.POINTS_RULES)
    def publish(self, code: str) -> ResponseReturnValue:
        """Let a draft hold."""
        actor, reason, edits = current_actor(), request.form.get("reason", ""), _edits()
        return self.change(
            lambda session: drafts.publish(session, code, edits=edits, reason=reason, actor=actor, now=now()),
            done=N_("The new version holds from now on."),
            back=self.url_to("index"),
        )

    @action("/<code>/drop", Permission.POINTS_RULES)
    def drop(self, code: str) -> ResponseReturnValue:
        """Give a draft up."""
        actor, edits = current_actor(), _edits()
        return self.change(
            lambda session: drafts.drop(session, code, edits=edits, actor=actor, now=now()),
            done=N_("The draft was given up."),
            back=self.url_to("drafts"),
        )

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

    def _form(self, kind: str, rule: RuleView | DraftView | None, title: str, submit: str = "Publish") -> ResponseReturnValue:
        form: Any = FORMS[kind](data=values_of(rule) if rule else None)
        if rule is not None:
            form.code.data = rule.code
        with self.reading() as session:
            offer_tiers(form, {tier.code: gettext(tier.name) for tier in tiers.definitions(session)})
        if "preview" in request.form:
            return self._page(kind, form, title, self._preview(kind, form), submit)
        actor, as_draft = current_actor(), "draft" in request.form or submit != "Publish"

        def work(session: Session) -> None:
            draft = replace(draft_of(kind, form), is_first=rule is None)
            if as_draft:
                drafts.save(session, draft, actor=actor, now=now())
                return
            if not (draft.reason or "").strip():
                raise ReasonRequiredError(fields={"reason": ReasonRequiredError.message})
            service.save_rule(session, draft, actor=actor, now=now())

        done, _ = self.submit(form, work)
        if done and as_draft:
            flash(gettext("The draft is saved; it holds once it is published."), "success")
            return redirect(self.url_to("drafts"))
        if done:
            flash(gettext("The new version holds from now on."), "success")
            return redirect(self.url_to("detail", code=form.code.data))
        shown = None if form.is_submitted() or rule is None else _both(kind, rule.document, rule.name)
        return self._page(kind, form, title, shown, submit)

    def _page(self, kind: str, form: Any, title: str, preview: dict[str, str] | None, submit: str) -> ResponseReturnValue:
        made = FormPage(title, form, sections_of(kind), submit=submit, back=self.url_to("index"))
        html, status = made.render(self, "console/rule_form.html", preview=preview)
        return html, 200 if preview else status

    def _preview(self, kind: str, form: Any) -> dict[str, str] | None:
        """Return the sentences of what was typed; nothing is kept."""
        if not form.validate_on_submit():
            return None
        try:
            draft = draft_of(kind, form)
            return _both(kind, draft.document, draft.name)
        except DomainError as error:
            put_errors(form, error)
            return None

    def _publish(self, draft: DraftView) -> RowAction:
        return RowAction(
            N_("Publish"),
            self.url_to("publish", code=draft.code, edits=draft.edits),
            Permission.POINTS_RULES,
            post=True,
            reason=True,
            tone="primary",
            confirm=N_("The draft holds from now on; points that were given stay as they are."),
        )

    def _tabs(self, current: str, waiting: int) -> list[tuple[str, str, bool, int | None]]:
        return [
            (N_("Rules"), self.url_to("index"), current == "index", None),
            (N_("Drafts"), self.url_to("drafts"), current == "drafts", waiting or None),
        ]


def _sentence(rule: RuleView | DraftView) -> str:
    return told(rule.kind, rule.document, reader_language())


def _both(kind: str, document: dict[str, Any], name: str) -> dict[str, str]:
    return {"name": gettext(name), "zh": told(kind, document, "zh"), "en": told(kind, document, "en")}


def _edits() -> int:
    text = request.args.get("edits", "")
    return int(text) if text.isdecimal() and len(text) < 10 else -1  # noqa: PLR2004 - no draft is changed so often


VIEWS = [PointsRulesView]
