"""The console page of four eyes: what waits for a second person, what oneself asked for, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from flask import request
from flask_babel import gettext

from admin.base import ConsoleView, action, console_url, console_url_or_none, current_actor, may, now, page
from admin.formats import Tag, points
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.words import member_names
from server.flows import adjustments, controls, opening
from server.flows import approvals as flow
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.staff import approvals
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from server.staff.approvals import ApprovalView

APPROVAL_STATES = {
    "pending": Tag(N_("Waits for a second person"), "orange"),
    "approved": Tag(N_("Approved"), "green"),
    "refused": Tag(N_("Refused"), "red"),
    "withdrawn": Tag(N_("Withdrawn"), "grey"),
    "expired": Tag(N_("Nobody decided in time"), "grey"),
}


def wanted_text(view: ApprovalView) -> str:
    """Return what a request asks for, in figures."""
    if view.kind == controls.KIND:
        return f"{view.payload['held']:,} → {view.payload['adjust_limit']:,}"
    return points(view.payload["points"]) if view.kind in {adjustments.KIND, opening.KIND} else ""


class ApprovalsView(ConsoleView):
    """Requests for a second person. Everybody sees their own; who may decide a kind sees all of it."""

    slug = "approvals"
    title = N_("Approvals")
    group = "workbench"
    icon = "user-check"
    order = 60
    permission = Permission.WORKBENCH_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List requests, newest first."""
        filters = [
            Filter("state", N_("State"), "choice", {code: tag.label for code, tag in APPROVAL_STATES.items()}),
        ]
        asked = read_filters(filters)
        actor = current_actor()
        with self.reading() as session:
            kinds, place = flow.decidable(actor), PageRequest.of(20, self.cursor)
            found = approvals.search(session, place, kinds=kinds, asked_by=actor, state=asked.choice("state"))
            about = [UUID(row.subject_id) for row in found.items if row.subject_type == "member"] if may(Permission.MEMBERS_READ) else []
            names = member_names(session, about)
        table = Table(
            columns=[
                Column(N_("Asked"), "asked_at", "minute"),
                Column(N_("What"), lambda row: flow.KINDS[row.kind].label if row.kind in flow.KINDS else row.kind, "tag", tags=_KINDS),
                Column(N_("How much"), wanted_text),
                Column(
                    N_("About"),
                    lambda row: _about(row, names),
                    "link",
                    href=_about_url,
                ),
                Column(N_("Reason"), "reason"),
                Column(N_("Asked by"), "asked_name"),
                Column(N_("State"), "state", "tag", tags=APPROVAL_STATES),
                Column(N_("Decided by"), "decided_name", second="decision_reason", second_label=N_("Reason of the decision")),
            ],
            rows=found.items,
            actions=self._actions,
            empty=N_("Nothing waits for a second person"),
            empty_hint=N_("What goes beyond a limit comes here; nobody decides what they asked for themselves."),
        )
        return ListPage(N_("Approvals"), table, filters, asked, found.next_cursor).render(self)

    def _actions(self, row: ApprovalView) -> list[RowAction]:
        entry_id = (row.outcome or {}).get("entry_id")
        if entry_id is not None:
            return [RowAction(N_("Details"), console_url("points.detail", entry_id=entry_id), Permission.POINTS_READ)]
        if row.state != "pending":
            return []
        if row.asked_ref == current_actor().ref:
            return [RowAction(N_("Withdraw"), self.url_to("withdraw", approval_id=row.id), post=True, confirm=N_("It is not done then."))]
        return [
            RowAction(
                N_("Approve"),
                self.url_to("approve", approval_id=row.id),
                Permission.POINTS_APPROVE,
                post=True,
                reason=True,
                confirm=N_("It is done at once, in both names."),
            ),
            RowAction(
                N_("Refuse"), self.url_to("refuse", approval_id=row.id), Permission.POINTS_APPROVE, post=True, reason=True, tone="danger"
            ),
        ]

    @action("/<approval_id>/approve", Permission.POINTS_APPROVE)
    def approve(self, approval_id: str) -> ResponseReturnValue:
        """Approve a request; what it asks is done in the same transaction."""
        wanted, actor, reason = self.uuid(approval_id), current_actor(), request.form.get("reason") or None
        return self.change(
            lambda session: flow.approve(session, wanted, reason=reason, actor=actor, now=now()), done=N_("It is approved and done.")
        )

    @action("/<approval_id>/refuse", Permission.POINTS_APPROVE)
    def refuse(self, approval_id: str) -> ResponseReturnValue:
        """Refuse a request."""
        wanted, actor, reason = self.uuid(approval_id), current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: flow.refuse(session, wanted, reason=reason, actor=actor, now=now()), done=N_("The request is refused.")
        )

    @action("/<approval_id>/withdraw", Permission.WORKBENCH_READ)
    def withdraw(self, approval_id: str) -> ResponseReturnValue:
        """Take one's own request back."""
        wanted, actor = self.uuid(approval_id), current_actor()
        return self.change(
            lambda session: approvals.withdraw(session, wanted, actor=actor, now=now()), done=N_("The request is withdrawn.")
        )


_KINDS = {kind.label: Tag(kind.label, "blue") for kind in flow.KINDS.values()}


def _about(row: ApprovalView, names: dict[UUID, str]) -> str:
    if row.subject_type == "member":
        return names.get(UUID(row.subject_id), "")
    return gettext("Controls of points") if row.kind == controls.KIND else str(row.payload.get("name", ""))


def _about_url(row: ApprovalView) -> str | None:
    if row.kind == controls.KIND and may(Permission.POINTS_RULES):
        return console_url("points-controls.index")
    if row.kind == opening.KIND and may(Permission.POINTS_RULES):
        return console_url("points-openings.detail", opening_id=row.subject_id)
    return console_url_or_none("members.detail", member_id=row.subject_id) if row.subject_type == "member" else None


VIEWS = [ApprovalsView]
