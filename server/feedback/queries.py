"""Reads of tickets: a member's own, and one whole ticket for its member or for staff."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.feedback.errors import TicketNotFoundError
from server.feedback.models import DeskSetting, Ticket, TicketAttachment, TicketDeadline, TicketMessage, TicketRating, TicketTransition
from server.feedback.rules import RATEABLE, DeskSettings, ProgressStep, State, progress_of, settings_from
from server.files import queries as files
from server.files.queries import UploadView
from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.screening import queries as screening
from server.screening.rules import HIDDEN, Subject

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class TicketView:
    """A ticket without its messages."""

    id: UUID
    ticket_no: str
    member_id: UUID
    channel: str
    category: str
    priority: str
    state: str
    version: int
    round: int
    order_no: str | None
    assignee_id: UUID | None
    excerpt: str
    needs_review: bool
    close_reason: str | None
    next_due_at: datetime | None
    opened_at: datetime
    updated_at: datetime
    answered_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message and its pictures. ``author_name`` is for staff; members see only the kind.

    ``check`` is how its content check stands, None when it passed at once; a refused one is ``hidden`` and has no content.
    """

    id: UUID
    author_kind: str
    author_id: UUID | None
    author_name: str | None
    internal: bool
    content: str
    created_at: datetime
    uploads: Sequence[UploadView]
    check: str | None = None
    hidden: bool = False
    hidden_uploads: int = 0


@dataclass(frozen=True, slots=True)
class RatingView:
    """What the member thought of one round."""

    round: int
    score: int
    comment: str | None
    rated_at: datetime


@dataclass(frozen=True, slots=True)
class MoveView:
    """One move of the state, for the trail on the ticket's page."""

    from_state: str | None
    to_state: str
    actor_kind: str
    actor_name: str | None
    reason: str | None
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class DeadlineView:
    """One deadline of one round."""

    kind: str
    round: int
    state: str
    started_at: datetime
    due_at: datetime
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class TicketDetail:
    """A whole ticket. ``rating`` is that of the present round."""

    ticket: TicketView
    messages: Sequence[MessageView]
    progress: Sequence[ProgressStep]
    rating: RatingView | None
    ratings: Sequence[RatingView]
    moves: Sequence[MoveView]
    deadlines: Sequence[DeadlineView]
    can_reopen_until: datetime | None
    can_rate: bool


TICKET_COLUMNS = tuple(getattr(Ticket, name) for name in TicketView.__dataclass_fields__)


def settings(session: Session) -> DeskSettings:
    """Return what the brand decided for its service desk."""
    return settings_from(stored_settings(session))


def stored_settings(session: Session) -> dict[str, int]:
    """Return the settings that differ from the defaults, by name."""
    return {row.name: int(row.number) for row in session.execute(sa.select(DeskSetting.name, DeskSetting.number))}


def of_member(session: Session, member_id: UUID, page: PageRequest) -> Page[TicketView]:
    """Return a member's tickets, newest first."""
    statement = keyset(sa.select(*TICKET_COLUMNS).where(Ticket.member_id == member_id), Ticket.opened_at, Ticket.id, page)
    rows = [TicketView(*row) for row in session.execute(statement)]
    return page_of(rows, page, lambda ticket: (ticket.opened_at, ticket.id))


def find(session: Session, ticket_no: str, *, member_id: UUID | None = None) -> TicketView:
    """Return a ticket without its messages.

    Arguments:
        session: reading is enough.
        ticket_no: its number.
        member_id: whose it must be; None for staff.

    Raises:
        TicketNotFoundError: no such ticket, or somebody else's.
    """
    statement = sa.select(*TICKET_COLUMNS).where(Ticket.ticket_no == ticket_no)
    if member_id is not None:
        statement = statement.where(Ticket.member_id == member_id)
    row = session.execute(statement).one_or_none()
    if row is None:
        raise TicketNotFoundError
    return TicketView(*row)


def find_by_id(session: Session, ticket_id: UUID) -> TicketView | None:
    """Return a ticket by its key, as events name it, or None."""
    row = session.execute(sa.select(*TICKET_COLUMNS).where(Ticket.id == ticket_id)).one_or_none()
    return TicketView(*row) if row is not None else None


def detail(session: Session, ticket_no: str, *, member_id: UUID | None = None) -> TicketDetail:
    """Return a whole ticket.

    Arguments:
        session: reading is enough.
        ticket_no: its number.
        member_id: whose it must be, and then without what staff wrote among themselves; None for staff, who see everything.

    Raises:
        TicketNotFoundError: no such ticket, or somebody else's.
    """
    ticket = find(session, ticket_no, member_id=member_id)
    moves = _moves(session, ticket.id)
    ratings = _ratings(session, ticket.id)
    rating = next((given for given in ratings if given.round == ticket.round), None)
    return TicketDetail(
        ticket=ticket,
        messages=_messages(session, ticket.id, internal_too=member_id is None),
        progress=progress_of(State(ticket.state), [(State(move.to_state), move.occurred_at) for move in moves]),
        rating=rating,
        ratings=ratings,
        moves=moves,
        deadlines=_deadlines(session, ticket.id),
        can_reopen_until=_reopen_until(session, ticket),
        can_rate=rating is None and State(ticket.state) in RATEABLE,
    )


def _reopen_until(session: Session, ticket: TicketView) -> datetime | None:
    if ticket.closed_at is None:
        return None
    return ticket.closed_at + timedelta(days=settings(session).reopen_window_days)


def _moves(session: Session, ticket_id: UUID) -> list[MoveView]:
    columns = tuple(getattr(TicketTransition, name) for name in MoveView.__dataclass_fields__)
    statement = sa.select(*columns).where(TicketTransition.ticket_id == ticket_id).order_by(TicketTransition.version)
    return [MoveView(*row) for row in session.execute(statement)]


def _deadlines(session: Session, ticket_id: UUID) -> list[DeadlineView]:
    columns = tuple(getattr(TicketDeadline, name) for name in DeadlineView.__dataclass_fields__)
    statement = sa.select(*columns).where(TicketDeadline.ticket_id == ticket_id).order_by(TicketDeadline.round, TicketDeadline.due_at)
    return [DeadlineView(*row) for row in session.execute(statement)]


def _messages(session: Session, ticket_id: UUID, *, internal_too: bool) -> list[MessageView]:
    statement = sa.select(
        TicketMessage.id,
        TicketMessage.author_kind,
        TicketMessage.author_id,
        TicketMessage.author_name,
        TicketMessage.internal,
        TicketMessage.content,
        TicketMessage.created_at,
    ).where(TicketMessage.ticket_id == ticket_id)
    if not internal_too:
        statement = statement.where(TicketMessage.internal.is_(False))
    rows = session.execute(statement.order_by(TicketMessage.created_at, TicketMessage.id)).all()
    uploads = _uploads_of(session, [row.id for row in rows])
    pictures = [upload.id for found in uploads.values() for upload in found]
    checks = screening.states_of(session, Subject.TICKET_MESSAGE, [row.id for row in rows])
    hidden = screening.hidden_uploads(session, pictures)
    return [_message(row, checks.get(row.id), uploads.get(row.id, []), hidden) for row in rows]


def _message(row: Any, check: str | None, uploads: Sequence[UploadView], hidden: set[UUID]) -> MessageView:
    refused = check in HIDDEN
    shown = [upload for upload in uploads if upload.id not in hidden]
    return MessageView(
        row.id,
        row.author_kind,
        row.author_id,
        row.author_name,
        row.internal,
        "" if refused else row.content,
        row.created_at,
        shown,
        check,
        refused,
        len(uploads) - len(shown),
    )


def _ratings(session: Session, ticket_id: UUID) -> list[RatingView]:
    rows = session.execute(
        sa.select(TicketRating.id, TicketRating.round, TicketRating.score, TicketRating.comment, TicketRating.rated_at)
        .where(TicketRating.ticket_id == ticket_id)
        .order_by(TicketRating.round)
    ).all()
    checks = screening.states_of(session, Subject.TICKET_RATING, [row.id for row in rows])
    return [RatingView(row.round, row.score, None if checks.get(row.id) in HIDDEN else row.comment, row.rated_at) for row in rows]


def _uploads_of(session: Session, message_ids: Sequence[UUID]) -> dict[UUID, list[UploadView]]:
    if not message_ids:
        return {}
    attachments = session.execute(
        sa.select(TicketAttachment.message_id, TicketAttachment.upload_id)
        .where(TicketAttachment.message_id.in_(list(message_ids)))
        .order_by(TicketAttachment.message_id, TicketAttachment.place)
    ).all()
    views = files.views(session, [row.upload_id for row in attachments])
    found: dict[UUID, list[UploadView]] = {}
    for row in attachments:
        if row.upload_id in views:
            found.setdefault(row.message_id, []).append(views[row.upload_id])
    return found
