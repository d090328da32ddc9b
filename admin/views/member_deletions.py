"""Console page of deletions: who wants to leave, until when that can be taken back, and by when it must be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request
from flask_babel import gettext

from admin.base import ConsoleView, action, console_url, core, current_actor, now, page
from admin.formats import Tag
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from server.kernel.clock import business_date
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.members import deletion, deletion_queries, queries
from server.members.deletion_queries import DeletionView
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from datetime import date

    from flask.typing import ResponseReturnValue

STATES = {
    "waiting": Tag(N_("Can be taken back"), "orange"),
    "held": Tag(N_("Waits for orders"), "blue"),
    "overdue": Tag(N_("Past its last day"), "red"),
    "erased": Tag(N_("Erased"), "green"),
    "done": Tag(N_("Erased"), "green"),
    "cancelled": Tag(N_("Taken back"), "grey"),
}
_FILTERED = {"waiting": N_("Waiting"), "done": N_("Erased"), "cancelled": N_("Taken back")}
CHANNELS = {"member": Tag(N_("The member"), "green"), "staff": Tag(N_("Staff"), "orange"), "system": Tag(N_("WeChat"), "blue")}


class MemberDeletionsView(ConsoleView):
    """Deletions of memberships; reached from the members' tabs and from a member's page."""

    slug = "member_deletions"
    title = N_("Deletions")
    permission = Permission.MEMBERS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List who wants to leave and who has left."""
        filters = [Filter("state", N_("State"), "choice", _FILTERED)]
        asked = read_filters(filters)
        today = business_date(now(), core().settings.zone)
        with self.reading() as session:
            found = deletion_queries.deletions(session, asked.choice("state"), PageRequest.of(20, self.cursor))
            names = queries.names_of(session, [view.member_id for view in found.items])
        table = Table(
            columns=[
                Column(
                    N_("Member"),
                    lambda row: names.get(row.member_id) or gettext("No nickname"),
                    "link",
                    href=lambda row: console_url("members.detail", member_id=row.member_id),
                ),
                Column(N_("State"), lambda row: state_of(row, today), "tag", tags=STATES),
                Column(N_("Asked for by"), "channel", "tag", tags=CHANNELS),
                Column(N_("Asked on"), "requested_at", "minute"),
                Column(N_("Can be taken back until"), "due_at", "minute"),
                Column(N_("To be done by"), "deadline_on", "date"),
                Column(N_("Erased on"), "erased_at", "minute"),
                Column(N_("Reason"), lambda row: gettext(row.reason) if row.channel == "system" and row.reason else row.reason),
            ],
            rows=found.items,
            actions=self._actions,
            empty=N_("Nobody wants to leave"),
            empty_hint=N_("Members ask for it in the mini program; staff can ask on their behalf on the member's page."),
        )
        tabs = [
            (N_("Members"), console_url("members.index"), False, None),
            (N_("Change requests"), console_url("members.changes"), False, None),
            (N_("Deletions"), self.url_to("index"), True, None),
            (N_("Old cards"), console_url("legacy-cards.index"), False, None),
        ]
        return ListPage(N_("Deletions"), table, filters, asked, found.next_cursor, tabs=tabs).render(self)

    def _actions(self, row: DeletionView) -> list[RowAction]:
        if row.state != "waiting":
            return []
        confirm = N_("Only when the member asks for it: the membership goes on as before.")
        back = self.url_to("take_back", member_id=row.member_id)
        return [RowAction(N_("Take back"), back, Permission.MEMBERS_EDIT, post=True, reason=True, confirm=confirm)]

    @action("/<member_id>/ask", Permission.MEMBERS_EDIT)
    def ask(self, member_id: str) -> ResponseReturnValue:
        """Ask for a deletion on behalf of a member."""
        wanted, actor, reason = self.uuid(member_id), current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: deletion.request_deletion(session, wanted, reason=reason, actor=actor, now=now()),
            done=N_("The deletion is noted. It can be taken back for a week."),
            back=console_url("members.detail", member_id=wanted),
        )

    @action("/<member_id>/take-back", Permission.MEMBERS_EDIT)
    def take_back(self, member_id: str) -> ResponseReturnValue:
        """Take a deletion back for a member."""
        wanted, actor, reason = self.uuid(member_id), current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: deletion.cancel_deletion(session, wanted, reason=reason, actor=actor, now=now()),
            done=N_("The deletion is taken back."),
            back=console_url("members.detail", member_id=wanted),
        )


def state_of(row: DeletionView, today: date) -> str:
    """Return the word for how far a deletion has come, lateness before anything else."""
    if row.state != "waiting":
        return row.state
    if row.deadline_on < today:
        return "overdue"
    return "held" if row.held_by else "waiting"


VIEWS = [MemberDeletionsView]
