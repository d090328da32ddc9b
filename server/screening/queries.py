"""Reads of content checks: how a subject stands, and the list for those who decide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.screening.errors import CheckNotFoundError
from server.screening.models import ContentCheck
from server.screening.rules import HIDDEN, IMAGES, OPEN, State, Subject

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class CheckView:
    """A check as those who decide see it."""

    id: UUID
    subject: str
    subject_id: UUID
    kind: str
    member_id: UUID
    content: str | None
    upload_id: UUID | None
    state: str
    version: int
    cause: str | None
    label: int | None
    asks: int
    tries: int
    next_at: datetime | None
    created_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class CheckFilter:
    """What the list is narrowed to; None and empty for no matter."""

    states: Sequence[str] = ()
    subject: str | None = None
    cause: str | None = None
    member_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


COLUMNS = tuple(getattr(ContentCheck, name) for name in CheckView.__dataclass_fields__)
_HIDDEN = tuple(sorted(HIDDEN))


def find(session: Session, check_id: UUID) -> CheckView:
    """Return one check.

    Raises:
        CheckNotFoundError: there is none.
    """
    row = session.execute(sa.select(*COLUMNS).where(ContentCheck.id == check_id)).one_or_none()
    if row is None:
        raise CheckNotFoundError
    return CheckView(*row)


def listed(session: Session, wanted: CheckFilter, page: PageRequest) -> Page[CheckView]:
    """Return one page of checks, newest first."""
    statement = sa.select(*COLUMNS)
    if wanted.states:
        statement = statement.where(ContentCheck.state.in_(list(wanted.states)))
    if wanted.subject:
        statement = statement.where(ContentCheck.subject == wanted.subject)
    if wanted.cause:
        statement = statement.where(ContentCheck.cause == wanted.cause)
    if wanted.member_id:
        statement = statement.where(ContentCheck.member_id == wanted.member_id)
    if wanted.since:
        statement = statement.where(ContentCheck.created_at >= wanted.since)
    if wanted.until:
        statement = statement.where(ContentCheck.created_at < wanted.until)
    found = session.execute(keyset(statement, ContentCheck.created_at, ContentCheck.id, page))
    return page_of([CheckView(*row) for row in found], page, lambda view: (view.created_at, view.id))


def counts(session: Session) -> dict[str, int]:
    """Return how many checks stand in each state in which somebody may still decide."""
    states = [State.WAITING.value, State.HELD.value, State.BLOCKED.value]
    rows = session.execute(
        sa.select(ContentCheck.state, sa.func.count()).where(ContentCheck.state.in_(states)).group_by(ContentCheck.state)
    )
    return dict.fromkeys(states, 0) | {state: int(count) for state, count in rows}


def states_of(session: Session, subject: Subject, ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return how some subjects stand by their newest check; one that passed at once has none, and is left out.

    Arguments:
        session: reading is enough.
        subject: what they are.
        ids: which.
    """
    wanted = list(ids)
    if not wanted:
        return {}
    statement = (
        sa.select(ContentCheck.subject_id, ContentCheck.state)
        .where(ContentCheck.subject_id.in_(wanted), ContentCheck.subject == subject.value, ContentCheck.state != State.DROPPED.value)
        .order_by(ContentCheck.created_at, ContentCheck.id)
    )
    return {row.subject_id: row.state for row in session.execute(statement)}


def hidden_uploads(session: Session, upload_ids: Iterable[UUID]) -> set[UUID]:
    """Return which pictures may be shown to nobody."""
    wanted = list(upload_ids)
    if not wanted:
        return set()
    pictures = [subject.value for subject in IMAGES]
    statement = sa.select(ContentCheck.subject_id).where(
        ContentCheck.subject_id.in_(wanted), ContentCheck.subject.in_(pictures), ContentCheck.state.in_(_HIDDEN)
    )
    return set(session.scalars(statement))


def pending_text(session: Session, subject: Subject, subject_id: UUID) -> str | None:
    """Return the text that waits for somebody's word, such as a member's next nickname, or None."""
    statement = sa.select(ContentCheck.content).where(
        ContentCheck.subject_id == subject_id, ContentCheck.subject == subject.value, ContentCheck.state.in_(sorted(OPEN))
    )
    return session.scalars(statement.limit(1)).first()


def due(session: Session, now: datetime, limit: int) -> list[UUID]:
    """Return the checks about which WeChat is to be asked now, the longest due first."""
    statement = (
        sa.select(ContentCheck.id)
        .where(ContentCheck.state == State.WAITING.value, ContentCheck.next_at <= now)
        .order_by(ContentCheck.next_at)
        .limit(limit)
    )
    return list(session.scalars(statement))
