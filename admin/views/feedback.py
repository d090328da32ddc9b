"""Console pages of the service desk: the queue, a ticket's page with its conversation, and what staff do to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect, request
from flask_babel import gettext
from sqlalchemy.orm import Session
from wtforms.validators import InputRequired, Length, Optional

from admin.base import ConsoleView, action, console_url, console_url_or_none, core, current_actor, form_page, may, message_of, now, page
from admin.export import export_list
from admin.feedback_labels import CATEGORIES, CHANNELS, CLOSE_REASONS, PRIORITIES, STATES, choices_of, labels_of
from admin.feedback_ticket import TicketPage, load
from admin.forms import L_, ConsoleForm, FormPage, FormSection, SelectField, StringField, TextAreaField
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from server.feedback import desk_queries, service
from server.feedback.desk_queries import QueueFilter
from server.feedback.errors import TicketInvalidError
from server.feedback.queries import TicketView
from server.feedback.rules import MAX_CONTENT_CHARS, MAX_UPLOADS, Channel, Priority
from server.files import service as files
from server.files.errors import UploadNotFoundError
from server.kernel.errors import DomainError
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.members import enrolment
from server.members import queries as members
from server.members.rules import normalised_phone
from server.staff import queries as staff
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from flask.typing import ResponseReturnValue

TABS = {
    "live": N_("Not closed"),
    "mine": N_("Mine"),
    "unanswered": N_("Unanswered"),
    "unassigned": N_("Unassigned"),
    "overdue": N_("Overdue"),
    "review": N_("To review"),
    "all": N_("All tickets"),
}
_PAGE_ROWS = 30


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A line of the queue."""

    ticket: TicketView
    member: str
    assignee: str
    overdue: bool


class TicketForm(ConsoleForm):
    """What a member told staff on the phone or in a shop."""

    phone = StringField(L_("Member's phone"), [Optional(), Length(max=24)], description=L_("A number nobody has yet makes a new member."))
    channel = SelectField(L_("Came in by"), choices=[])
    category = SelectField(L_("Category"), choices=[])
    priority = SelectField(L_("Priority"), choices=[], default=Priority.NORMAL.value)
    order_no = StringField(L_("Order number"), [Optional(), Length(max=40)])
    content = TextAreaField(L_("What it is about"), [InputRequired(), Length(max=MAX_CONTENT_CHARS)])


class ServiceDeskView(ConsoleView):
    """The service desk, at ``/admin/feedback/``."""

    slug = "tickets"
    title = N_("Service desk")
    group = "service"
    icon = "headset"
    order = 10
    permission = Permission.TICKETS_READ

    def __init__(self) -> None:
        super().__init__()
        self.url = "feedback"

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show the queue."""
        return self._list(PageRequest.of(_PAGE_ROWS, self.cursor)).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download what the list shows."""
        return export_list("tickets", self._list)

    def _list(self, place: PageRequest) -> ListPage:
        filters = [
            Filter("q", N_("Keyword"), placeholder=N_("Ticket number, order number or words")),
            Filter("state", N_("State"), "choice", labels_of(STATES)),
            Filter("category", N_("Category"), "choice", labels_of(CATEGORIES)),
            Filter("priority", N_("Priority"), "choice", labels_of(PRIORITIES)),
        ]
        asked = read_filters(filters)
        # A search looks at closed tickets too, unless a tab was chosen for it.
        usual = "overdue" if request.args.get("overdue") else ("all" if asked.any else "live")
        tab = request.args.get("tab", usual)
        tab = tab if tab in TABS else "live"
        actor, present = current_actor(), now()
        wanted = QueueFilter(
            assignee_id=actor.staff_id if tab == "mine" else None,
            unassigned=tab == "unassigned",
            overdue_at=present if tab == "overdue" else None,
            live=tab in {"live", "mine"},
            needs_review=tab == "review",
            unanswered=tab == "unanswered",
            state=asked.choice("state"),
            category=asked.choice("category"),
            priority=asked.choice("priority"),
            text=asked.text("q"),
        )
        with self.reading() as session:
            found = desk_queries.queue(session, wanted, place)
            counts = desk_queries.counts(session, actor.staff_id, present)
            rows = _rows(session, list(found.items), present)
        numbers = {
            "live": counts.live,
            "mine": counts.mine,
            "unassigned": counts.unassigned,
            "overdue": counts.overdue,
            "review": counts.needs_review,
            "unanswered": counts.unanswered,
        }
        tabs = [(label, self.url_to("index", tab=code), code == tab, numbers.get(code)) for code, label in TABS.items()]
        buttons = [
            RowAction(N_("New ticket"), self.url_to("create"), Permission.TICKETS_WORK, tone="primary", icon="plus"),
            RowAction(N_("Service figures"), self.console_page("service_figures.index"), Permission.TICKETS_READ, icon="chart-column"),
        ]
        return ListPage(N_("Service desk"), self._table(rows), filters, asked, found.next_cursor, buttons, tabs, export=True)

    @page("/<ticket_no>")
    def detail(self, ticket_no: str) -> ResponseReturnValue:
        """Show a ticket with its conversation."""
        return self._ticket(ticket_no)

    @form_page("/new", Permission.TICKETS_WORK)
    def create(self) -> ResponseReturnValue:
        """Note what a member told staff."""
        form, actor = TicketForm(), current_actor()
        form.channel.choices = choices_of(CHANNELS, leave_out={Channel.MINI_PROGRAM, Channel.PARTNER})
        form.category.choices = choices_of(CATEGORIES)
        form.priority.choices = choices_of(PRIORITIES)
        member = self.uuid(request.args["member_id"]) if request.args.get("member_id") else None

        def work(session: Session) -> TicketView:
            return service.open_ticket(
                session,
                member or _by_phone(session, form.phone.data or ""),
                category=form.category.data,
                priority=form.priority.data,
                channel=form.channel.data,
                content=form.content.data or "",
                order_no=form.order_no.data or None,
                actor=actor,
                now=now(),
            )

        done, ticket = self.submit(form, work)
        if done and ticket is not None:
            flash(gettext("The ticket is open."), "success")
            return redirect(self.url_to("detail", ticket_no=ticket.ticket_no))
        who = ["channel"] if member else ["phone", "channel"]
        sections = [
            FormSection(N_("Member"), [*who, "order_no"]),
            FormSection(N_("Ticket"), ["category", "priority", "content"]),
        ]
        return FormPage(N_("New ticket"), form, sections, submit=N_("Open ticket"), back=self.url_to("index")).render(self)

    @action("/<ticket_no>/reply", Permission.TICKETS_WORK)
    def reply(self, ticket_no: str) -> ResponseReturnValue:
        """Answer the member, or note something for colleagues; what was typed survives a refusal."""
        actor, present = current_actor(), now()
        content, internal = request.form.get("content", ""), request.form.get("internal") == "1"
        pictures = [(file.read(), file.mimetype or "") for file in request.files.getlist("photos") if file.filename]
        version = _version()

        def work(session: Session) -> TicketView:
            if len(pictures) > MAX_UPLOADS:
                raise TicketInvalidError(fields={"upload_ids": f"≤ {MAX_UPLOADS}"})
            uploads = [
                files.store_upload(
                    session, core().files, owner_member_id=None, purpose="reply", data=data, content_type=content_type, now=present
                ).id
                for data, content_type in pictures
            ]
            return service.reply(
                session, ticket_no, content, internal=internal, upload_ids=uploads, expected_version=version, actor=actor, now=present
            )

        try:
            core().db.run(work)
        except DomainError as error:
            flash(message_of(error), "danger")
            return self._ticket(ticket_no, draft=content, internal=internal), 409
        flash(gettext("The note is kept.") if internal else gettext("The answer is sent."), "success")
        return redirect(self.url_to("detail", ticket_no=ticket_no))

    @action("/<ticket_no>/start", Permission.TICKETS_WORK)
    def start(self, ticket_no: str) -> ResponseReturnValue:
        """Begin to work on a ticket."""
        actor, version = current_actor(), _version()
        return self.change(
            lambda session: service.start_work(session, ticket_no, expected_version=version, actor=actor, now=now()),
            done=N_("You are working on this ticket."),
            back=self.url_to("detail", ticket_no=ticket_no),
        )

    @action("/<ticket_no>/assign", Permission.TICKETS_WORK)
    def assign(self, ticket_no: str) -> ResponseReturnValue:
        """Give a ticket to somebody, or back to the queue."""
        actor, version = current_actor(), _version()
        chosen = request.form.get("staff_id", "")
        staff_id = self.uuid(chosen) if chosen else None
        return self.change(
            lambda session: service.assign(session, ticket_no, staff_id, expected_version=version, actor=actor, now=now()),
            done=N_("The ticket is assigned.") if staff_id else N_("The ticket is back in the queue."),
            back=self.url_to("detail", ticket_no=ticket_no),
        )

    @action("/<ticket_no>/classify", Permission.TICKETS_WORK)
    def classify(self, ticket_no: str) -> ResponseReturnValue:
        """Set category and priority."""
        actor, version = current_actor(), _version()
        category, priority = request.form.get("category"), request.form.get("priority")
        return self.change(
            lambda session: service.classify(
                session, ticket_no, category=category, priority=priority, expected_version=version, actor=actor, now=now()
            ),
            done=N_("Category and priority are set."),
            back=self.url_to("detail", ticket_no=ticket_no),
        )

    @action("/<ticket_no>/close", Permission.TICKETS_WORK)
    def close(self, ticket_no: str) -> ResponseReturnValue:
        """Close a ticket, with a reason."""
        actor, version = current_actor(), _version()
        why, comment = request.form.get("close_reason", ""), request.form.get("comment", "").strip()[:400] or None
        return self.change(
            lambda session: service.close(
                session, ticket_no, reason=why, comment=comment, expected_version=version, actor=actor, now=now()
            ),
            done=N_("The ticket is closed."),
            back=self.url_to("detail", ticket_no=ticket_no),
        )

    @action("/<ticket_no>/reopen", Permission.TICKETS_WORK)
    def reopen(self, ticket_no: str) -> ResponseReturnValue:
        """Take a closed or answered ticket up again."""
        actor, version = current_actor(), _version()
        return self.change(
            lambda session: service.reopen(session, ticket_no, expected_version=version, actor=actor, now=now()),
            done=N_("The ticket is open again."),
            back=self.url_to("detail", ticket_no=ticket_no),
        )

    def console_page(self, endpoint: str) -> str:
        """Return another page's address, or the queue's when that page is not installed."""
        return console_url_or_none(endpoint) or self.url_to("index")

    def _ticket(self, ticket_no: str, *, draft: str = "", internal: bool = False) -> str:
        with self.reading() as session:
            try:
                shown: TicketPage = load(session, ticket_no, secret_key=core().settings.secret_key, now=now())
            except (DomainError, UploadNotFoundError):
                abort(404)
        html: str = self.render(
            "console/ticket.html",
            shown=shown,
            draft=draft,
            internal=internal,
            can_work=may(Permission.TICKETS_WORK),
            me=current_actor().staff_id,
            states=STATES,
            priorities=PRIORITIES,
            categories=CATEGORIES,
            channels=CHANNELS,
            close_reasons=CLOSE_REASONS,
            may_review=console_url("content.index") if may(Permission.CONTENT_READ) else None,
            member_url=console_url_or_none("members.detail", member_id=shown.detail.ticket.member_id),
        )
        return html

    def _table(self, rows: list[QueueRow]) -> Table:
        return Table(
            columns=[
                Column(
                    N_("Ticket"),
                    "ticket.ticket_no",
                    "link",
                    href=lambda row: self.url_to("detail", ticket_no=row.ticket.ticket_no),
                    second=lambda row: row.ticket.excerpt,
                ),
                Column(
                    N_("Member"),
                    "member",
                    "link",
                    href=lambda row: console_url_or_none("members.detail", member_id=row.ticket.member_id),
                    second=lambda row: row.ticket.order_no,
                ),
                Column(N_("Category"), "ticket.category", "tag", tags=CATEGORIES),
                Column(N_("Priority"), "ticket.priority", "tag", tags=PRIORITIES),
                Column(N_("State"), "ticket.state", "tag", tags=STATES),
                Column(N_("Assigned to"), "assignee"),
                Column(
                    N_("Next due"),
                    "ticket.next_due_at",
                    "ago",
                    second=lambda row: gettext("Overdue") if row.overdue else None,
                    tip=N_("The earlier of first response and resolution; it stands still while the member has to speak."),
                ),
                Column(N_("Last change"), "ticket.updated_at", "ago"),
            ],
            rows=rows,
            actions=lambda row: [RowAction(N_("Handle"), self.url_to("detail", ticket_no=row.ticket.ticket_no))],
            empty=N_("No tickets here"),
            empty_hint=N_("What members send comes in here by itself."),
        )


def _rows(session: Session, tickets: list[TicketView], present: datetime) -> list[QueueRow]:
    people = members.names_of(session, list({ticket.member_id for ticket in tickets}))
    desk = staff.names(session, [ticket.assignee_id for ticket in tickets if ticket.assignee_id])
    return [
        QueueRow(
            ticket=ticket,
            member=people.get(ticket.member_id, gettext("Member without name")),
            assignee=desk.get(ticket.assignee_id, "") if ticket.assignee_id else "",
            overdue=ticket.next_due_at is not None and ticket.next_due_at < present,
        )
        for ticket in tickets
    ]


def _by_phone(session: Session, phone: str) -> UUID:
    if not phone:
        raise TicketInvalidError(fields={"phone": N_("Please enter the member's phone number.")})
    return enrolment.enrol_unclaimed(session, phone=normalised_phone(phone), external_ids=None, actor=current_actor(), now=now())


def _version() -> int | None:
    given: Any = request.form.get("version", "")
    return int(given) if given.isascii() and given.isdigit() else None


VIEWS = [ServiceDeskView]
