"""Console pages of coupon codes: batches with their figures, making one, the file of its codes, stopping it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response, flash, redirect, request
from flask_babel import gettext
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its stubs
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from admin.base import ConsoleView, action, console_url, core, current_actor, form_page, fresh_required, message_of, now, page
from admin.detail import DetailPage, Field, Figure, Section
from admin.formats import Tag
from admin.forms import L_, ConsoleForm, FormPage, FormSection, IntegerField, LocalInstantField, SelectField, StringField, TextAreaField
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from server.coupons import code_queries, queries, service
from server.coupons.rules.codes import MAX_CODES, MAX_WORD, BatchDraft, BatchKind
from server.kernel.errors import DomainError
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.staff.permissions import Permission
from server.transfers import queries as transfers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from server.coupons.code_queries import BatchView
    from server.coupons.service import CodesFile

KINDS = {"unique": Tag(N_("One code each"), "blue"), "shared": Tag(N_("One word for all"), "purple")}
STATES = {"making": Tag(N_("Being made"), "orange"), "open": Tag(N_("Can be claimed"), "green"), "stopped": Tag(N_("Stopped"), "grey")}
_LINES = 1000


class CodeBatchForm(ConsoleForm):
    """A batch of codes."""

    kind = SelectField(L_("Kind"), choices=[SelectChoice(code, L_(tag.label)) for code, tag in KINDS.items()])
    size = IntegerField(
        L_("How many"),
        [Optional(), NumberRange(1, MAX_CODES)],
        description=L_("Codes, at most 1,000,000. Of a word: claims in all; empty for no limit but the template's."),
    )
    word = StringField(L_("Word"), [Length(max=MAX_WORD)], description=L_("Only for one word for all: 3 to 32 letters and digits."))
    per_member = IntegerField(
        L_("For each member"), [Optional(), NumberRange(min=1)], default=1, description=L_("Claims from this batch; empty for no limit.")
    )
    claim_from = LocalInstantField(L_("Claiming from"), [Optional()])
    claim_until = LocalInstantField(L_("Claiming until"), [Optional()])
    note = TextAreaField(L_("Note"), [InputRequired(), Length(min=2, max=300)], description=L_("What the codes are for; for staff."))

    def draft(self, template_id: UUID) -> BatchDraft:
        """Return the batch the form describes."""
        return BatchDraft(
            template_id=template_id,
            kind=BatchKind(self.kind.data),
            size=self.size.data,
            word=self.word.data or "",
            per_member=self.per_member.data,
            claim_from=self.claim_from.data,
            claim_until=self.claim_until.data,
            note=self.note.data or "",
        )


class CouponCodesView(ConsoleView):
    """Batches of coupon codes."""

    slug = "coupon-codes"
    title = N_("Coupon codes")
    group = "benefits"
    icon = "ticket"
    order = 32
    permission = Permission.COUPONS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List batches, newest first."""
        filters = [
            Filter("kind", N_("Kind"), "choice", {code: tag.label for code, tag in KINDS.items()}),
            Filter("state", N_("State"), "choice", {code: tag.label for code, tag in STATES.items()}),
        ]
        asked = read_filters(filters)
        with self.reading() as session:
            found = code_queries.list_batches(
                session, PageRequest.of(20, self.cursor), kind=asked.choice("kind"), state=asked.choice("state")
            )
        table = Table(
            [
                Column(N_("Coupon"), "template_name", "link", href=lambda row: self.url_to("detail", batch_id=row.id), second="note"),
                Column(N_("Kind"), "kind", "tag", tags=KINDS, second=lambda row: row.word or ""),
                Column(N_("State"), "state", "tag", tags=STATES),
                Column(N_("Made"), "made", "number"),
                Column(N_("Claims"), "claimed", "number"),
                Column(N_("Claiming until"), "claim_until", "minute"),
                Column(N_("Made by"), "created_by"),
                Column(N_("Made on"), "created_at", "minute"),
            ],
            found.items,
            lambda row: [RowAction(N_("Details"), self.url_to("detail", batch_id=row.id)), *self._stop(row)],
            empty=N_("No codes were made yet"),
            empty_hint=N_("Codes are made from the page of a coupon template."),
        )
        buttons = [RowAction(N_("Coupon templates"), console_url("coupon_templates.index"))]
        return ListPage(N_("Coupon codes"), table, filters, asked, found.next_cursor, buttons).render(self)

    @page("/<batch_id>")
    def detail(self, batch_id: str) -> ResponseReturnValue:
        """Show one batch."""
        with self.reading() as session:
            view = code_queries.find_batch(session, self.uuid(batch_id))
            progress = transfers.find(session, view.transfer_id) if view.transfer_id else None
        buttons = self._stop(view)
        if view.state == "open" and view.file_until is not None and view.file_until > now():
            buttons.insert(0, self._download(view))
        fields = [
            Field(N_("Template"), view.template_name, "link", href=console_url("coupon_templates.detail", template_id=view.template_id)),
            Field(N_("Word"), view.word, "code"),
            Field(N_("For each member"), view.per_member, "number"),
            Field(N_("Claiming from"), view.claim_from, "minute"),
            Field(N_("Claiming until"), view.claim_until, "minute"),
            Field(N_("Note"), view.note, wide=True),
            Field(N_("Made by"), view.created_by),
            Field(N_("Made on"), view.created_at, "instant"),
            Field(N_("Progress"), f"{progress.percent or 0}%" if progress else None),
            Field(N_("File of codes until"), view.file_until, "instant"),
            Field(N_("Downloads"), view.downloads, "number"),
            Field(N_("Stopped by"), view.stopped_by),
            Field(N_("Stopped on"), view.stopped_at, "instant"),
            Field(N_("Why it was stopped"), view.stopped_why, wide=True),
        ]
        left = None if view.size is None else view.size - view.claimed
        return DetailPage(
            title=view.template_name,
            subtitle=view.note,
            tags=[KINDS[view.kind], STATES[view.state]],
            back=(N_("Coupon codes"), self.url_to("index")),
            buttons=buttons,
            figures=[
                Figure(N_("Made"), view.made, tip=N_("Codes that can be claimed with; a word counts as one.")),
                Figure(N_("Claims"), view.claimed, tip=N_("Coupons that members got with them.")),
                Figure(N_("Left"), left, tip=N_("Claims that the batch still allows.")),
            ],
            sections=[Section(N_("Codes"), fields)],
        ).render(self)

    @form_page("/new/<template_id>", Permission.COUPONS_ISSUE)
    def create(self, template_id: str) -> ResponseReturnValue:
        """Make a batch of codes for a template."""
        wanted, form, actor = self.uuid(template_id), CodeBatchForm(), current_actor()
        with self.reading() as session:
            template = queries.find_template(session, wanted)
        done, batch_id = self.submit(form, lambda session: service.make_batch(session, form.draft(wanted), actor=actor, now=now()))
        if done:
            flash(gettext("The batch is written down. Codes of their own take a minute to make."), "success")
            return redirect(self.url_to("detail", batch_id=batch_id))
        sections = [
            FormSection(N_("Codes"), ["kind", "size", "word"]),
            FormSection(N_("How they may be claimed"), ["per_member", "claim_from", "claim_until"]),
            FormSection(N_("For staff"), ["note"]),
        ]
        back = console_url("coupon_templates.detail", template_id=wanted)
        return FormPage(N_("Make codes"), form, sections, submit=N_("Make"), back=back, intro=template.name).render(self)

    @action("/<batch_id>/stop", Permission.COUPONS_ISSUE)
    def stop(self, batch_id: str) -> ResponseReturnValue:
        """Let no code of a batch be claimed any more."""
        wanted, actor, reason = self.uuid(batch_id), current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: service.stop_batch(session, wanted, reason=reason, actor=actor, now=now()), done=N_("The codes are stopped.")
        )

    @action("/<batch_id>/codes", Permission.COUPONS_ISSUE)
    @fresh_required
    def codes(self, batch_id: str) -> ResponseReturnValue:
        """Download the codes of a batch, with a reason on record."""
        wanted, actor, reason = self.uuid(batch_id), current_actor(), request.form.get("reason", "")
        try:
            file: CodesFile = core().db.run(lambda session: service.open_file(session, wanted, reason=reason, actor=actor, now=now()))
        except DomainError as error:
            flash(message_of(error), "danger")
            return redirect(self.url_to("detail", batch_id=wanted))
        name = f"codes-{wanted.hex[-8:]}.csv"
        return Response(
            _csv(file),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )

    def _stop(self, row: BatchView) -> list[RowAction]:
        if row.state == "stopped":
            return []
        return [
            RowAction(
                N_("Stop"),
                self.url_to("stop", batch_id=row.id),
                Permission.COUPONS_ISSUE,
                post=True,
                reason=True,
                tone="danger",
                confirm=N_("No code of this batch can be claimed any more, for good. Coupons in wallets stay."),
            )
        ]

    def _download(self, row: BatchView) -> RowAction:
        return RowAction(
            N_("Download the codes"),
            self.url_to("codes", batch_id=row.id),
            Permission.COUPONS_ISSUE,
            post=True,
            reason=True,
            icon="download",
            download=True,
            confirm=N_("From the first download on, the file can be had for one hour more; then nobody can say the codes again."),
        )


def _csv(file: CodesFile) -> Iterator[str]:
    """Yield the file in pieces: a million codes never stand in memory."""
    lines: list[Any] = ["code"]
    for code in file.codes():
        lines.append(code)
        if len(lines) >= _LINES:
            yield "\r\n".join(lines) + "\r\n"
            lines = []
    if lines:
        yield "\r\n".join(lines) + "\r\n"


VIEWS = [CouponCodesView]
