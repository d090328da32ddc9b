"""Console pages of the content review: what members wrote or showed and waits for WeChat or a person, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Response, render_template, request
from flask_babel import gettext
from markupsafe import Markup

from admin.base import ConsoleView, action, console_url, console_url_or_none, core, current_actor, now, page
from admin.detail import DetailPage, Field, Panel, Section
from admin.export import export_list
from admin.formats import Tag
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.words import maker_names, member_names
from server.files import service as files
from server.flows import screening as flow
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.screening import queries
from server.screening.queries import CheckFilter
from server.screening.rules import DECIDABLE, State
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.screening.queries import CheckView

STATES = {
    "waiting": Tag(N_("WeChat is checking"), "blue"),
    "held": Tag(N_("To be reviewed"), "orange"),
    "blocked": Tag(N_("Blocked by WeChat"), "red"),
    "passed": Tag(N_("Passed by WeChat"), "green"),
    "allowed": Tag(N_("Allowed"), "green"),
    "refused": Tag(N_("Refused"), "red"),
    "dropped": Tag(N_("Replaced"), "grey"),
}
SUBJECTS = {
    "nickname": Tag(N_("Nickname"), "purple"),
    "avatar": Tag(N_("Profile picture"), "purple"),
    "ticket_message": Tag(N_("Feedback text"), "blue"),
    "ticket_rating": Tag(N_("Rating"), "gold"),
    "ticket_image": Tag(N_("Feedback picture"), "cyan"),
}
CAUSES = {
    "doubt": N_("WeChat is in doubt"),
    "unreachable": N_("WeChat could not be reached"),
    "unanswered": N_("WeChat did not answer in time"),
    "not_checkable": N_("WeChat could not check it"),
    "no_wechat": N_("The member has no WeChat log-in"),
    "risky": N_("WeChat holds it for risky"),
    "new": N_("Sent to WeChat"),
}
# WeChat's reasons, by its own numbers.
LABELS = {
    100: N_("Nothing found"),
    10001: N_("Advertising"),
    20001: N_("Politics"),
    20002: N_("Pornography"),
    20003: N_("Insults"),
    20006: N_("Crime"),
    20008: N_("Fraud"),
    20012: N_("Vulgar"),
    20013: N_("Copyright"),
    21000: N_("Other reasons"),
}
# What waits, as tabs: name → (label, its states).
_TABS: dict[str, tuple[str, tuple[str, ...]]] = {
    "held": (N_("To be reviewed"), ("held",)),
    "waiting": (N_("With WeChat"), ("waiting",)),
    "blocked": (N_("Blocked by WeChat"), ("blocked",)),
    "decided": (N_("Decided"), ("allowed", "refused", "passed")),
    "all": (N_("All"), ()),
}
_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class CheckRow:
    """A check with what else its line shows."""

    check: CheckView
    member: str
    picture: str | None
    decided_by: str

    @property
    def text(self) -> str:
        """Return the beginning of the text, or what stands for a picture."""
        content = self.check.content
        if content is None:
            return gettext("Picture") if self.check.kind == "image" else "–"
        return content if len(content) <= _SHOWN_CHARS else content[:_SHOWN_CHARS] + "…"

    @property
    def why(self) -> str:
        """Return why it is here, in words."""
        cause = self.check.cause
        return gettext(CAUSES.get(cause, cause)) if cause else "–"

    @property
    def label(self) -> str:
        """Return WeChat's reason in words."""
        return label_words(self.check.label)


class ContentView(ConsoleView):
    """The content review."""

    slug = "content"
    title = N_("Content review")
    group = "service"
    icon = "shield-check"
    order = 30
    permission = Permission.CONTENT_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List what waits and what was decided; ``?tab=`` says which."""
        return self._list(PageRequest.of(20, self.cursor)).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download the list of a search."""
        return export_list("content-review", lambda place: self._list(place, previews=False))

    @page("/<check_id>")
    def detail(self, check_id: str) -> ResponseReturnValue:
        """Show one text or picture whole."""
        with self.reading() as session:
            row = _rows(session, [queries.find(session, self.uuid(check_id))])[0]
        check = row.check
        sections = [
            Section(
                N_("Content check"),
                [
                    Field(N_("Kind"), check.subject, "tag", tags=SUBJECTS),
                    Field(N_("Member"), row.member, "link", href=console_url_or_none("members.detail", member_id=check.member_id)),
                    Field(N_("Why it is here"), row.why),
                    Field(N_("WeChat's reason"), row.label),
                    Field(N_("Submitted at"), check.created_at, "instant"),
                    Field(N_("Looked at again"), check.next_at, "instant"),
                    Field(N_("Asked about"), check.asks, "number"),
                    Field(N_("Calls that failed"), check.tries, "number"),
                    Field(N_("Decided at"), check.decided_at, "instant"),
                    Field(N_("Decided by"), row.decided_by),
                    Field(N_("Reason"), check.reason, wide=True),
                ],
            )
        ]
        content = Markup(render_template("console/content_piece.html", text=check.content, picture=row.picture))  # noqa: S704  # nosec B704 - our own template, which escapes
        return DetailPage(
            title=gettext(SUBJECTS[check.subject].label),
            subtitle=row.member,
            tags=[STATES[check.state]],
            buttons=_actions(row),
            back=(N_("Content review"), self.url_to("index")),
            sections=sections,
            panels=[Panel(N_("What the member sent"), html=content)],
        ).render(self)

    @page("/<check_id>/picture")
    def picture(self, check_id: str) -> ResponseReturnValue:
        """Send a picture to who decides on it, a refused one too."""
        with self.reading() as session:
            check = queries.find(session, self.uuid(check_id))
            if check.upload_id is None:
                return Response(status=404)
            opened = files.open_for_review(session, core().files, check.upload_id)
        response = Response(opened.data, content_type=opened.content_type)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "private, no-store"
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        return response

    @action("/<check_id>/allow", Permission.CONTENT_DECIDE)
    def allow(self, check_id: str) -> ResponseReturnValue:
        """Let it be shown."""
        return self._decide(check_id, allow=True, done=N_("It is shown from now on."))

    @action("/<check_id>/refuse", Permission.CONTENT_DECIDE)
    def refuse(self, check_id: str) -> ResponseReturnValue:
        """Hide it and tell the member."""
        return self._decide(check_id, allow=False, done=N_("It is hidden, and the member is told."))

    def _decide(self, check_id: str, *, allow: bool, done: str) -> ResponseReturnValue:
        wanted, actor, reason = self.uuid(check_id), current_actor(), request.form.get("reason", "")
        version = request.args.get("version", "")
        seen = int(version) if version.isdecimal() else None
        return self.change(
            lambda session: flow.decide(session, wanted, allow=allow, reason=reason, expected_version=seen, actor=actor, now=now()),
            done=done,
        )

    def _list(self, place: PageRequest, *, previews: bool = True) -> ListPage:
        chosen = request.args.get("tab", "held")
        _, states = _TABS.get(chosen, _TABS["held"])
        filters = [
            Filter("kind", N_("Kind"), "choice", {code: tag.label for code, tag in SUBJECTS.items()}),
            Filter("cause", N_("Why it is here"), "choice", CAUSES),
            Filter("sent", N_("Submitted at"), "date_range"),
        ]
        asked = read_filters(filters)
        since, until = asked.dates("sent")
        wanted = CheckFilter(states, asked.choice("kind"), asked.choice("cause"), None, since, until)
        with self.reading() as session:
            found = queries.listed(session, wanted, place)
            rows, counts = _rows(session, found.items), queries.counts(session)
        tabs = [(text, self.url_to("index", tab=name), name == chosen, counts.get(name)) for name, (text, _) in _TABS.items()]
        intro = N_("What WeChat could not vouch for is seen by its writer and staff only, until it is decided here.")
        table = _table(rows, previews=previews)
        return ListPage(N_("Content review"), table, filters, asked, found.next_cursor, tabs=tabs, intro=intro, export=True)


def label_words(label: int | None) -> str:
    """Return WeChat's reason in words, its number where we know none."""
    if label is None:
        return "–"
    return gettext(LABELS[label]) if label in LABELS else str(label)


def _rows(session: Session, checks: Sequence[CheckView]) -> list[CheckRow]:
    names = member_names(session, list({check.member_id for check in checks}))
    makers = maker_names(session, {check.decided_by for check in checks if check.decided_by})
    return [
        CheckRow(
            check,
            names[check.member_id],
            console_url("content.picture", check_id=check.id) if check.upload_id else None,
            gettext("WeChat") if check.decided_by == "wechat" else makers.get(check.decided_by or "", ""),
        )
        for check in checks
    ]


def _table(rows: Sequence[CheckRow], *, previews: bool) -> Table:
    return Table(
        [
            *([Column(N_("Preview"), "picture", "picture", icon="message-square-text")] if previews else []),
            Column(N_("Content"), "text", "link", href=lambda row: console_url("content.detail", check_id=row.check.id)),
            Column(N_("Kind"), "check.subject", "tag", tags=SUBJECTS),
            Column(N_("Member"), "member", "link", href=lambda row: console_url_or_none("members.detail", member_id=row.check.member_id)),
            Column(N_("Why it is here"), "why", second="label", second_label=N_("WeChat's reason")),
            Column(N_("State"), "check.state", "tag", tags=STATES),
            Column(N_("Submitted at"), "check.created_at", "minute"),
            Column(N_("Decided by"), "decided_by", second="check.reason", second_label=N_("Reason")),
        ],
        rows,
        _actions,
        empty=N_("Nothing waits for a review"),
        empty_hint=N_("What WeChat passes appears to others at once; what it doubts comes here."),
    )


def _actions(row: CheckRow) -> list[RowAction]:
    check = row.check
    if State(check.state) not in DECIDABLE:
        return []
    to = {"check_id": check.id, "version": check.version}
    return [
        RowAction(
            N_("Allow"), console_url("content.allow", **to), Permission.CONTENT_DECIDE, post=True,
            confirm=N_("It is shown to others from now on."),
        ),
        RowAction(
            N_("Refuse"), console_url("content.refuse", **to), Permission.CONTENT_DECIDE, post=True, reason=True, tone="danger",
            confirm=N_("It is hidden, and the member reads your reason: please be polite."),
        ),
    ]  # fmt: skip


VIEWS = [ContentView]
