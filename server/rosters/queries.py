"""Reads of rosters: who is in which, and how each stands."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.db import one_of
from server.kernel.pagination import Page, PageRequest, page_of
from server.rosters.models import Roster, RosterMember


@dataclass(frozen=True, slots=True)
class RosterView:
    """How the lists of a segment stand.

    Arguments:
        made: the highest number a list had so far.
        version: number of the list that counts; None while there is none.
        rule_version: the version of the segment it was built by.
        size: how many members it names.
        as_of: the instant its rule was decided for.
        built_at: when it was finished.
        worked_ms: milliseconds that filling it took, without the pauses.
        filling: number of the list being filled, or None.
        filled: members found for it so far.
        asked_at: when staff asked for a new one, if it is not begun yet.
    """

    id: UUID
    code: str
    made: int
    version: int | None
    rule_version: int | None
    size: int
    as_of: datetime | None
    built_at: datetime | None
    worked_ms: int
    filling: int | None
    filling_rule: int | None
    filling_as_of: datetime | None
    filled_until: UUID | None
    filled: int
    filling_ms: int
    asked_at: datetime | None


ROSTER_COLUMNS = tuple(getattr(Roster, name) for name in RosterView.__slots__)
_NAMED = sa.and_(RosterMember.segment_id == Roster.id, RosterMember.version == Roster.version)


def memberships(session: Session, member_id: UUID, codes: Collection[str]) -> frozenset[str]:
    """Return in which of some segments a member is, as of the last build of each, in one statement.

    Arguments:
        session: to read with.
        member_id: who.
        codes: of the segments that are asked for.
    """
    if not codes:
        return frozenset()
    held = sa.select(Roster.code).join(RosterMember, _NAMED).where(Roster.code.in_(codes), RosterMember.member_id == member_id)
    return frozenset(session.scalars(held))


def members_in(session: Session, member_ids: Collection[UUID], codes: Collection[str]) -> frozenset[UUID]:
    """Return which of some members are in at least one of some segments, as of the last build of each.

    Arguments:
        session: to read with.
        member_ids: of whom; a few hundred at most.
        codes: of the segments.
    """
    if not codes or not member_ids:
        return frozenset()
    named = one_of(session, RosterMember.member_id, set(member_ids))
    return frozenset(session.scalars(sa.select(RosterMember.member_id).join(Roster, _NAMED).where(Roster.code.in_(codes), named)))


def all_memberships(session: Session, member_id: UUID) -> list[str]:
    """Return the codes of all segments a member is in, as of the last build of each."""
    held = sa.select(Roster.code).join(RosterMember, _NAMED).where(RosterMember.member_id == member_id)
    return sorted(session.scalars(held.order_by(Roster.code)))


def rosters(session: Session, codes: Collection[str] | None = None) -> dict[str, RosterView]:
    """Return segment code → how its lists stand.

    Arguments:
        session: to read with.
        codes: of these only; None for all.
    """
    statement = sa.select(*ROSTER_COLUMNS)
    if codes is not None:
        statement = statement.where(Roster.code.in_(codes))
    return {row.code: RosterView(*row) for row in session.execute(statement.order_by(Roster.code))}


def members(session: Session, code: str, request: PageRequest) -> Page[UUID]:
    """Return a page of who is in a segment as of its last build, the newest records first.

    Arguments:
        session: to read with.
        code: of the segment.
        request: which page; a list that was built since goes on at the same record.
    """
    named = sa.select(Roster.built_at, RosterMember.member_id).join(Roster, _NAMED).where(Roster.code == code)
    if request.after is not None:
        named = named.where(RosterMember.member_id < request.after[1])
    rows = session.execute(named.order_by(RosterMember.member_id.desc()).limit(request.limit + 1)).all()
    return page_of([(built_at, member_id) for built_at, member_id in rows if built_at is not None], request, lambda row: row).map(
        lambda row: row[1]
    )
