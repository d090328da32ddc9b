"""Console pages of opening balances: bring a file, look at what it would give, ask a second person, see how far it is."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import redirect, request
from flask_babel import gettext
from wtforms.validators import InputRequired, Length

from admin.base import ConsoleView, action, current_actor, form_page, now, page
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.export import csv_response
from admin.formats import Tag
from admin.forms import L_, ConsoleForm, FileField, FormPage, FormSection, StringField
from admin.listing import Column, ListPage, RowAction, Table
from admin.views.approvals import APPROVAL_STATES
from server.flows import opening
from server.kernel.text import N_
from server.points import openings
from server.staff import approvals
from server.staff.permissions import Permission
from server.transfers import queries as transfers

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.points.openings import OpeningView

_SHOWN_FAULTS = 100
FAULTS: dict[str, str] = {
    "column_missing": N_("The column is missing"),
    "empty": N_("Empty"),
    "expired": N_("The day has passed"),
    "no_such_member": N_("No such member"),
    "not_a_day": N_("Not a date"),
    "not_a_number_of_points": N_("Not a number of points"),
    "repeated": N_("Repeated in this file"),
    "taken_in_for_another_member": N_("The id was taken in for another member"),
    "taken_in_with_other_points": N_("Taken in before with other points"),
    "too_long": N_("Too long"),
    "too_many_cells": N_("More cells than headings"),
    "number_too_long": N_("Too many digits for a spreadsheet's number"),
}
_COLUMNS: dict[str, str] = {
    "card_no": N_("Card number"),
    "expires_on": N_("Expires"),
    "external_id": N_("External id"),
    "id": N_("Row id"),
    "note": N_("Note"),
    "phone": N_("Phone number"),
    "points": N_("Points"),
}
_STATES: dict[Any, Tag] = {
    **APPROVAL_STATES,
    "staged": Tag(N_("Nobody asked yet"), "grey"),
    "running": Tag(N_("Running"), "blue"),
    "done": Tag(N_("Done"), "green"),
}


class OpeningForm(ConsoleForm):
    """A file of balances."""

    file = FileField(
        L_("File"),
        [InputRequired()],
        description=L_("CSV or XLSX. Columns: card_no, phone or external_id; points; and if you like expires_on, note, id."),
    )
    channel = StringField(
        L_("Channel of external numbers"),
        [InputRequired(), Length(max=32)],
        default=opening.DEFAULT_CHANNEL,
        description=L_("As tills name it."),
    )


class PointsOpeningsView(ConsoleView):
    """Opening balances."""

    slug = "points-openings"
    title = N_("Opening balances")
    group = "benefits"
    icon = "upload"
    order = 13
    permission = Permission.POINTS_RULES

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List the files brought last."""
        with self.reading() as session:
            found = openings.newest(session)
            states = {view.id: _state(session, view) for view in found}
        table = Table(
            [
                Column(N_("File"), "name", "link", href=lambda row: self.url_to("detail", opening_id=row.id)),
                Column(N_("State"), lambda row: states[row.id], "tag", tags=_STATES),
                Column(N_("Balances"), "balances", "number"),
                Column(N_("Points"), "points", "points"),
                Column(N_("Refused rows"), lambda row: len(row.faults), "number"),
                Column(N_("Brought by"), "created_by"),
                Column(N_("Brought on"), "created_at", "minute"),
            ],
            found,
            empty=N_("No file was brought yet"),
            empty_hint=N_("Balances of an older system come in from a file; a second person approves them before anybody gets points."),
        )
        buttons = [RowAction(N_("Bring a file"), self.url_to("create"), Permission.POINTS_RULES, tone="primary", icon="upload")]
        return ListPage(N_("Opening balances"), table, buttons=buttons).render(self)

    @form_page("/new", Permission.POINTS_RULES)
    def create(self) -> ResponseReturnValue:
        """Read a file; nobody gets points by it yet."""
        form, actor = OpeningForm(), current_actor()

        def work(session: Session) -> UUID:
            name = Path(form.file.data.filename or "").name
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "balances"
                form.file.data.seek(0)
                form.file.data.save(path)
                return opening.stage(session, path, name=name, channel=form.channel.data.strip(), actor=actor, now=now())

        done, opening_id = self.submit(form, work)
        if done:
            return redirect(self.url_to("detail", opening_id=opening_id))
        sections = [FormSection(N_("File"), ["file", "channel"])]
        return FormPage(N_("Bring a file"), form, sections, submit=N_("Read the file"), back=self.url_to("index")).render(self)

    @page("/<opening_id>")
    def detail(self, opening_id: str) -> ResponseReturnValue:
        """Show what a file would give, and what it cannot."""
        with self.reading() as session:
            view = openings.find(session, self.uuid(opening_id))
            state = _state(session, view)
            progress = transfers.find(session, view.transfer_id) if view.transfer_id else None
        buttons = []
        if view.faults:
            buttons.append(RowAction(N_("Refused rows as a file"), self.url_to("faults", opening_id=view.id), icon="download"))
        if state == "staged" and view.balances:
            buttons.append(
                RowAction(
                    N_("Ask for approval"),
                    self.url_to("ask", opening_id=view.id),
                    Permission.POINTS_RULES,
                    post=True,
                    reason=True,
                    tone="primary",
                    confirm=N_("A second person decides on the whole file."),
                )
            )
        faults = Table(
            [
                Column(N_("Line"), lambda row: row[0], "number"),
                Column(N_("Column"), lambda row: gettext(_COLUMNS[row[1]]) if row[1] in _COLUMNS else row[1]),
                Column(N_("Reason"), lambda row: gettext(FAULTS.get(row[2], row[2]))),
            ],
            view.faults[:_SHOWN_FAULTS],
            empty=N_("Every row can be taken in"),
        )
        fields = [
            Field(N_("Brought by"), view.created_by),
            Field(N_("Brought on"), view.created_at, "instant"),
            Field(N_("Progress"), f"{progress.percent or 0}%" if progress else None),
            Field(N_("Hash of the rows"), view.digest, "code", wide=True),
        ]
        return DetailPage(
            title=view.name,
            tags=[_STATES[state]],
            back=(N_("Opening balances"), self.url_to("index")),
            buttons=buttons,
            figures=[
                Figure(N_("Balances"), view.balances, tip=N_("Rows that can be taken in.")),
                Figure(N_("Points"), view.points, "points", tip=N_("What they give together.")),
                Figure(N_("Taken in before"), view.known, tip=N_("Rows of the same id and points; they are left out.")),
                Figure(N_("Refused rows"), len(view.faults), tone="red" if view.faults else ""),
            ],
            sections=[Section(N_("File"), fields)],
            panels=[Panel(N_("Rows that cannot be taken in"), table=faults)],
        ).render(self)

    @page("/<opening_id>/faults")
    def faults(self, opening_id: str) -> ResponseReturnValue:
        """Download the refused rows: line, column and reason, nothing of what they say."""
        with self.reading() as session:
            view = openings.find(session, self.uuid(opening_id))
        columns = [
            Column(N_("Line"), lambda row: row[0]),
            Column(N_("Column"), lambda row: row[1]),
            Column(N_("Reason"), lambda row: gettext(FAULTS.get(row[2], row[2]))),
        ]
        return csv_response("refused-rows", columns, view.faults)

    @action("/<opening_id>/ask", Permission.POINTS_RULES)
    def ask(self, opening_id: str) -> ResponseReturnValue:
        """Ask a second person for the whole file."""
        wanted, actor, reason = self.uuid(opening_id), current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: opening.ask(session, wanted, reason=reason, actor=actor, now=now()),
            done=N_("A second person has to approve it."),
            back=self.url_to("detail", opening_id=wanted),
        )


def _state(session: Session, view: OpeningView) -> str:
    """Return where a file stands: what its request says, until it is being taken in."""
    if view.finished_at is not None:
        return "done"
    if view.transfer_id is not None:
        return "running"
    request_of = approvals.find(session, view.approval_id) if view.approval_id else None
    return request_of.state if request_of else "staged"


VIEWS = [PointsOpeningsView]
