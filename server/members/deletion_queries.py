"""Reads of deletions: what is due, what a member asked for, and the list for staff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.members.models import Member, MemberDeletion, MemberIdentity
from server.members.rules import WECHAT_PREFIX


@dataclass(frozen=True, slots=True)
class DeletionView:
    """A wish to be deleted and how far it has come.

    Arguments:
        id: key.
        member_id: who leaves.
        state: ``waiting``, ``cancelled``, ``erased`` (a second round follows) or ``done``.
        channel: who entered it: ``member`` or ``staff``.
        reason: what staff gave; gone once it is carried out.
        held_by: what it waits for beyond its time (``orders``), or None.
        requested_at: when it was asked for.
        due_at: until when it can be taken back, and from when it is carried out.
        deadline_on: the day by which it must be.
        erased_at: when the data went.
        cancelled_at: when it was taken back.
    """

    id: UUID
    member_id: UUID
    state: str
    channel: str
    reason: str | None
    held_by: str | None
    requested_at: datetime
    due_at: datetime
    deadline_on: date
    erased_at: datetime | None
    cancelled_at: datetime | None


def deletion_view(row: MemberDeletion) -> DeletionView:
    """Return the view of a row."""
    return DeletionView(
        row.id,
        row.member_id,
        row.state,
        row.channel,
        row.reason,
        row.held_by,
        row.requested_at,
        row.due_at,
        row.deadline_on,
        row.erased_at,
        row.cancelled_at,
    )


def find_open(session: Session, member_id: UUID) -> DeletionView | None:
    """Return the deletion of a member that waits, or None."""
    row = session.scalars(sa.select(MemberDeletion).where(MemberDeletion.open_slot == member_id)).one_or_none()
    return deletion_view(row) if row is not None else None


def find(session: Session, deletion_id: UUID) -> DeletionView | None:
    """Return a deletion, or None."""
    row = session.get(MemberDeletion, deletion_id)
    return deletion_view(row) if row is not None else None


def due(session: Session, *, now: datetime, limit: int) -> list[UUID]:
    """Return the deletions whose time has come, those that wait longest first."""
    return list(
        session.scalars(
            sa.select(MemberDeletion.id)
            .where(MemberDeletion.attempt_at <= now)
            .order_by(MemberDeletion.attempt_at, MemberDeletion.id)
            .limit(limit)
        )
    )


def deletions(session: Session, state: str | None, page: PageRequest) -> Page[DeletionView]:
    """Return deletions for staff, newest first."""
    statement = sa.select(MemberDeletion)
    if state is not None:
        statement = statement.where(MemberDeletion.state == state)
    statement = keyset(statement, MemberDeletion.requested_at, MemberDeletion.id, page)
    return page_of(session.scalars(statement).all(), page, lambda row: (row.requested_at, row.id)).map(deletion_view)


def overdue(session: Session, today: date) -> int:
    """Return how many deletions still wait after their last day."""
    statement = sa.select(sa.func.count()).where(MemberDeletion.state == "waiting", MemberDeletion.deadline_on < today)
    return int(session.scalar(statement) or 0)


def records_of(session: Session, member_id: UUID) -> list[UUID]:
    """Return a member's record and every record that was merged into it, directly or through others."""
    found, new = [member_id], [member_id]
    while new:
        new = list(session.scalars(sa.select(Member.id).where(Member.merged_into.in_(new), Member.id.not_in(found)).order_by(Member.id)))
        found += new
    return found


def openid_indexes(session: Session, member_ids: list[UUID]) -> list[str]:
    """Return the blind indexes of the openids some records log in with."""
    return list(
        session.scalars(
            sa.select(MemberIdentity.external_index).where(
                MemberIdentity.member_id.in_(member_ids), MemberIdentity.channel.startswith(WECHAT_PREFIX)
            )
        )
    )
