"""Console pages of tiers: the definitions, and giving a member a tier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect, request
from flask_babel import gettext
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import InputRequired, Length, NumberRange, Regexp

from admin.base import ConsoleView, current_actor, form_page, now, page
from admin.forms import L_, ConsoleForm, FormPage, FormSection, IntegerField, SelectField, StringField, TextAreaField
from admin.listing import Column, ListPage, RowAction, Table
from server.cards import queries as cards
from server.kernel.errors import InvalidError
from server.kernel.text import N_
from server.staff.permissions import Permission
from server.tiers import queries, service
from server.tiers.queries import TierView
from server.tiers.rules import Face, TierDraft

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

_COLOUR = Regexp(r"#[0-9A-Fa-f]{6}$", message=L_("Please enter a colour such as #C49A4A."))


class TierForm(ConsoleForm):
    """A tier."""

    code = StringField(L_("Code"), [InputRequired(), Length(max=40)])
    name = StringField(L_("Name"), [InputRequired(), Length(max=40)])
    rank = IntegerField(L_("Rank"), [InputRequired(), NumberRange(0, 1000)], description=L_("Higher is better."))
    points_multiplier_percent = IntegerField(
        L_("Points multiplier (%)"), [InputRequired(), NumberRange(100, 1000)], description=L_("100 is single points, 150 one and a half.")
    )
    start = StringField(L_("Card colour, from"), [InputRequired(), _COLOUR])
    end = StringField(L_("Card colour, to"), [InputRequired(), _COLOUR])
    text = StringField(L_("Text colour"), [InputRequired(), _COLOUR])
    benefits = TextAreaField(L_("Benefits"), [Length(max=1000)], description=L_("One on each line, as members read them."))


class AssignForm(ConsoleForm):
    """A member's tier."""

    card_no = StringField(L_("Card number"), [InputRequired(), Length(max=32)])
    tier = SelectField(L_("Tier"))
    reason = TextAreaField(
        L_("Reason"), [InputRequired(), Length(max=200)], description=L_("The member sees it; the audit trail keeps it.")
    )


class TiersView(ConsoleView):
    """Tiers."""

    slug = "tiers"
    title = N_("Tiers")
    group = "benefits"
    icon = "crown"
    order = 20
    permission = Permission.MEMBERS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List the tiers, the lowest first."""
        with self.reading() as session:
            tiers = queries.definitions(session)
            heads = {count.code: count.members for count in queries.headcounts(session)}
        table = Table(
            columns=[
                Column(N_("Name"), lambda row: gettext(row.name), second="code"),
                Column(N_("Rank"), "rank", "number"),
                Column(N_("Points multiplier"), lambda row: f"{row.points_multiplier_percent} %"),
                Column(N_("Benefits"), lambda row: " · ".join(gettext(text) for text in row.benefits)),
                Column(
                    N_("Members assigned"),
                    lambda row: heads.get(row.code, 0),
                    "number",
                    tip=N_("Members without an assignment hold the lowest tier and are not counted."),
                ),
            ],
            rows=tiers,
            actions=lambda row: [RowAction(N_("Edit"), self.url_to("edit", code=row.code), Permission.SETTINGS_EDIT)],
            empty=N_("No tiers yet"),
        )
        buttons = [
            RowAction(N_("New tier"), self.url_to("create"), Permission.SETTINGS_EDIT, icon="plus"),
            RowAction(N_("Assign a tier"), self.url_to("assign"), Permission.MEMBERS_EDIT, tone="primary", icon="crown"),
        ]
        return ListPage(N_("Tiers"), table, buttons=buttons).render(self)

    @form_page("/new", Permission.SETTINGS_EDIT)
    def create(self) -> ResponseReturnValue:
        """Define a tier."""
        return self._form(None)

    @form_page("/<code>/edit", Permission.SETTINGS_EDIT)
    def edit(self, code: str) -> ResponseReturnValue:
        """Change a tier."""
        with self.reading() as session:
            tier = next((tier for tier in queries.definitions(session) if tier.code == code), None)
        if tier is None:
            abort(404)
        return self._form(tier)

    @form_page("/assign", Permission.MEMBERS_EDIT)
    def assign(self) -> ResponseReturnValue:
        """Give a member a tier, with a reason."""
        form, actor = AssignForm(data={"card_no": request.args.get("card_no", "")}), current_actor()
        with self.reading() as session:
            form.tier.choices = [SelectChoice(tier.code, gettext(tier.name)) for tier in queries.definitions(session)]

        def work(session: Session) -> TierView:
            member_id = cards.by_card_no(session, form.card_no.data)
            if member_id is None:
                raise InvalidError(fields={"card_no": gettext("No member has this card number.")})
            return service.assign(session, member_id, form.tier.data, reason=form.reason.data, actor=actor, now=now())

        done, _ = self.submit(form, work)
        if done:
            flash(gettext("The tier is assigned."), "success")
            return redirect(self.url_to("index"))
        sections = [FormSection(N_("Member"), ["card_no", "tier"]), FormSection(N_("For the record"), ["reason"])]
        return FormPage(N_("Assign a tier"), form, sections, submit=N_("Assign"), back=self.url_to("index")).render(self)

    def _form(self, tier: TierView | None) -> ResponseReturnValue:
        form, actor = TierForm(data=_values(tier) if tier else None), current_actor()
        if tier is not None:
            form.code.data = tier.code
        done, _ = self.submit(form, lambda session: service.define(session, _draft(form), actor=actor, now=now()))
        if done:
            flash(gettext("The tier is saved."), "success")
            return redirect(self.url_to("index"))
        sections = [
            FormSection(N_("Tier"), ["code", "name", "rank", "points_multiplier_percent"]),
            FormSection(N_("Card"), ["start", "end", "text"]),
            FormSection(N_("For members"), ["benefits"]),
        ]
        title = N_("Edit tier") if tier else N_("New tier")
        return FormPage(title, form, sections, submit=N_("Save"), back=self.url_to("index")).render(self)


def _values(tier: TierView) -> dict[str, Any]:
    return {
        "name": tier.name,
        "rank": tier.rank,
        "points_multiplier_percent": tier.points_multiplier_percent,
        "start": tier.face.start,
        "end": tier.face.end,
        "text": tier.face.text,
        "benefits": "\n".join(tier.benefits),
    }


def _draft(form: Any) -> TierDraft:
    lines = tuple(line.strip() for line in (form.benefits.data or "").splitlines() if line.strip())
    face = Face(form.start.data, form.end.data, form.text.data)
    return TierDraft(form.code.data, form.name.data, form.rank.data, form.points_multiplier_percent.data, face, lines)


VIEWS = [TiersView]
