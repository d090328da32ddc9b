"""Reads the trail and checks the chain."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.audit.models import AuditEntry, AuditHead, AuditPending, AuditSeal
from server.audit.rules import GENESIS, Sealable, seal_hash
from server.kernel.pagination import Page, PageRequest, keyset, page_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

    from sqlalchemy.orm import Session

_BATCH = 2000


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry; ``sequence`` is None while it waits for its seal."""

    id: UUID
    occurred_at: datetime
    actor_kind: str
    actor_ref: str
    actor_name: str
    address: str | None
    action: str
    subject_type: str
    subject_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    sequence: int | None
    hash: str | None


@dataclass(frozen=True, slots=True)
class Anchor:
    """The end of the chain at some time, as noted outside the database."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with the chain.

    Arguments:
        kind: ``altered``, ``deleted``, ``reordered``, ``truncated``, ``inserted`` or ``anchor``.
        sequence: the place where it shows, 0 where it has none.
        entry_id: which entry, if one is named there.
    """

    kind: str
    sequence: int
    entry_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the chain found.

    Arguments:
        intact: nothing wrong.
        checked: how many seals were followed.
        pending: entries that wait for their seal.
        head_sequence: where the chain ends.
        head_hash: the hash it ends with.
        sealed_at: when the last batch was sealed, or None.
        faults: what is wrong, at most 100.
    """

    intact: bool
    checked: int
    pending: int
    head_sequence: int
    head_hash: str
    sealed_at: datetime | None
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class ChainState:
    """How far the chain reaches now, without checking it."""

    head_sequence: int
    head_hash: str
    sealed_at: datetime | None
    pending: int


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries are wanted; None asks for any."""

    actor_ref: str | None = None
    actor_name: str | None = None
    actor_kind: str | None = None
    action: str | None = None
    subject_type: str | None = None
    subject_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def sealable_of(entry: AuditEntry) -> Sealable:
    """Return what the seal of an entry vouches for."""
    return Sealable(
        str(entry.id),
        entry.occurred_at,
        entry.actor_kind,
        entry.actor_ref,
        entry.actor_name,
        entry.address,
        entry.action,
        entry.subject_type,
        entry.subject_id,
        entry.before,
        entry.after,
        entry.reason,
    )


def list_entries(session: Session, request: PageRequest | None = None, wanted: EntryFilter | None = None) -> Page[EntryView]:
    """Return one page of entries, newest first.

    Arguments:
        session: only reads.
        request: which page; the first twenty by default.
        wanted: which entries; all by default.
    """
    request = request or PageRequest()
    wanted = wanted or EntryFilter()
    statement: Any = sa.select(AuditEntry, AuditSeal.sequence, AuditSeal.hash).outerjoin(AuditSeal, AuditSeal.entry_id == AuditEntry.id)
    for column, value in (
        (AuditEntry.actor_ref, wanted.actor_ref),
        (AuditEntry.actor_name, wanted.actor_name),
        (AuditEntry.actor_kind, wanted.actor_kind),
        (AuditEntry.action, wanted.action),
        (AuditEntry.subject_type, wanted.subject_type),
        (AuditEntry.subject_id, wanted.subject_id),
    ):
        if value:
            statement = statement.where(column == value)
    if wanted.since is not None:
        statement = statement.where(AuditEntry.occurred_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(AuditEntry.occurred_at < wanted.until)
    rows: Any = session.execute(keyset(statement, AuditEntry.occurred_at, AuditEntry.id, request)).all()
    views = [_view(row[0], row[1], row[2]) for row in rows]
    return page_of(views, request, lambda view: (view.occurred_at, view.id))


def find(session: Session, entry_id: UUID) -> EntryView | None:
    """Return one entry, or None."""
    row = session.execute(
        sa.select(AuditEntry, AuditSeal.sequence, AuditSeal.hash)
        .outerjoin(AuditSeal, AuditSeal.entry_id == AuditEntry.id)
        .where(AuditEntry.id == entry_id)
    ).first()
    return _view(row[0], row[1], row[2]) if row else None


def known_actions(session: Session, limit: int = 200) -> list[str]:
    """Return the actions that occur, for a filter; a loose scan of the index on actions."""
    found: list[str] = []
    last = ""
    while len(found) < limit:
        following = session.scalar(sa.select(sa.func.min(AuditEntry.action)).where(AuditEntry.action > last))
        if following is None:
            break
        found.append(following)
        last = following
    return found


def state(session: Session) -> ChainState:
    """Return how far the chain reaches now."""
    head = session.scalars(sa.select(AuditHead)).first()
    pending = int(session.scalar(sa.select(sa.func.count()).select_from(AuditPending)) or 0)
    if head is None:
        return ChainState(0, GENESIS, None, pending)
    return ChainState(head.sequence, head.hash, head.updated_at if head.sequence else None, pending)


def read_anchors(path: Path) -> list[Anchor]:
    """Return the anchors noted in a file, oldest first; none when there is no file."""
    if not path.exists():
        return []
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return [Anchor(int(line["sequence"]), str(line["hash"])) for line in lines]


def verify(  # noqa: C901 - one walk along the chain, told in one place
    session: Session, anchors: Sequence[Anchor] = ()
) -> Verification:
    """Follow the chain from its first seal and hash every entry again.

    Found are an altered entry or seal, a deleted entry, a changed order, a chain cut at its end (by the head row, and by anchors even
    when the head was changed too), and an entry slipped in beside the chain.

    Arguments:
        session: only reads.
        anchors: ends of the chain noted outside the database.
    """
    faults: list[Fault] = []
    hash_at = {anchor.sequence: anchor.hash for anchor in anchors}
    now_at = state(session)
    previous, place, checked = GENESIS, 0, 0
    while True:
        rows: Any = session.execute(
            sa.select(AuditSeal, AuditEntry)
            .outerjoin(AuditEntry, AuditEntry.id == AuditSeal.entry_id)
            .where(AuditSeal.sequence > place)
            .order_by(AuditSeal.sequence)
            .limit(_BATCH)
        ).all()
        for seal, entry in rows:
            checked += 1
            if seal.sequence != place + 1:
                faults.append(Fault("deleted", place + 1))
            elif seal.previous_hash != previous:
                faults.append(Fault("reordered", seal.sequence, seal.entry_id))
            if entry is None:
                faults.append(Fault("deleted", seal.sequence, seal.entry_id))
            elif seal_hash(seal.sequence, seal.previous_hash, sealable_of(entry)) != seal.hash:
                faults.append(Fault("altered", seal.sequence, seal.entry_id))
            if hash_at.pop(seal.sequence, seal.hash) != seal.hash:
                faults.append(Fault("anchor", seal.sequence, seal.entry_id))
            previous, place = seal.hash, seal.sequence
            # A chain may be longer than memory: what was checked is let go.
            for followed in filter(None, (seal, entry)):
                session.expunge(followed)
        if len(rows) < _BATCH:
            break
    if now_at.head_sequence != place or (place and now_at.head_hash != previous):
        faults.append(Fault("truncated", place + 1))
    faults.extend(Fault("truncated", sequence) for sequence in sorted(hash_at) if sequence > place)
    faults.extend(_slipped_in(session))
    return Verification(not faults, checked, now_at.pending, now_at.head_sequence, now_at.head_hash, now_at.sealed_at, tuple(faults[:100]))


def _slipped_in(session: Session) -> list[Fault]:
    """Return entries that are neither sealed nor waiting: no service writes such a one."""
    rows = session.scalars(
        sa.select(AuditEntry.id)
        .outerjoin(AuditSeal, AuditSeal.entry_id == AuditEntry.id)
        .outerjoin(AuditPending, AuditPending.entry_id == AuditEntry.id)
        .where(AuditSeal.sequence.is_(None), AuditPending.entry_id.is_(None))
        .limit(100)
    ).all()
    return [Fault("inserted", 0, entry_id) for entry_id in rows]


def _view(entry: AuditEntry, sequence: int | None, own_hash: str | None) -> EntryView:
    return EntryView(
        entry.id,
        entry.occurred_at,
        entry.actor_kind,
        entry.actor_ref,
        entry.actor_name,
        entry.address,
        entry.action,
        entry.subject_type,
        entry.subject_id,
        entry.before,
        entry.after,
        entry.reason,
        sequence,
        own_hash,
    )
