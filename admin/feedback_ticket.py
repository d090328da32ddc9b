"""What a ticket's page shows, gathered in one reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from flask_babel import gettext

from admin.base import console_url_or_none
from admin.feedback_labels import CLOSE_REASONS, DEADLINES, STATES
from admin.formats import tag_of, translated
from server.feedback import desk_queries, queries
from server.feedback.desk_queries import CannedReplyView, QueueFilter
from server.feedback.queries import MessageView, MoveView, TicketDetail, TicketView
from server.feedback.rules import DeadlineState, State, allowed_steps
from server.files import service as files
from server.kernel.pagination import PageRequest
from server.members import queries as members
from server.members.queries import MemberView
from server.orders import queries as orders
from server.points import queries as points
from server.staff import queries as staff
from server.staff.permissions import Permission
from server.staff.queries import StaffView
from server.tiers import queries as tiers

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_FEW = 4
_ADDRESS_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture of a message, by its signed address."""

    url: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Said:
    """One entry of the conversation: a message, or a move of the state."""

    at: datetime
    kind: str
    author: str
    content: str
    photos: Sequence[Photo] = ()
    review: str = ""


@dataclass(frozen=True, slots=True)
class ClockView:
    """One deadline of the present round: what, until when, and how it stands."""

    label: str
    due_at: datetime
    tone: str
    word: str
    running: bool


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One of the member's orders."""

    order_no: str
    placed_at: datetime
    payable_fen: int
    state: str
    url: str | None


@dataclass(frozen=True, slots=True)
class TicketPage:
    """Everything on the page."""

    detail: TicketDetail
    said: Sequence[Said]
    clocks: Sequence[ClockView]
    member: MemberView | None
    tier: str
    points_available: int
    orders: Sequence[OrderLine]
    order_url: str | None
    others: Sequence[TicketView]
    agents: Sequence[StaffView]
    assignee: str
    canned: Sequence[CannedReplyView]
    steps: frozenset[str]

    def filled(self, text: str) -> str:
        """Return a canned reply with the member's and the ticket's own words put in."""
        ticket = self.detail.ticket
        name = (self.member.nickname if self.member else None) or gettext("dear member")
        for place, value in (("{name}", name), ("{ticket_no}", ticket.ticket_no), ("{order_no}", ticket.order_no or "")):
            text = text.replace(place, value)
        return text


def load(session: Session, ticket_no: str, *, secret_key: str, now: datetime) -> TicketPage:
    """Gather a ticket's page.

    Raises:
        TicketNotFoundError: no such ticket.
    """
    detail = queries.detail(session, ticket_no)
    ticket = detail.ticket
    agents = staff.holders(session, Permission.TICKETS_WORK)
    found = desk_queries.queue(session, QueueFilter(member_id=ticket.member_id), PageRequest(limit=_FEW + 1))
    return TicketPage(
        detail=detail,
        said=_conversation(detail, secret_key, now),
        clocks=_clocks(detail, now),
        member=members.find(session, ticket.member_id),
        tier=tiers.of_member(session, ticket.member_id).name,
        points_available=points.balance(session, ticket.member_id, now=now).available,
        orders=_orders(session, ticket),
        order_url=_order_url(session, ticket.order_no),
        others=[other for other in found.items if other.id != ticket.id][:_FEW],
        agents=agents,
        assignee=_name(session, agents, ticket.assignee_id),
        canned=_canned(session, ticket.category),
        steps=frozenset(step.value for step in allowed_steps(State(ticket.state))),
    )


def _name(session: Session, agents: Sequence[StaffView], staff_id: UUID | None) -> str:
    if staff_id is None:
        return ""
    known = next((agent.name for agent in agents if agent.id == staff_id), None)
    return known or staff.names(session, [staff_id]).get(staff_id, "")


def _canned(session: Session, category: str) -> list[CannedReplyView]:
    """Return the canned replies, those of the ticket's own category first."""
    return sorted(desk_queries.canned_replies(session), key=lambda reply: (reply.category != category, reply.title))


def _orders(session: Session, ticket: TicketView) -> list[OrderLine]:
    found = orders.of_member(session, ticket.member_id, None, PageRequest(limit=_FEW))
    return [
        OrderLine(
            order.order_no,
            order.placed_at,
            order.payable_fen,
            order.state,
            console_url_or_none("orders.detail", order_id=order.id),
        )
        for order in found.items
    ]


def _order_url(session: Session, order_no: str | None) -> str | None:
    order = orders.by_no(session, order_no) if order_no else None
    return console_url_or_none("orders.detail", order_id=order.id) if order else None


def _conversation(detail: TicketDetail, secret_key: str, now: datetime) -> list[Said]:
    entries = []
    for message in detail.messages:
        photos = [
            Photo(files.signed_address(one.id, secret_key=secret_key, now=now, ttl_seconds=_ADDRESS_SECONDS), one.width, one.height)
            for one in message.uploads
        ]
        kind = "note" if message.internal else ("member" if message.author_kind in {"member", "partner"} else "staff")
        author = message.author_name or (gettext("Member") if message.author_kind == "member" else gettext("System"))
        entries.append(Said(message.created_at, kind, author, message.content, photos, _review(message)))
    entries += [Said(move.occurred_at, "move", _by(move), _moved(move)) for move in detail.moves]
    entries += [
        Said(
            rating.rated_at,
            "rating",
            gettext("Member"),
            "★" * rating.score + "☆" * (5 - rating.score) + (f"  {rating.comment}" if rating.comment else ""),
        )
        for rating in detail.ratings
    ]
    return sorted(entries, key=lambda entry: entry.at)


def _review(message: MessageView) -> str:
    """Return what the content review says of a message, in words; empty where it says nothing."""
    found = [
        gettext("Hidden by the content review") if message.hidden else "",
        gettext("Waits for the content review") if message.check in {"waiting", "held"} else "",
        gettext("%(count)d pictures hidden by the content review", count=message.hidden_uploads) if message.hidden_uploads else "",
    ]
    return " · ".join(filter(None, found))


def _by(move: MoveView) -> str:
    return move.actor_name or {"member": gettext("Member"), "system": gettext("System")}.get(move.actor_kind, move.actor_kind)


def _moved(move: MoveView) -> str:
    text = translated(tag_of(move.to_state, STATES).label)
    if move.reason:
        code, _, comment = move.reason.partition(": ")
        reason = translated(tag_of(code, CLOSE_REASONS).label)
        text = f"{text} · {reason}" + (f" · {comment}" if comment else "")
    return text


def _clocks(detail: TicketDetail, now: datetime) -> list[ClockView]:
    words = {
        DeadlineState.MET: (gettext("kept"), "green"),
        DeadlineState.BREACHED: (gettext("missed"), "red"),
        DeadlineState.PAUSED: (gettext("waits for the member"), "grey"),
        DeadlineState.CANCELLED: (gettext("not needed any more"), "grey"),
    }
    shown = []
    for deadline in detail.deadlines:
        if deadline.round != detail.ticket.round:
            continue
        state = DeadlineState(deadline.state)
        running = state is DeadlineState.OPEN
        late = running and deadline.due_at < now
        word, tone = (gettext("overdue") if late else "", "red" if late else "orange") if running else words[state]
        shown.append(ClockView(DEADLINES[deadline.kind].label, deadline.due_at, tone, word, running))
    return shown
