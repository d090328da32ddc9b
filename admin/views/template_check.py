"""Console page that compares our messages with the templates the account has at WeChat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect
from flask_babel import gettext

from admin.base import ConsoleView, action, console_url_or_none, core, current_actor, message_of, now, page
from admin.detail import DetailPage, Figure, Panel
from admin.formats import Tag
from admin.listing import Column, RowAction, Table
from server.kernel.errors import DomainError
from server.kernel.text import N_
from server.notifications import account_templates
from server.notifications.account_templates import FIELDS_DIFFER, FITS, LONG_TERM, MISSING, NOT_CHOSEN, Finding
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask.typing import ResponseReturnValue

    from server.wechat.gateway.templates import AccountTemplate

VERDICTS = {
    FITS: Tag(N_("Fits"), "green"),
    MISSING: Tag(N_("Not in the account"), "red"),
    FIELDS_DIFFER: Tag(N_("Fields differ"), "red"),
    NOT_CHOSEN: Tag(N_("No template chosen"), "grey"),
    LONG_TERM: Tag(N_("Long-term template"), "orange"),
}
_WRONG = frozenset({MISSING, FIELDS_DIFFER})


class TemplateCheckView(ConsoleView):
    """Which messages WeChat would refuse because the account's templates are not what was chosen."""

    slug = "template-check"
    title = N_("Template check")
    group = "reach"
    icon = "list-checks"
    order = 21
    permission = Permission.MESSAGES_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show the messages against the account, what is wrong first."""
        with self.reading() as session:
            found = account_templates.comparison(session)
        rows = sorted(found.findings, key=lambda one: (one.verdict not in _WRONG, one.verdict == FITS, one.code))
        wrong = sum(one.verdict in _WRONG for one in rows if one.enabled)
        known = found.seen_at is not None
        return DetailPage(
            title=self.title,
            subtitle=N_("Our messages against the templates in the WeChat account. It is looked up every morning."),
            buttons=[
                RowAction(N_("Look up now"), self.url_to("sync"), Permission.MESSAGES_EDIT, post=True, tone="primary", icon="refresh-cw"),
            ],
            notice="" if known else N_("The account was not looked up yet, or has no templates."),
            figures=[
                Figure(N_("WeChat would refuse"), wrong if known else None, tone="red" if wrong and known else ""),
                Figure(N_("Fits"), sum(one.verdict == FITS for one in rows) if known else None),
                Figure(N_("Not used by a message"), len(found.unused)),
                Figure(N_("Looked up"), found.seen_at, "minute"),
            ],
            panels=[
                Panel(N_("Messages"), table=_messages(rows if known else [])),
                Panel(N_("In the account and not used"), table=_unused(found.unused)),
            ],
        ).render(self)

    @action("/sync", Permission.MESSAGES_EDIT)
    def sync(self) -> ResponseReturnValue:
        """Look up the account's templates now."""
        actor = current_actor()
        try:
            found = core().wechat.account_templates()
            core().db.run(lambda session: account_templates.take_in(session, found, actor=actor, now=now()))
        except DomainError as error:
            flash(message_of(error), "danger")
        else:
            flash(gettext("The account has %(count)s templates.", count=len(found)), "success")
        return redirect(self.url_to("index"))


def _messages(rows: Sequence[Finding]) -> Table:
    return Table(
        [
            Column(
                N_("Message"), lambda row: gettext(row.label), "link",
                href=lambda row: console_url_or_none("message-templates.detail", code=row.code), second="code",
            ),
            Column(N_("Result"), "verdict", "tag", tags=VERDICTS),
            Column(N_("What is wrong"), _what),
            Column(N_("WeChat template"), "template_id", "code"),
        ],
        rows,
        lambda row: (
            [RowAction(N_("Choose template"), address, Permission.MESSAGES_EDIT)]
            if row.verdict != FITS and (address := console_url_or_none("message-templates.edit", code=row.code))
            else []
        ),
        empty=N_("Nothing to compare yet"),
    )  # fmt: skip


def _what(row: Finding) -> str | None:
    parts = []
    if row.absent:
        parts.append(gettext("The template has no field %(names)s.", names=", ".join(row.absent)))
    if row.unfit:
        parts.append(gettext("Of the wrong type: %(names)s.", names=", ".join(row.unfit)))
    if row.idle:
        parts.append(gettext("Left empty: %(names)s.", names=", ".join(row.idle)))
    return " ".join(parts) or None


def _unused(rows: Sequence[AccountTemplate]) -> Table:
    return Table(
        [
            Column(N_("Title"), "title", second="template_id"),
            Column(N_("Fields"), lambda row: " · ".join(f"{label} ({name})" for name, label in row.fields.items())),
        ],
        rows,
        empty=N_("Every template of the account is used"),
    )


VIEWS = [TemplateCheckView]
