"""The sealed trail: search, one entry, and the check of the chain."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flask import abort, flash, redirect, request
from flask_babel import gettext

from admin.base import ConsoleView, action, core, current_actor, now, page
from admin.detail import DetailPage, Field, Panel, Section
from admin.export import MAX_ROWS, csv_response, record_export
from admin.formats import Tag, instant
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.words import action_words, actor_words, subject_words
from server.audit import queries, service
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from admin.listing import Asked

_ACTORS = {
    "member": Tag(N_("Member"), "cyan"),
    "staff": Tag(N_("Staff"), "blue"),
    "partner": Tag(N_("Partner"), "purple"),
    "system": Tag(N_("System"), "grey"),
}
_SEALED = {True: Tag(N_("Sealed"), "green"), False: Tag(N_("Waiting"), "orange")}
_FAULTS = {
    "altered": N_("An entry was altered"),
    "deleted": N_("An entry is missing"),
    "reordered": N_("The order was changed"),
    "truncated": N_("The end of the chain is missing"),
    "inserted": N_("An entry was slipped in beside the chain"),
    "anchor": N_("The chain does not meet the anchor kept outside the database"),
}


class AuditView(ConsoleView):
    """Who did what to what, before and after, why, and from where."""

    slug = "audit"
    title = N_("Audit trail")
    group = "system"
    icon = "scroll-text"
    order = 20
    permission = Permission.AUDIT_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List entries."""
        filters, asked = self._asked()
        with self.reading() as session:
            found = queries.list_entries(session, PageRequest.of(20, self.cursor), _wanted(asked))
            state = queries.state(session)
        table = Table(
            _COLUMNS, found.items, lambda row: [RowAction(N_("Details"), self.url_to("detail", entry_id=row.id))], N_("No entry matches")
        )
        buttons = [
            RowAction(
                N_("Download"),
                f"{self.url_to('export')}?{request.query_string.decode('ascii', 'ignore')}",
                Permission.AUDIT_READ,
                post=True,
                icon="download",
                reason=True,
                download=True,
                confirm=N_("The entries of this search, at most 5,000, as a CSV file."),
            ),
            RowAction(N_("Check the chain"), self.url_to("verify"), Permission.AUDIT_READ, post=True, tone="primary", icon="shield-check"),
        ]
        listing = ListPage(N_("Audit trail"), table, filters, asked, found.next_cursor, buttons)
        return listing.render(self, "console/audit.html", chain=state)

    @page("/<entry_id>")
    def detail(self, entry_id: str) -> ResponseReturnValue:
        """Show one entry."""
        with self.reading() as session:
            entry = queries.find(session, self.uuid(entry_id))
        if entry is None:
            abort(404)
        changed = sorted({*(entry.before or {}), *(entry.after or {})})
        rows = [{"name": name, "before": _text(entry.before, name), "after": _text(entry.after, name)} for name in changed]
        columns = [Column(N_("Value"), "name", "code"), Column(N_("Before"), "before"), Column(N_("After"), "after")]
        return DetailPage(
            title=action_words(entry.action),
            subtitle=f"{entry.action} · {instant(entry.occurred_at)}",
            tags=[_SEALED[entry.sequence is not None]],
            back=(N_("Audit trail"), self.url_to("index")),
            sections=[
                Section(
                    N_("What happened"),
                    [
                        Field(N_("Who"), entry.actor_name),
                        Field(N_("Kind"), entry.actor_kind, "tag", _ACTORS),
                        Field(N_("From"), entry.address),
                        Field(N_("Subject"), f"{subject_words(entry.subject_type)} {entry.subject_id}"),
                        Field(N_("Reason"), entry.reason, wide=True),
                    ],
                ),
                Section(
                    N_("Seal"),
                    [Field(N_("Place in the chain"), entry.sequence), Field(N_("Hash"), entry.hash, "code", wide=True)],
                ),
            ],
            panels=[Panel(N_("Before and after"), table=Table(columns, rows, empty=N_("Nothing was changed by it")))],
        ).render(self)

    @action("/verify", Permission.AUDIT_READ)
    def verify(self) -> ResponseReturnValue:
        """Follow the whole chain and say what was found."""
        path = core().settings.data_dir / "audit-anchors.jsonl"
        with self.reading() as session:
            found = queries.verify(session, queries.read_anchors(path))
        actor = current_actor()
        core().db.run(
            lambda session: service.record(
                session,
                actor=actor,
                action="audit.verify",
                subject_type="audit",
                subject_id="chain",
                after={"checked": found.checked, "faults": len(found.faults)},
                now=now(),
            )
        )
        if found.intact:
            flash(gettext("The chain is whole: %(count)d entries checked.", count=found.checked), "success")
            return redirect(self.url_to("index"))
        html: str = self.render("console/audit_faults.html", found=found, words=_FAULTS, crumb=N_("Check the chain"))
        return html, 200

    @action("/export", Permission.AUDIT_READ)
    def export(self) -> ResponseReturnValue:
        """Download the entries of a search."""
        _, asked = self._asked()
        actor, reason = current_actor(), request.form.get("reason", "")
        rows: list[queries.EntryView] = []
        with self.reading() as session:
            cursor: str | None = None
            while len(rows) < MAX_ROWS:
                found = queries.list_entries(session, PageRequest.of(100, cursor), _wanted(asked))
                rows.extend(found.items)
                cursor = found.next_cursor
                if cursor is None:
                    break
        core().db.run(lambda session: record_export(session, what="audit", rows=len(rows), actor=actor, now=now(), reason=reason))
        return csv_response("audit", _COLUMNS, rows)

    def _asked(self) -> tuple[list[Filter], Asked]:
        with self.reading() as session:
            actions = queries.known_actions(session)
        filters = [
            Filter("who", N_("Who"), placeholder=N_("Whole name")),
            Filter("kind", N_("Kind"), "choice", {code: tag.label for code, tag in _ACTORS.items()}),
            Filter("action", N_("Action"), "choice", {code: action_words(code) for code in actions}),
            Filter("subject", N_("Subject's number"), placeholder=N_("As shown on the entry")),
            Filter("at", N_("When"), "date_range"),
        ]
        return filters, read_filters(filters)


def _wanted(asked: Asked) -> queries.EntryFilter:
    since, until = asked.dates("at")
    return queries.EntryFilter(
        actor_name=asked.text("who"),
        actor_kind=asked.choice("kind"),
        action=asked.choice("action"),
        subject_id=asked.text("subject"),
        since=since,
        until=until,
    )


def _text(document: dict[str, object] | None, name: str) -> str:
    value = (document or {}).get(name)
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _where(row: queries.EntryView) -> str:
    """Return where somebody acted from; for the product itself, which of its jobs it was."""
    return row.address or (row.actor_name if row.actor_kind == "system" else "")


_COLUMNS = [
    Column(N_("When"), "occurred_at", "instant"),
    Column(
        N_("Who"),
        lambda row: actor_words(row.actor_kind, row.actor_name),
        second=_where,
    ),
    Column(N_("Kind"), "actor_kind", "tag", tags=_ACTORS),
    Column(N_("Action"), lambda row: action_words(row.action)),
    Column(N_("Subject"), lambda row: subject_words(row.subject_type), second="subject_id"),
    Column(N_("Reason"), "reason"),
    Column(N_("Seal"), lambda row: row.sequence is not None, "tag", tags=_SEALED),
]

VIEWS = [AuditView]
