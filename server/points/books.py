"""Reading and locking the books for the verbs: accounts, lots, entries and replays. Only the writing modules use it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from server.kernel.column_types import UuidType
from server.kernel.db import insert_if_absent
from server.kernel.prepared import Prepared, together
from server.points.errors import SourceConflictError
from server.points.models import PointsAccount, PointsAllocation, PointsEntry, PointsLot

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.source import Source

_ACCOUNTS = cast("sa.Table", PointsAccount.__table__)
_ENTRIES = cast("sa.Table", PointsEntry.__table__)
_LOTS = cast("sa.Table", PointsLot.__table__)
_ALLOCATIONS = cast("sa.Table", PointsAllocation.__table__)


@dataclass(slots=True)
class Account:
    """A locked account: what the member has while a command works on it."""

    member_id: UUID
    pending: int
    available: int
    reserved: int
    debt_owed: int

    def change(self, account: str, amount: int) -> None:
        """Add to one of the four balances; the debt account is the negative of what is owed."""
        if account == "debt":
            self.debt_owed -= amount
        else:
            setattr(self, account, getattr(self, account) + amount)


@dataclass(slots=True)
class Lot:
    """A lot of a locked account."""

    id: UUID
    member_id: UUID
    entry_id: UUID
    amount: int
    left: int
    reserved: int
    state: str
    unlock_at: datetime | None
    expires_at: datetime | None
    created_at: datetime

    @property
    def free(self) -> int:
        """Return what is left and not set aside."""
        return self.left - self.reserved

    def expired(self, now: datetime) -> bool:
        """Tell whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class EntryView:
    """An entry as commands answer it.

    Arguments:
        points: signed as on the member's statement.
        available_after, pending_after: the member's balances after it.
        replayed: True when the source had made this entry before.
    """

    id: UUID
    member_id: UUID
    kind: str
    points: int
    available_after: int
    pending_after: int
    occurred_at: datetime
    replayed: bool = False


def fingerprint(kind: str, member_id: UUID | None, points: int | None, reason: str, *more: object) -> str:
    """Return the hash of what a command asks for, by which a replay is told from a conflict."""
    content = [kind, str(member_id), points, reason, *(None if part is None else str(part) for part in more)]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def lock_account(session: Session, member_id: UUID, now: datetime) -> Account:
    """Lock the account that holds a member's points, opening it if need be; a merged member's is the survivor's."""
    row = _locked(session, member_id)
    if row is None:
        ensure_account(session, member_id, now)
        row = _locked(session, member_id)
    if row is not None and row.merged_into is not None:
        row = _locked(session, row.merged_into)
    assert row is not None  # noqa: S101 - it was inserted above, and accounts are never removed
    return Account(row.member_id, row.pending, row.available, row.reserved, row.debt_owed)


def ensure_account(session: Session, member_id: UUID, now: datetime) -> None:
    """Open an account unless it is open, without following a merge and without locking it."""
    fresh = {"pending": 0, "available": 0, "reserved": 0, "debt_owed": 0, "version": 0, "merged_into": None}
    insert_if_absent(session, PointsAccount, {"member_id": member_id, **fresh, "opened_at": now})


def lock_accounts(session: Session, member_ids: Iterable[UUID]) -> dict[UUID, Account]:
    """Lock several accounts, always in the order of their ids so that two batches cannot wait for each other."""
    columns = _ACCOUNTS.c
    rows = session.execute(
        sa.select(columns.member_id, columns.pending, columns.available, columns.reserved, columns.debt_owed)
        .where(columns.member_id.in_(set(member_ids)))
        .order_by(columns.member_id)
        .with_for_update()
    ).all()
    return {row.member_id: Account(*row) for row in rows}


# These two are built once: every verb runs them. A foreign key has no type yet while models are imported, hence the parameter's own.
_LOCK_ACCOUNT = Prepared(
    sa.select(*(_ACCOUNTS.c[name] for name in ("member_id", "pending", "available", "reserved", "debt_owed", "merged_into")))
    .where(_ACCOUNTS.c.member_id == sa.bindparam("member_id", type_=UuidType()))
    .with_for_update()
)
_VIEW = tuple(_ENTRIES.c[name] for name in ("id", "member_id", "kind", "points", "available_after", "pending_after", "occurred_at"))
_REPLAY = Prepared(
    sa.select(*_VIEW, _ENTRIES.c.fingerprint).where(
        _ENTRIES.c.source_namespace == sa.bindparam("namespace"), _ENTRIES.c.source_key == sa.bindparam("key")
    )
)


def _locked(session: Session, member_id: UUID) -> Any:
    return _LOCK_ACCOUNT.one_or_none(session, {"member_id": member_id})


def lock_for(session: Session, member_id: UUID, source: Source, content: str, now: datetime) -> tuple[Account, EntryView | None]:
    """Lock the account that holds a member's points, then look for the entry a source made before: both in one trip.

    Raises:
        SourceConflictError: the source made an entry of other content.
    """
    keys = {"namespace": source.namespace, "key": source.key}
    accounts, entries = together(session, [(_LOCK_ACCOUNT, {"member_id": member_id}), (_REPLAY, keys)])
    if not accounts or accounts[0].merged_into is not None:
        return lock_account(session, member_id, now), find_replay(session, source, content)
    row = accounts[0]
    account = Account(row.member_id, row.pending, row.available, row.reserved, row.debt_owed)
    return account, _replayed(entries[0], content) if entries else None


def find_replay(session: Session, source: Source, content: str) -> EntryView | None:
    """Return the entry a source made before.

    Raises:
        SourceConflictError: when it was made by other content.
    """
    row = _REPLAY.one_or_none(session, {"namespace": source.namespace, "key": source.key})
    return None if row is None else _replayed(row, content)


def _replayed(row: Any, content: str) -> EntryView:
    if row.fingerprint != content:
        raise SourceConflictError
    return replace(EntryView(*row[:-1]), replayed=True)


def entry_by_id(session: Session, entry_id: UUID) -> EntryView | None:
    """Return an entry, or None."""
    row = session.execute(sa.select(*_VIEW).where(_ENTRIES.c.id == entry_id)).one_or_none()
    return None if row is None else EntryView(*row)


def entry_by_source(session: Session, source: Source) -> EntryView | None:
    """Return the entry a source made, or None."""
    row = session.execute(
        sa.select(*_VIEW).where(_ENTRIES.c.source_namespace == source.namespace, _ENTRIES.c.source_key == source.key)
    ).one_or_none()
    return None if row is None else EntryView(*row)


def taken_back(session: Session, entry_id: UUID) -> int:
    """Return how many points of an entry were reversed or returned so far."""
    total = session.scalar(sa.select(sa.func.sum(sa.func.abs(_ENTRIES.c.points))).where(_ENTRIES.c.reverses_id == entry_id))
    return int(total or 0)


def _lots(session: Session, *conditions: sa.ColumnElement[bool]) -> list[Lot]:
    columns = _LOTS.c
    rows = session.execute(
        sa.select(*(columns[name] for name in _LOT_COLUMNS))
        .where(*conditions)
        .order_by(columns.expires_at.is_(None), columns.expires_at, columns.created_at, columns.id)
    ).all()
    return [Lot(*row) for row in rows]


_LOT_COLUMNS = ("id", "member_id", "entry_id", "amount", "left_", "reserved", "state", "unlock_at", "expires_at", "created_at")


def available_lots(session: Session, member_id: UUID) -> list[Lot]:
    """Return a member's available lots in the order they are spent: earliest expiry, then oldest, then id."""
    return _lots(session, _LOTS.c.member_id == member_id, _LOTS.c.state == "available")


def lots_by_id(session: Session, lot_ids: Sequence[UUID]) -> dict[UUID, Lot]:
    """Return lots by their ids."""
    return {lot.id: lot for lot in _lots(session, _LOTS.c.id.in_(lot_ids))} if lot_ids else {}


def lot_of_entry(session: Session, entry_id: UUID) -> Lot | None:
    """Return the lot an entry opened, or None when all of it repaid debt."""
    return next(iter(_lots(session, _LOTS.c.entry_id == entry_id)), None)


def allocations_of(session: Session, entry_id: UUID) -> list[tuple[UUID, int, int]]:
    """Return ``(lot id, amount, reserved)`` of an entry."""
    columns = _ALLOCATIONS.c
    rows = session.execute(sa.select(columns.lot_id, columns.amount, columns.reserved).where(columns.entry_id == entry_id)).all()
    return [(row.lot_id, row.amount, row.reserved) for row in rows]


def returned_by_lot(session: Session, entry_id: UUID) -> dict[UUID, int]:
    """Return what the returns of a redemption have put back into each lot so far."""
    rows = session.execute(
        sa.select(_ALLOCATIONS.c.lot_id, sa.func.sum(_ALLOCATIONS.c.amount))
        .join(_ENTRIES, _ENTRIES.c.id == _ALLOCATIONS.c.entry_id)
        .where(_ENTRIES.c.reverses_id == entry_id)
        .group_by(_ALLOCATIONS.c.lot_id)
    ).all()
    return {lot_id: int(amount) for lot_id, amount in rows}
