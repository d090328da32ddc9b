"""Console pages of issuing coupons to a file of members: bring it, look at it, start it, see how far it is and what it refused."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Response, flash, redirect, request
from flask_babel import gettext
from wtforms.validators import InputRequired

from admin.base import ConsoleView, action, console_url, current_actor, form_page, now, page
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.export import safe_cell
from admin.formats import Tag
from admin.forms import L_, ConsoleForm, FileField, FormPage, ReasonForm
from admin.listing import Column, ListPage, RowAction, Table
from admin.views.approvals import APPROVAL_STATES
from admin.views.coupons import coupon_table
from server.coupons import issue_queries, queries
from server.coupons.service import issue_files
from server.flows import coupon_recall
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.staff import approvals
from server.staff.permissions import Permission
from server.transfers import queries as transfers

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.coupons.issue_queries import RecallView
    from server.staff.approvals import ApprovalView

_SHOWN = 100
STATES = {"staged": Tag(N_("Not started yet"), "grey"), "running": Tag(N_("Running"), "blue"), "done": Tag(N_("Done"), "green")}
WHY: dict[str, str] = {
    "segment_not_eligible": N_("Is not one of the selected members"),
    "claim_limit_reached": N_("Has as many as allowed"),
    "coupon_template_state": N_("Not published"),
    "empty": N_("Empty"),
    "no_such_member": N_("No such member"),
    "not_in_window": N_("Not open"),
    "number_too_long": N_("Too many digits for a spreadsheet's number"),
    "repeated": N_("Repeated in this file"),
    "sold_out": N_("All gone"),
    "too_many_cells": N_("More cells than headings"),
}


class IssueFileForm(ConsoleForm):
    """A file of members."""

    file = FileField(L_("File"), [InputRequired()], description=L_("CSV or XLSX with a column card_no or phone, at most 100,000 rows."))


class CouponIssuesView(ConsoleView):
    """Files of members that coupons are issued to."""

    slug = "coupon-issues"
    title = N_("Coupons to a file")
    group = "benefits"
    icon = "upload"
    order = 33
    permission = Permission.COUPONS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List files, newest first."""
        with self.reading() as session:
            found = issue_queries.list_files(session, PageRequest.of(20, self.cursor))
        table = Table(
            [
                Column(N_("File"), "name", "link", href=lambda row: self.url_to("detail", file_id=row.id), second="template_name"),
                Column(N_("State"), "state", "tag", tags=STATES),
                Column(N_("Members"), "members", "number"),
                Column(N_("Issued"), "issued", "number"),
                Column(N_("Refused rows"), "refused", "number"),
                Column(N_("Brought by"), "created_by"),
                Column(N_("Brought on"), "created_at", "minute"),
            ],
            found.items,
            empty=N_("No file was brought yet"),
            empty_hint=N_("Files are brought from the page of a coupon template."),
        )
        return ListPage(N_("Coupons to a file"), table, next_cursor=found.next_cursor).render(self)

    @form_page("/new/<template_id>", Permission.COUPONS_ISSUE)
    def create(self, template_id: str) -> ResponseReturnValue:
        """Read a file; nobody gets a coupon by it yet."""
        wanted, form, actor = self.uuid(template_id), IssueFileForm(), current_actor()
        with self.reading() as session:
            template = queries.find_template(session, wanted)

        def work(session: Session) -> UUID:
            name = Path(form.file.data.filename or "").name
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "members"
                form.file.data.seek(0)
                form.file.data.save(path)
                return issue_files.stage(session, wanted, path, name=name, actor=actor, now=now())

        done, file_id = self.submit(form, work)
        if done:
            return redirect(self.url_to("detail", file_id=file_id))
        back = console_url("coupon_templates.detail", template_id=wanted)
        return FormPage(N_("Issue to a file"), form, submit=N_("Read the file"), back=back, intro=template.name).render(self)

    @page("/<file_id>")
    def detail(self, file_id: str) -> ResponseReturnValue:
        """Show a file: what it would give, how far it is, and what it refused."""
        with self.reading() as session:
            view = issue_queries.find_file(session, self.uuid(file_id))
            refused = issue_queries.refusals(session, view.id, limit=_SHOWN)
            progress = transfers.find(session, view.transfer_id) if view.transfer_id else None
            recall = issue_queries.recall_of(session, view.id)
            request_of = approvals.find(session, recall.approval_id) if recall and recall.approval_id else None
            used = issue_queries.used_of(session, view.id, PageRequest(_SHOWN), now=now()) if recall else None
        buttons = []
        if view.refused:
            buttons.append(RowAction(N_("Refused rows as a file"), self.url_to("refusals", file_id=view.id), icon="download"))
        if view.state == "staged" and view.members:
            buttons.append(
                RowAction(
                    N_("Issue now"),
                    self.url_to("start", file_id=view.id),
                    Permission.COUPONS_ISSUE,
                    post=True,
                    reason=True,
                    tone="primary",
                    confirm=N_("Each member found gets one coupon, as far as stock, budget and limits allow."),
                )
            )
        asked = request_of is not None and request_of.state == "pending"
        if view.state == "done" and view.issued and not asked and (recall is None or recall.state == "asked"):
            buttons.append(RowAction(N_("Recall"), self.url_to("recall", file_id=view.id), Permission.COUPONS_ISSUE, tone="danger"))
        sections = [] if recall is None else [_recall_section(recall, request_of)]
        panels = (
            []
            if used is None
            else [
                Panel(
                    N_("Used coupons, which stay"), table=coupon_table(used.items), more=(N_("All"), self.url_to("used", file_id=view.id))
                )
            ]
        )
        fields = [
            Field(N_("Template"), view.template_name, "link", href=console_url("coupon_templates.detail", template_id=view.template_id)),
            Field(N_("Reason"), view.reason, wide=True),
            Field(N_("Brought by"), view.created_by),
            Field(N_("Brought on"), view.created_at, "instant"),
            Field(N_("Progress"), f"{progress.percent or 0}%" if progress else None),
            Field(N_("Ended"), view.finished_at, "instant"),
        ]
        table = Table(
            [
                Column(N_("Line"), "line", "number"),
                Column(N_("Column"), "column", "code"),
                Column(N_("Reason"), lambda row: gettext(WHY.get(row.reason, row.reason))),
            ],
            refused,
            empty=N_("No row was refused"),
        )
        return DetailPage(
            title=view.name,
            subtitle=view.template_name,
            tags=[STATES[view.state]],
            back=(N_("Coupons to a file"), self.url_to("index")),
            buttons=buttons,
            figures=[
                Figure(N_("Members"), view.members, tip=N_("Rows whose member was found.")),
                Figure(N_("Issued"), view.issued, tip=N_("Coupons given so far.")),
                Figure(N_("Refused rows"), view.refused, tone="red" if view.refused else ""),
            ],
            sections=[Section(N_("File"), fields), *sections],
            panels=[*panels, Panel(N_("Refused rows"), table=table)],
        ).render(self)

    @form_page("/<file_id>/recall", Permission.COUPONS_ISSUE)
    def recall(self, file_id: str) -> ResponseReturnValue:
        """Show what a recall would do, and ask a second person for it."""
        wanted, form, actor = self.uuid(file_id), ReasonForm(), current_actor()
        with self.reading() as session:
            preview = issue_queries.recall_preview(session, wanted, now=now())
        back = self.url_to("detail", file_id=wanted)
        done, _ = self.submit(form, lambda session: coupon_recall.ask(session, wanted, reason=form.reason.data, actor=actor, now=now()))
        if done:
            flash(gettext("A second person has to approve it."), "success")
            return redirect(back)
        intro = gettext(
            "Unused coupons, which are voided with notice to their members: %(unused)d. Used ones, which stay: %(used)d. Expired or "
            "voided before: %(over)d.",
            unused=preview.unused,
            used=preview.used,
            over=preview.over,
        )
        return FormPage(N_("Recall the coupons of a file"), form, submit=N_("Ask for approval"), back=back, intro=intro).render(self)

    @page("/<file_id>/used")
    def used(self, file_id: str) -> ResponseReturnValue:
        """List the coupons of a file that are redeemed or kept for an order: a recall leaves them."""
        wanted = self.uuid(file_id)
        with self.reading() as session:
            found = issue_queries.used_of(session, wanted, PageRequest.of(20, self.cursor), now=now())
        buttons = [RowAction(N_("To the file"), self.url_to("detail", file_id=wanted))]
        title = N_("Used coupons, which stay")
        return ListPage(title, coupon_table(found.items), next_cursor=found.next_cursor, buttons=buttons).render(self)

    @page("/<file_id>/refusals")
    def refusals(self, file_id: str) -> ResponseReturnValue:
        """Download the refused rows: line, column and reason, nothing of what they say."""
        with self.reading() as session:
            view = issue_queries.find_file(session, self.uuid(file_id))
            rows = issue_queries.refusals(session, view.id)
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow([gettext("Line"), gettext("Column"), gettext("Reason")])
        words = {code: gettext(text) for code, text in WHY.items()}
        writer.writerows([row.line, safe_cell(row.column), words.get(row.reason, row.reason)] for row in rows)
        headers = {"Content-Disposition": 'attachment; filename="refused-rows.csv"'}
        return Response(out.getvalue().encode("utf-8-sig"), content_type="text/csv; charset=utf-8", headers=headers)

    @action("/<file_id>/start", Permission.COUPONS_ISSUE)
    def start(self, file_id: str) -> ResponseReturnValue:
        """Issue to the members of a file, in the background."""
        wanted, actor, reason = self.uuid(file_id), current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: issue_files.start(session, wanted, reason=reason, actor=actor, now=now()),
            done=N_("The coupons are being issued."),
            back=self.url_to("detail", file_id=wanted),
        )


def _recall_section(recall: RecallView, request_of: ApprovalView | None) -> Section:
    state = request_of.state if recall.state == "asked" and request_of else recall.state
    fields = [
        Field(N_("State"), state, "tag", {**APPROVAL_STATES, **STATES}),
        Field(N_("Asked by"), recall.created_by),
        Field(N_("Reason"), recall.reason, wide=True),
        Field(N_("Voided"), recall.voided, "number"),
        Field(N_("Used or over, which stay"), recall.kept, "number"),
        Field(N_("Ended"), recall.finished_at, "instant"),
    ]
    return Section(N_("Recall"), fields)


VIEWS = [CouponIssuesView]
