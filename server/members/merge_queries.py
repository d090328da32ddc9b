"""Reads of what merging needs and of the journal it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.members.errors import MemberNotFoundError
from server.members.models import Member, MemberIdentity, MemberMerge
from server.members.rules import WECHAT_PREFIX, MergeCandidate, merge_is_automatic, survivor


@dataclass(frozen=True, slots=True)
class MergeEntry:
    """One line of the merge journal."""

    id: UUID
    from_id: UUID
    into_id: UUID
    reason: str
    actor_kind: str
    actor_ref: str
    carried: dict[str, Any]
    merged_at: datetime


def merge_candidate(session: Session, member_id: UUID) -> MergeCandidate:
    """Return what the merge rules need to know of a member.

    Raises:
        MemberNotFoundError: there is none.
    """
    member = session.get(Member, member_id, populate_existing=True)
    if member is None:
        raise MemberNotFoundError
    channels = session.scalars(
        sa.select(MemberIdentity.channel).where(
            MemberIdentity.member_id == member_id,
            MemberIdentity.channel.startswith(WECHAT_PREFIX),
        ),
    )
    apps = frozenset(channel.removeprefix(WECHAT_PREFIX) for channel in channels)
    return MergeCandidate(member.id, member.joined_at, member.status, apps)


def _merge_entry(row: MemberMerge) -> MergeEntry:
    return MergeEntry(row.id, row.from_id, row.into_id, row.reason, row.actor_kind, row.actor_ref, row.carried, row.merged_at)


def merges_of(session: Session, member_id: UUID) -> list[MergeEntry]:
    """Return the merges a member took part in, newest first."""
    rows = session.scalars(
        sa.select(MemberMerge)
        .where(sa.or_(MemberMerge.from_id == member_id, MemberMerge.into_id == member_id))
        .order_by(MemberMerge.merged_at.desc(), MemberMerge.id.desc())
    )
    return [_merge_entry(row) for row in rows]


def merges(session: Session, page: PageRequest) -> Page[MergeEntry]:
    """Return the journal of merges, newest first."""
    rows = session.scalars(keyset(sa.select(MemberMerge), MemberMerge.merged_at, MemberMerge.id, page)).all()
    return page_of(rows, page, lambda row: (row.merged_at, row.id)).map(_merge_entry)


def automatic_merge(session: Session, one_id: UUID, other_id: UUID) -> tuple[UUID, UUID] | None:
    """Return ``(from, into)`` when a phone number alone may join two records, or None when staff must decide."""
    one, other = merge_candidate(session, one_id), merge_candidate(session, other_id)
    return survivor(one, other) if merge_is_automatic(one, other) else None
