"""The deadlines of a ticket: started by a round, paused while the member has to speak, met or breached.

Called by ``service`` with the ticket's row locked; keeps ``tickets.next_due_at`` at the earliest open deadline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.feedback import queries
from server.feedback.models import Ticket, TicketDeadline
from server.feedback.rules import DeadlineKind, DeadlineState, Priority, due_at
from server.kernel.db import update_where
from server.kernel.ids import uuid7

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

_RUNNING = (DeadlineState.OPEN.value, DeadlineState.PAUSED.value)


def start_round(session: Session, ticket_id: UUID, round_no: int, priority: Priority, *, now: datetime) -> None:
    """Begin a round's two deadlines; what still runs from an earlier round is cancelled."""
    for deadline in _running(session, ticket_id):
        _set(session, deadline.id, state=DeadlineState.CANCELLED.value, paused_at=None, done_at=now)
    settings = queries.settings(session)
    rows = [
        {
            "id": uuid7(),
            "ticket_id": ticket_id,
            "kind": kind.value,
            "round": round_no,
            "state": DeadlineState.OPEN.value,
            "started_at": now,
            "due_at": due_at(now, settings.hours(kind, priority), 0),
            "paused_at": None,
            "paused_seconds": 0,
            "done_at": None,
        }
        for kind in DeadlineKind
    ]
    session.execute(sa.insert(TicketDeadline), rows)
    _note_next(session, ticket_id)


def answered(session: Session, ticket_id: UUID, *, now: datetime) -> None:
    """Staff answered: the first response is done, the resolution waits for the member."""
    for deadline in _running(session, ticket_id):
        if deadline.state != DeadlineState.OPEN.value:
            continue
        if deadline.kind == DeadlineKind.FIRST_RESPONSE.value:
            _finish(session, deadline, now)
        else:
            _set(session, deadline.id, state=DeadlineState.PAUSED.value, paused_at=now)
    _note_next(session, ticket_id)


def resume(session: Session, ticket_id: UUID, *, now: datetime) -> None:
    """It is staff's turn again: a paused deadline goes on, later by the time it was paused."""
    for deadline in _running(session, ticket_id):
        if deadline.state == DeadlineState.PAUSED.value:
            waited = now - deadline.paused_at
            _set(
                session,
                deadline.id,
                state=DeadlineState.OPEN.value,
                paused_at=None,
                paused_seconds=deadline.paused_seconds + int(waited.total_seconds()),
                due_at=deadline.due_at + waited,
            )
    _note_next(session, ticket_id)


def closed(session: Session, ticket_id: UUID, *, now: datetime) -> None:
    """The ticket is closed: the resolution is done; a first response that never came is cancelled."""
    for deadline in _running(session, ticket_id):
        if deadline.kind == DeadlineKind.FIRST_RESPONSE.value:
            _set(session, deadline.id, state=DeadlineState.CANCELLED.value, paused_at=None, done_at=now)
        else:
            # A deadline that was waiting for the member is measured by when it began to wait.
            _finish(session, deadline, now, measured_at=deadline.paused_at or now)
    _note_next(session, ticket_id)


def reprioritise(session: Session, ticket_id: UUID, priority: Priority) -> None:
    """Move what still runs to the hours of another priority."""
    settings = queries.settings(session)
    for deadline in _running(session, ticket_id):
        allowed = settings.hours(DeadlineKind(deadline.kind), priority)
        _set(session, deadline.id, due_at=due_at(deadline.started_at, allowed, deadline.paused_seconds))
    _note_next(session, ticket_id)


def _running(session: Session, ticket_id: UUID) -> list[Any]:
    columns = (
        TicketDeadline.id,
        TicketDeadline.kind,
        TicketDeadline.state,
        TicketDeadline.started_at,
        TicketDeadline.due_at,
        TicketDeadline.paused_at,
        TicketDeadline.paused_seconds,
    )
    return list(session.execute(sa.select(*columns).where(TicketDeadline.ticket_id == ticket_id, TicketDeadline.state.in_(_RUNNING))))


def _finish(session: Session, deadline: Any, now: datetime, *, measured_at: datetime | None = None) -> None:
    late = (measured_at or now) > deadline.due_at
    state = DeadlineState.BREACHED if late else DeadlineState.MET
    _set(session, deadline.id, state=state.value, paused_at=None, done_at=now)


def _set(session: Session, deadline_id: UUID, **values: Any) -> None:
    update_where(session, sa.update(TicketDeadline).where(TicketDeadline.id == deadline_id).values(**values))


def _note_next(session: Session, ticket_id: UUID) -> None:
    earliest = session.scalar(
        sa.select(sa.func.min(TicketDeadline.due_at)).where(
            TicketDeadline.ticket_id == ticket_id, TicketDeadline.state == DeadlineState.OPEN.value
        )
    )
    update_where(session, sa.update(Ticket).where(Ticket.id == ticket_id).values(next_due_at=earliest))
