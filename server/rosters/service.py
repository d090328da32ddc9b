"""Filling rosters. A step is one transaction of the caller; broken off, the next one goes on where the last whole one ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import sqlalchemy as sa

from server.kernel.db import insert_if_absent, update_where
from server.kernel.ids import uuid7
from server.rosters.models import Roster, RosterMember
from server.rosters.queries import ROSTER_COLUMNS, RosterView

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


_MEMBERS = cast("sa.Table", RosterMember.__table__)


def hold(session: Session, code: str) -> RosterView:
    """Return the roster of a segment, its row locked until the transaction ends; it is made when there is none."""
    wanted = sa.select(*ROSTER_COLUMNS).where(Roster.code == code).with_for_update()
    row = session.execute(wanted).one_or_none()
    if row is None:
        insert_if_absent(session, Roster, {"id": uuid7(), "code": code, "made": 0, "size": 0, "worked_ms": 0, "filled": 0, "filling_ms": 0})
        row = session.execute(wanted).one()
    return RosterView(*row)


def ask(session: Session, code: str, *, now: datetime) -> None:
    """Ask for a new list of a segment; the job that builds them begins it soon."""
    roster = hold(session, code)
    update_where(session, sa.update(Roster).where(Roster.id == roster.id).values(asked_at=now))


def begin(session: Session, roster: RosterView, *, rule_version: int, now: datetime) -> None:
    """Begin a new list of a roster that is held; one that was being filled is given up, and swept away later.

    Arguments:
        session: of the transaction that holds it.
        roster: as it was held.
        rule_version: the version of the segment that decides.
        now: the instant its rule is decided for, in every range.
    """
    begun = {
        "made": roster.made + 1,
        "filling": roster.made + 1,
        "filling_rule": rule_version,
        "filling_as_of": now,
        "filled_until": None,
        "filled": 0,
        "filling_ms": 0,
        "asked_at": None,
    }
    update_where(session, sa.update(Roster).where(Roster.id == roster.id).values(**begun))


def fill(session: Session, roster: RosterView, chosen: sa.Select[tuple[UUID]], until: UUID | None) -> int:
    """Put the members of one range into the list that is being filled, and note how far it came.

    Arguments:
        session: of the transaction that holds the roster.
        roster: as it was held, being filled.
        chosen: gives the ids of the members of the range, each once.
        until: the last member of the range, or None for the end.

    Returns:
        How many members were put in.
    """
    found = chosen.subquery()
    (member_id,) = found.c
    numbers = sa.literal(roster.id, Roster.id.type), sa.literal(roster.filling, sa.BigInteger())
    into = sa.insert(_MEMBERS).from_select(["segment_id", "version", "member_id"], sa.select(*numbers, member_id))
    # psycopg forgets how many rows an INSERT put in unless it is told that somebody wants to know.
    put = int(session.execute(into, execution_options={"preserve_rowcount": True}).rowcount)  # type: ignore[attr-defined]  # of a cursor
    further = {"filled": Roster.filled + put, "filled_until": until}
    update_where(session, sa.update(Roster).where(Roster.id == roster.id).values(**further))
    return put


def note_work(session: Session, roster: RosterView, worked_ms: int) -> None:
    """Add to the milliseconds that filling a list has taken."""
    update_where(session, sa.update(Roster).where(Roster.id == roster.id).values(filling_ms=Roster.filling_ms + worked_ms))


def finish(session: Session, roster: RosterView, *, now: datetime, worked_ms: int = 0) -> None:
    """Let the list that was filled count from now on, in one update.

    Arguments:
        session: of the transaction that holds the roster.
        roster: as it was held, filled to the end.
        now: present instant.
        worked_ms: milliseconds that the last range took.
    """
    built = {
        "version": Roster.filling,
        "rule_version": Roster.filling_rule,
        "size": Roster.filled,
        "as_of": Roster.filling_as_of,
        "built_at": now,
        "worked_ms": Roster.filling_ms + worked_ms,
    }
    update_where(session, sa.update(Roster).where(Roster.id == roster.id).values(**built))
    over = {"filling": None, "filling_rule": None, "filling_as_of": None, "filled_until": None}
    update_where(session, sa.update(Roster).where(Roster.id == roster.id).values(**over))


def sweep(session: Session, limit: int = 5000) -> int:
    """Take away rows of lists that count no more, at most so many, and return how many."""
    old = sa.and_(
        RosterMember.segment_id == Roster.id,
        sa.or_(Roster.version.is_(None), RosterMember.version != Roster.version),
        sa.or_(Roster.filling.is_(None), RosterMember.version != Roster.filling),
    )
    found = session.execute(sa.select(RosterMember.segment_id, RosterMember.version, RosterMember.member_id).join(Roster, old).limit(limit))
    gone = 0
    lists: dict[tuple[UUID, int], list[UUID]] = {}
    for segment_id, version, member_id in found:
        lists.setdefault((segment_id, version), []).append(member_id)
    for (segment_id, version), members in lists.items():
        named = (RosterMember.segment_id == segment_id, RosterMember.version == version, RosterMember.member_id.in_(members))
        session.execute(sa.delete(RosterMember).where(*named))
        gone += len(members)
    return gone


def forget_member(session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> int:
    """Take a member who leaves off every list, and return off how many."""
    del actor, now  # A list says no more than who is on it.
    return _take_off(session, member_id)


def _take_off(session: Session, member_id: UUID) -> int:
    found = session.scalars(sa.select(RosterMember.version).where(RosterMember.member_id == member_id)).all()
    session.execute(sa.delete(RosterMember).where(RosterMember.member_id == member_id))
    return len(found)


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> int:
    """Take a record that ends off every list: the survivor is where their own record was, until the next build looks at both.

    Returns:
        Off how many lists it was taken.
    """
    del into_id, now  # Nothing goes over.
    return _take_off(session, from_id)
