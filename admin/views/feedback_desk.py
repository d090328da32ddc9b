"""Console pages around the service desk: canned replies, its figures and its settings."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask import flash, redirect
from flask_babel import gettext
from sqlalchemy.orm import Session
from wtforms import BooleanField
from wtforms.validators import InputRequired, Length, NumberRange

from admin import charts
from admin.base import ConsoleView, current_actor, form_page, now, page
from admin.detail import DetailPage, Figure, Panel
from admin.feedback_labels import CATEGORIES, PRIORITIES, choices_of
from admin.formats import YES_NO, tag_of, translated
from admin.forms import L_, ConsoleForm, FormPage, FormSection, IntegerField, SelectField, StringField, TextAreaField
from admin.listing import Column, ListPage, RowAction, Table
from server.feedback import desk_queries, desk_service, queries
from server.feedback.rules import MAX_CONTENT_CHARS, SETTING_BOUNDS
from server.kernel.text import N_
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

_DAYS = 30
_LABELS = {
    "reopen_window_days": N_("Members may reopen for (days)"),
    "auto_close_days": N_("Answered tickets close after (days)"),
    "first_response_hours": N_("First response (hours)"),
    "resolution_hours": N_("Resolution (hours)"),
}


class CannedReplyForm(ConsoleForm):
    """A text that staff send often."""

    title = StringField(L_("Title"), [InputRequired(), Length(max=80)])
    category = SelectField(L_("Category"), choices=[])
    content = TextAreaField(
        L_("Text"),
        [InputRequired(), Length(max=MAX_CONTENT_CHARS)],
        description=L_("{name}, {ticket_no} and {order_no} are filled in."),
    )
    active = BooleanField(L_("Offered to staff"), default=True)


class CannedRepliesView(ConsoleView):
    """Canned replies."""

    slug = "canned_replies"
    title = N_("Canned replies")
    group = "service"
    icon = "message-square-text"
    order = 20
    permission = Permission.TICKETS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List all texts."""
        with self.reading() as session:
            rows = desk_queries.canned_replies(session, active_only=False)
        table = Table(
            columns=[
                Column(N_("Title"), "title", "link", href=lambda row: self.url_to("edit", reply_id=row.id)),
                Column(N_("Category"), lambda row: row.category or "", "tag", tags={**CATEGORIES, "": tag_of(N_("All"), {})}),
                Column(N_("Text"), lambda row: row.content[:120]),
                Column(N_("Offered to staff"), "active", "tag", tags=YES_NO),
                Column(N_("Last change"), "updated_at", "minute"),
            ],
            rows=rows,
            actions=lambda row: [RowAction(N_("Edit"), self.url_to("edit", reply_id=row.id), Permission.TICKETS_WORK)],
            empty=N_("No canned replies yet"),
        )
        new = RowAction(N_("New canned reply"), self.url_to("create"), Permission.TICKETS_WORK, tone="primary", icon="plus")
        return ListPage(N_("Canned replies"), table, buttons=[new], total=len(rows)).render(self)

    @form_page("/new", Permission.TICKETS_WORK)
    def create(self) -> ResponseReturnValue:
        """Write a new text."""
        form, actor = CannedReplyForm(), current_actor()
        form.category.choices = _categories()
        done, _reply = self.submit(
            form,
            lambda session: desk_service.add_canned_reply(
                session,
                title=form.title.data or "",
                content=form.content.data or "",
                category=form.category.data or None,
                actor=actor,
                now=now(),
            ),
        )
        if done:
            return self._kept()
        return FormPage(N_("New canned reply"), form, back=self.url_to("index")).render(self)

    @form_page("/<reply_id>", Permission.TICKETS_WORK)
    def edit(self, reply_id: str) -> ResponseReturnValue:
        """Change a text, or put it away."""
        wanted, actor = self.uuid(reply_id), current_actor()
        with self.reading() as session:
            reply = desk_queries.canned_reply(session, wanted)
        form = CannedReplyForm(obj=reply)
        form.category.choices = _categories()
        done, _reply = self.submit(
            form,
            lambda session: desk_service.change_canned_reply(
                session,
                wanted,
                title=form.title.data or "",
                content=form.content.data or "",
                category=form.category.data or None,
                active=form.active.data,
                actor=actor,
                now=now(),
            ),
        )
        if done:
            return self._kept()
        return FormPage(reply.title, form, back=self.url_to("index")).render(self)

    def _kept(self) -> ResponseReturnValue:
        flash(gettext("The canned reply is kept."), "success")
        return redirect(self.url_to("index"))


class ServiceFiguresView(ConsoleView):
    """Figures and settings of the service desk."""

    slug = "service_figures"
    title = N_("Service figures")
    group = "service"
    icon = "chart-column"
    order = 30
    permission = Permission.TICKETS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show the last thirty days."""
        present = now()
        with self.reading() as session:
            figures = desk_queries.figures(session, present - timedelta(days=_DAYS), present)
            counts = desk_queries.counts(session, None, present)
        kept = figures.kept + figures.breached
        parts = [(tag.label, float(figures.opened_by_category.get(str(code), 0))) for code, tag in CATEGORIES.items()]
        stars = [(f"{score} ★", float(figures.ratings.get(score, 0))) for score in range(5, 0, -1)]
        score = figures.average_score
        return DetailPage(
            title=N_("Service figures"),
            subtitle=N_("The last 30 days"),
            buttons=[RowAction(N_("Settings"), self.url_to("configure"), Permission.SETTINGS_EDIT, icon="settings")],
            figures=[
                Figure(N_("Tickets opened"), sum(figures.opened_by_category.values())),
                Figure(N_("Open now"), counts.live),
                Figure(N_("Overdue now"), counts.overdue, tone="red" if counts.overdue else ""),
                Figure(N_("Deadlines kept"), f"{figures.kept * 100 // kept}%" if kept else "–", "text", tip=N_("Of all that ended.")),
                Figure(N_("Average rating"), f"{score:.1f}" if score is not None else "–", "text", tip=N_("1 to 5, by members.")),
            ],
            panels=[
                Panel(N_("Tickets by category"), chart=charts.ring(N_("Tickets by category"), parts, height=280)),
                Panel(N_("Ratings"), chart=charts.bars(N_("Ratings"), stars, height=220), side=True),
            ],
        ).render(self)

    @form_page("/settings", Permission.SETTINGS_EDIT)
    def configure(self) -> ResponseReturnValue:
        """Set the reopen window and the hours of each priority."""
        with self.reading() as session:
            stored = queries.stored_settings(session)
        form = _settings_form()(data={_field(name): stored.get(name, default) for name, (default, _, _) in SETTING_BOUNDS.items()})
        actor = current_actor()

        def work(session: Session) -> None:
            numbers = {name: form._fields[_field(name)].data for name in SETTING_BOUNDS}
            desk_service.change_settings(session, numbers, actor=actor, now=now())

        done, _none = self.submit(form, work)
        if done:
            flash(gettext("The settings are kept. Deadlines that run already stay as they are."), "success")
            return redirect(self.url_to("index"))

        def fields(start: str) -> list[str]:
            return [_field(name) for name in SETTING_BOUNDS if name.startswith(start)]

        sections = [
            FormSection(N_("Members"), ["reopen_window_days", "auto_close_days"]),
            FormSection(N_("First response"), fields("first_response_hours"), N_("Hours from the opening, by priority.")),
            FormSection(N_("Resolution"), fields("resolution_hours"), N_("Time spent waiting for the member does not count.")),
        ]
        return FormPage(N_("Service desk settings"), form, sections, back=self.url_to("index")).render(self)


def _field(name: str) -> str:
    return name.replace(".", "__")


def _settings_form() -> type[ConsoleForm]:
    """Return a form with one number field for each setting."""
    fields = {}
    for name, (_default, least, most) in SETTING_BOUNDS.items():
        kind, _, priority = name.partition(".")
        label = translated(_LABELS[kind]) + (f" · {translated(PRIORITIES[priority].label)}" if priority else "")
        fields[_field(name)] = IntegerField(label, [InputRequired(), NumberRange(least, most)])
    return type("DeskSettingsForm", (ConsoleForm,), fields)


def _categories() -> list[tuple[str, str]]:
    return [("", gettext("All")), *choices_of(CATEGORIES)]


VIEWS = [CannedRepliesView, ServiceFiguresView]
