"""Opening balances: the rows of a file, staged as they were read, and taken in once after somebody else approved them.

A row is taken in under the source ``opening/balance:<its own id>``, so neither the same file again nor another one with the same rows gives
the points twice. Rows are append-only: what was approved is what is taken in. A run that breaks off goes on at the line where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.kernel.actors import SystemActor
from server.kernel.amounts import Points
from server.kernel.clock import end_of_day
from server.kernel.db import insert_rows, one_of, zone_of
from server.kernel.ids import uuid7
from server.kernel.source import Source
from server.kernel.text import N_
from server.members import bulk as members
from server.points import queries
from server.points.bulk import Accrual, accrue_many
from server.points.errors import OpeningChangedError, OpeningEmptyError, OpeningNotFoundError, SourceConflictError
from server.points.models import PointsEntry, PointsOpening, PointsOpeningRow
from server.transfers import service as transfers

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

NAMESPACE = "opening"
TRANSFER_KIND = "points.opening"
REASON = N_("Opening balance")
MAX_FAULTS = 5000
_ACTOR = SystemActor("points.opening")


@dataclass(frozen=True, slots=True)
class OpeningRow:
    """One balance with its member found; the fields mean what they mean to ``opening_rules.Balance``."""

    line: int
    key: str
    member_id: UUID
    points: int
    expires_on: date | None
    note: str


@dataclass(frozen=True, slots=True)
class OpeningView:
    """A file of balances as staff see it.

    Arguments:
        balances, points: of the rows that can be taken in.
        known: rows that were taken in before, left out.
        faults: ``[line, column, reason]`` of every row that cannot be taken in.
    """

    id: UUID
    name: str
    digest: str
    balances: int
    points: int
    known: int
    faults: list[list[Any]]
    approval_id: UUID | None
    transfer_id: UUID | None
    created_at: datetime
    created_by: str
    finished_at: datetime | None


_VIEW = tuple(getattr(PointsOpening, name) for name in OpeningView.__slots__)
_ROW = tuple(getattr(PointsOpeningRow, name) for name in OpeningRow.__slots__)


def source_of(key: str) -> Source:
    """Return the source under which a row is taken in."""
    return Source(NAMESPACE, f"balance:{key}")


@dataclass(frozen=True, slots=True)
class TakenIn:
    """A row that was taken in before: who holds its points now, and how many they were."""

    member_id: UUID
    points: int


def taken_in(session: Session, keys: Sequence[str]) -> dict[str, TakenIn]:
    """Return row's key → what was given for it, of the rows that were taken in before."""
    wanted = {source_of(key).key: key for key in keys}
    rows = session.execute(
        sa.select(PointsEntry.source_key, PointsEntry.member_id, PointsEntry.points).where(
            PointsEntry.source_namespace == NAMESPACE, one_of(session, PointsEntry.source_key, list(wanted))
        )
    ).all()
    homes = queries.homes(session, {row.member_id for row in rows})
    return {wanted[row.source_key]: TakenIn(homes[row.member_id], row.points) for row in rows}


def stage(
    session: Session, name: str, rows: Sequence[OpeningRow], *, known: int, faults: list[list[Any]], actor: Actor, now: datetime
) -> UUID:
    """Keep the rows of a file until somebody decides.

    Arguments:
        session: of an open transaction.
        name: of the file.
        rows: those that can be taken in, by line; ids differ.
        known: how many rows were taken in before.
        faults: ``[line, column, reason]`` of the others.
        actor: who brings the file.
        now: present instant.
    """
    opening_id = uuid7()
    session.execute(
        sa.insert(PointsOpening).values(
            id=opening_id,
            name=name[:191],
            digest=digest_of(rows),
            balances=len(rows),
            points=sum(row.points for row in rows),
            known=known,
            faults=faults[:MAX_FAULTS],
            done_line=0,
            created_at=now,
            created_by=str(getattr(actor, "name", "") or actor.ref)[:80],
        )
    )
    insert_rows(
        session,
        PointsOpeningRow,
        [
            {
                "opening_id": opening_id,
                "line": row.line,
                "key": row.key,
                "member_id": row.member_id,
                "points": row.points,
                "expires_on": row.expires_on,
                "note": row.note,
            }
            for row in rows
        ],
    )
    return opening_id


def digest_of(rows: Sequence[OpeningRow]) -> str:
    """Return the SHA-256 over rows, by which what is taken in is what was asked about."""
    hashed = hashlib.sha256()
    for row in rows:
        parts = (row.line, row.key, row.member_id.hex, row.points, row.expires_on, row.note)
        hashed.update(("|".join(str(part) for part in parts) + "\n").encode())
    return hashed.hexdigest()


def note_asked(session: Session, opening_id: UUID, approval_id: UUID) -> None:
    """Tie a file to the request that decides on it."""
    session.execute(sa.update(PointsOpening).where(PointsOpening.id == opening_id).values(approval_id=approval_id))


def start(session: Session, opening_id: UUID, *, digest: str, actor: Actor, now: datetime) -> UUID:
    """Let a file be taken in; return the transfer that shows how far it is.

    Raises:
        OpeningNotFoundError: there is no such file.
        OpeningEmptyError: no row can be taken in.
        OpeningChangedError: its rows are not those that were asked about.
    """
    view = find(session, opening_id)
    if not view.balances:
        raise OpeningEmptyError
    if digest != view.digest or digest_of(rows_of(session, opening_id)) != digest:
        raise OpeningChangedError
    transfer_id = transfers.start(session, kind=TRANSFER_KIND, name=view.name, actor=actor, total=view.balances, now=now)
    session.execute(sa.update(PointsOpening).where(PointsOpening.id == opening_id).values(transfer_id=transfer_id))
    return transfer_id


def take_in(session: Session, opening_id: UUID, now: datetime, limit: int = 500) -> int:
    """Take in the next rows of a file that was approved; return how many were looked at, 0 when all are done.

    Two processes at once wait for one another: the file's row is the lock.

    Raises:
        OpeningNotFoundError: there is no such file.
    """
    of = PointsOpening
    held = session.execute(
        sa.select(of.done_line, of.transfer_id, of.approval_id, of.finished_at).where(of.id == opening_id).with_for_update()
    ).one_or_none()
    if held is None:
        raise OpeningNotFoundError
    if held.transfer_id is None or held.finished_at is not None:
        return 0
    rows = rows_of(session, opening_id, after=held.done_line, limit=limit)
    values: dict[str, Any] = {"finished_at": now} if not rows else {"done_line": rows[-1].line}
    if rows:
        done = _accrue(session, opening_id, held.approval_id, rows, now)
        transfers.advance(session, held.transfer_id, done=done, errors=len(rows) - done, now=now)
    else:
        transfers.finish(session, held.transfer_id, now=now)
    session.execute(sa.update(of).where(of.id == opening_id).values(**values))
    return len(rows)


def _accrue(session: Session, opening_id: UUID, approval_id: UUID, rows: Sequence[OpeningRow], now: datetime) -> int:
    """Give the points of some rows; return how many rows were taken in. Who has left since the file was read gets none."""
    zone = zone_of(session)
    here = members.standing(session, {row.member_id for row in rows})
    items = [
        Accrual(
            row.member_id,
            Points(row.points),
            source_of(row.key),
            row.note or REASON,
            now,
            details={"opening_id": str(opening_id), "approval_id": str(approval_id), "line": row.line},
            expires_at=end_of_day(row.expires_on, zone) if row.expires_on else None,
        )
        for row in rows
        if row.member_id in here
    ]
    try:
        with session.begin_nested():
            return len(accrue_many(session, items, actor=_ACTOR, announce=False))
    except SourceConflictError:
        # Another file took a row of this id in with other content meanwhile: that row alone is refused.
        done = 0
        for item in items:
            try:
                with session.begin_nested():
                    done += len(accrue_many(session, [item], actor=_ACTOR, announce=False))
            except SourceConflictError:
                continue
        return done


def find(session: Session, opening_id: UUID) -> OpeningView:
    """Return one file.

    Raises:
        OpeningNotFoundError: there is no such file.
    """
    row = session.execute(sa.select(*_VIEW).where(PointsOpening.id == opening_id)).one_or_none()
    if row is None:
        raise OpeningNotFoundError
    return OpeningView(*row)


def newest(session: Session, limit: int = 20) -> list[OpeningView]:
    """Return the files brought last, newest first."""
    statement = sa.select(*_VIEW).order_by(PointsOpening.created_at.desc(), PointsOpening.id.desc()).limit(limit)
    return [OpeningView(*row) for row in session.execute(statement)]


def rows_of(session: Session, opening_id: UUID, *, after: int = 0, limit: int | None = None) -> list[OpeningRow]:
    """Return rows of a file by line, those behind one."""
    statement = sa.select(*_ROW).where(PointsOpeningRow.opening_id == opening_id, PointsOpeningRow.line > after)
    return [OpeningRow(*row) for row in session.execute(statement.order_by(PointsOpeningRow.line).limit(limit))]
