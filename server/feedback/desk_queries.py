"""Reads of the service desk: the queue and its counts, what is overdue, canned replies, small figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.feedback.errors import CannedReplyNotFoundError
from server.feedback.models import CannedReply, Ticket, TicketDeadline, TicketRating
from server.feedback.queries import TICKET_COLUMNS, TicketView
from server.feedback.rules import LIVE_STATES, WAITING_FOR_STAFF, DeadlineState
from server.kernel.pagination import Page, PageRequest, keyset, page_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_LIVE = [state.value for state in LIVE_STATES]
_WAITING = [state.value for state in WAITING_FOR_STAFF]
_LONGEST_SEARCH = 60


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which tickets of the queue.

    Arguments:
        assignee_id: of this member of staff only.
        unassigned: nobody's only.
        overdue_at: with a deadline before this instant only.
        live: not closed only.
        needs_review: whose text a person should look at only.
        unanswered: that wait for an answer of staff only.
        state: in this state only.
        category: of this category only.
        priority: of this priority only.
        member_id: of this member only.
        text: a ticket or order number, or words from its beginning.
    """

    assignee_id: UUID | None = None
    unassigned: bool = False
    overdue_at: datetime | None = None
    live: bool = False
    needs_review: bool = False
    unanswered: bool = False
    state: str | None = None
    category: str | None = None
    priority: str | None = None
    member_id: UUID | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """What stands on the tabs of the desk."""

    mine: int
    unassigned: int
    overdue: int
    live: int
    needs_review: int
    unanswered: int


@dataclass(frozen=True, slots=True)
class CannedReplyView:
    """A text that staff send often."""

    id: UUID
    title: str
    category: str | None
    content: str
    active: bool
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DeskFigures:
    """Figures of a period.

    Arguments:
        opened_by_category: category → tickets opened.
        breached: deadlines missed.
        kept: deadlines kept.
        ratings: score → how many.
    """

    opened_by_category: dict[str, int]
    breached: int
    kept: int
    ratings: dict[int, int]

    @property
    def average_score(self) -> float | None:
        """Return the mean rating, or None when nobody rated."""
        count = sum(self.ratings.values())
        return sum(score * times for score, times in self.ratings.items()) / count if count else None


def queue(session: Session, wanted: QueueFilter, page: PageRequest) -> Page[TicketView]:
    """Return one page of the queue, latest change first."""
    statement = keyset(sa.select(*TICKET_COLUMNS).where(*_conditions(wanted)), Ticket.updated_at, Ticket.id, page)
    rows = [TicketView(*row) for row in session.execute(statement)]
    return page_of(rows, page, lambda ticket: (ticket.updated_at, ticket.id))


def overdue(session: Session, now: datetime, *, limit: int = 100) -> list[TicketView]:
    """Return the tickets with a deadline that has passed, the longest overdue first."""
    statement = sa.select(*TICKET_COLUMNS).where(Ticket.next_due_at < now).order_by(Ticket.next_due_at, Ticket.id).limit(limit)
    return [TicketView(*row) for row in session.execute(statement)]


def count_overdue(session: Session, now: datetime) -> int:
    """Return how many tickets have a deadline that has passed."""
    return int(session.scalar(sa.select(sa.func.count()).select_from(Ticket).where(Ticket.next_due_at < now)) or 0)


def counts(session: Session, staff_id: UUID | None, now: datetime) -> QueueCounts:
    """Return the numbers on the desk's tabs, in one statement over the tickets that are not closed."""

    def how_many(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)

    mine = Ticket.assignee_id == staff_id if staff_id is not None else sa.false()
    row = session.execute(
        sa.select(
            how_many(mine),
            how_many(sa.and_(Ticket.assignee_id.is_(None), Ticket.state.in_(_WAITING))),
            how_many(Ticket.next_due_at < now),
            sa.func.count(),
            how_many(Ticket.needs_review.is_(True)),
            how_many(Ticket.state.in_(_WAITING)),
        ).where(Ticket.state.in_(_LIVE))
    ).one()
    return QueueCounts(*(int(number) for number in row))


def figures(session: Session, since: datetime, until: datetime) -> DeskFigures:
    """Return the desk's figures of a period, both ends as instants, the end not included."""
    opened = session.execute(
        sa.select(Ticket.category, sa.func.count()).where(Ticket.opened_at >= since, Ticket.opened_at < until).group_by(Ticket.category)
    ).all()
    ended = session.execute(
        sa.select(TicketDeadline.state, sa.func.count())
        .where(TicketDeadline.done_at >= since, TicketDeadline.done_at < until)
        .group_by(TicketDeadline.state)
    ).all()
    rated = session.execute(
        sa.select(TicketRating.score, sa.func.count())
        .where(TicketRating.rated_at >= since, TicketRating.rated_at < until)
        .group_by(TicketRating.score)
    ).all()
    by_state = {str(state): int(number) for state, number in ended}
    return DeskFigures(
        opened_by_category={str(category): int(number) for category, number in opened},
        breached=by_state.get(DeadlineState.BREACHED.value, 0),
        kept=by_state.get(DeadlineState.MET.value, 0),
        ratings={int(score): int(number) for score, number in rated},
    )


def canned_replies(session: Session, *, active_only: bool = True) -> list[CannedReplyView]:
    """Return the canned replies by title."""
    statement = _canned().order_by(CannedReply.title)
    if active_only:
        statement = statement.where(CannedReply.active.is_(True))
    return [CannedReplyView(*row) for row in session.execute(statement)]


def canned_reply(session: Session, reply_id: UUID) -> CannedReplyView:
    """Return one canned reply.

    Raises:
        CannedReplyNotFoundError: there is none of that key.
    """
    row = session.execute(_canned().where(CannedReply.id == reply_id)).one_or_none()
    if row is None:
        raise CannedReplyNotFoundError
    return CannedReplyView(*row)


def _canned() -> sa.Select[UUID, str, str | None, str, bool, datetime]:
    return sa.select(
        CannedReply.id, CannedReply.title, CannedReply.category, CannedReply.content, CannedReply.active, CannedReply.updated_at
    )


def _conditions(wanted: QueueFilter) -> Sequence[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.live:
        conditions.append(Ticket.state.in_(_LIVE))
    if wanted.unassigned:
        conditions += [Ticket.assignee_id.is_(None), Ticket.state.in_(_WAITING)]
    if wanted.unanswered:
        conditions.append(Ticket.state.in_(_WAITING))
    if wanted.overdue_at is not None:
        conditions.append(Ticket.next_due_at < wanted.overdue_at)
    if wanted.needs_review:
        conditions.append(Ticket.needs_review.is_(True))
    for column, value in (
        (Ticket.assignee_id, wanted.assignee_id),
        (Ticket.state, wanted.state),
        (Ticket.category, wanted.category),
        (Ticket.priority, wanted.priority),
        (Ticket.member_id, wanted.member_id),
    ):
        if value is not None:
            conditions.append(column == value)
    text = (wanted.text or "").strip()[:_LONGEST_SEARCH]
    if text:
        conditions.append(sa.or_(Ticket.ticket_no == text.upper(), Ticket.order_no == text, Ticket.excerpt.contains(text, autoescape=True)))
    return conditions
