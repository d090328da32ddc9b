"""The ledger's pen: locks accounts, finds replays, and writes entries with postings, lots and allocations.

Only ``service`` uses it. A ``Journal`` gathers any number of entries and writes each table once, so that one accrual
and a batch of five hundred expiries take the same number of statements. Every entry is checked to sum to zero before
anything is written.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from server.kernel.clock import business_date
from server.kernel.db import UuidType, insert_all_absent, insert_if_absent, zone_of
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent
from server.points.errors import SourceConflictError
from server.points.models import MEMBER_ACCOUNTS, PointsAccount, PointsAllocation, PointsEntry, PointsLot, PointsPosting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor
    from server.kernel.source import Source

_ACCOUNTS = cast("sa.Table", PointsAccount.__table__)
_ENTRIES = cast("sa.Table", PointsEntry.__table__)
_POSTINGS = cast("sa.Table", PointsPosting.__table__)
_LOTS = cast("sa.Table", PointsLot.__table__)
_ALLOCATIONS = cast("sa.Table", PointsAllocation.__table__)

# Built once: SQLAlchemy finds the compiled form of an equal statement again, but not for free.
_WRITE_ACCOUNT = (
    sa.update(_ACCOUNTS)
    .where(_ACCOUNTS.c.member_id == sa.bindparam("of_member", type_=UuidType()))
    .values({name: sa.bindparam(f"new_{name}") for name in ("pending", "available", "reserved", "debt_owed")})
    .values(version=_ACCOUNTS.c.version + 1)
)
_WRITE_LOT = (
    sa.update(_LOTS)
    .where(_LOTS.c.id == sa.bindparam("of_lot", type_=UuidType()))
    .values(
        {name: sa.bindparam(f"new_{name}", type_=_LOTS.c[name].type) for name in ("left_", "reserved", "state", "unlock_at", "expires_at")}
    )
)


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


@dataclass(slots=True)
class Draft:
    """An entry being written: its moves change the locked account at once."""

    account: Account
    kind: str
    points: int
    source: Source
    fingerprint: str
    reason: str
    rule_id: UUID | None = None
    reverses_id: UUID | None = None
    details: dict[str, Any] | None = None
    topic: str | None = None
    id: UUID = field(default_factory=uuid7)
    postings: dict[tuple[str, UUID | None], int] = field(default_factory=dict)
    allocations: dict[UUID, list[int]] = field(default_factory=dict)
    lots: dict[UUID, Lot] = field(default_factory=dict)
    new_lot: Lot | None = None

    def move(self, origin: str, target: str, amount: int) -> None:
        """Move points from one account to another; nothing for an amount of zero."""
        if amount:
            self.post(origin, -amount, self.account)
            self.post(target, amount, self.account)

    def post(self, account: str, amount: int, owner: Account) -> None:
        """Post one side; the caller posts the other."""
        member_id = owner.member_id if account in MEMBER_ACCOUNTS else None
        place = (account, member_id)
        self.postings[place] = self.postings.get(place, 0) + amount
        if member_id is not None:
            owner.change(account, amount)

    def put(self, lot: Lot, amount: int, reserved: int = 0) -> None:
        """Put points into a lot (negative: take them), and set points in it aside (negative: free them)."""
        lot.left += amount
        lot.reserved += reserved
        if lot.left == 0:
            lot.state = "closed"
        change = self.allocations.setdefault(lot.id, [0, 0])
        change[0] += amount
        change[1] += reserved
        self.lots[lot.id] = lot

    def open_lot(self, amount: int, *, state: str, unlock_at: datetime | None, expires_at: datetime | None, now: datetime) -> None:
        """Open this entry's own lot; none for an amount of zero."""
        if amount:
            member_id = self.account.member_id
            self.new_lot = Lot(uuid7(), member_id, self.id, amount, amount, 0, state, unlock_at, expires_at, now)
            self.allocations[self.new_lot.id] = [amount, 0]


class Journal:
    """Gathers entries and writes them.

    Arguments:
        session: of the open transaction; the accounts concerned are locked in it.
        actor: who does it.
        now: when.
    """

    def __init__(self, session: Session, actor: Actor, now: datetime) -> None:
        self._session = session
        self._actor = actor
        self._now = now
        self._day = business_date(now, zone_of(session))
        self._entries: list[dict[str, Any]] = []
        self._postings: list[dict[str, Any]] = []
        self._allocations: list[dict[str, Any]] = []
        self._new_lots: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._lots: dict[UUID, Lot] = {}
        self._accounts: dict[UUID, Account] = {}

    def add(self, draft: Draft, *others: Account) -> EntryView:
        """Take in a finished draft and return how it will read.

        Arguments:
            draft: its moves are done.
            others: further accounts it moved points of.

        Raises:
            ValueError: when the postings do not sum to zero, which is a fault of ours.
        """
        if sum(draft.postings.values()):
            message = f"the postings of a {draft.kind} entry do not sum to zero"
            raise ValueError(message)
        account = draft.account
        self._entries.append(
            {
                "id": draft.id,
                "member_id": account.member_id,
                "kind": draft.kind,
                "points": draft.points,
                "source_namespace": draft.source.namespace,
                "source_key": draft.source.key,
                "fingerprint": draft.fingerprint,
                "reason": draft.reason,
                "rule_id": draft.rule_id,
                "reverses_id": draft.reverses_id,
                "details": draft.details,
                "available_after": account.available,
                "pending_after": account.pending,
                "occurred_at": self._now,
                "business_day": self._day,
                "actor_kind": self._actor.kind,
                "actor_ref": self._actor.ref[:80],
            }
        )
        moved = ((place, amount) for place, amount in draft.postings.items() if amount)
        self._postings += [
            {"entry_id": draft.id, "line": line, "account": name, "member_id": member_id, "amount": amount}
            for line, ((name, member_id), amount) in enumerate(moved, start=1)
        ]
        self._allocations += [
            {"entry_id": draft.id, "lot_id": lot_id, "amount": amount, "reserved": reserved}
            for lot_id, (amount, reserved) in draft.allocations.items()
        ]
        if draft.new_lot is not None:
            self._new_lots.append(_lot_row(draft.new_lot))
        self._lots.update(draft.lots)
        self._accounts.update({touched.member_id: touched for touched in (account, *others)})
        if draft.topic is not None:
            self._events.append(
                {
                    "id": uuid7(),
                    "key": f"{draft.topic}:{draft.id}",
                    "topic": draft.topic,
                    "aggregate_type": "member",
                    "aggregate_id": account.member_id,
                    "version": 0,
                    "payload": {"entry_id": str(draft.id), "member_id": str(account.member_id), "points": draft.points},
                    "occurred_at": self._now,
                    "expanded_at": None,
                }
            )
        return EntryView(draft.id, account.member_id, draft.kind, draft.points, account.available, account.pending, self._now)

    def write(self) -> None:
        """Write what was gathered, each table once."""
        if not self._entries:
            return
        session = self._session
        for table, rows in (
            (_ENTRIES, self._entries),
            (_LOTS, self._new_lots),
            (_POSTINGS, self._postings),
            (_ALLOCATIONS, self._allocations),
        ):
            if rows:
                session.execute(sa.insert(table).values(rows) if len(rows) <= _ONE_STATEMENT else sa.insert(table), *_many(rows))
        for_accounts = [
            {
                "of_member": account.member_id,
                "new_pending": account.pending,
                "new_available": account.available,
                "new_reserved": account.reserved,
                "new_debt_owed": account.debt_owed,
            }
            for account in self._accounts.values()
        ]
        session.execute(_WRITE_ACCOUNT, for_accounts)
        if self._lots:
            session.execute(_WRITE_LOT, [_changed_lot(lot) for lot in self._lots.values()])
        insert_all_absent(session, OutboxEvent, self._events)


_ONE_STATEMENT = 4


def _many(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], ...]:
    """Return the parameters for rows too many to be spelt out in the statement itself."""
    return () if len(rows) <= _ONE_STATEMENT else (rows,)


def _lot_row(lot: Lot) -> dict[str, Any]:
    return {
        "id": lot.id,
        "member_id": lot.member_id,
        "entry_id": lot.entry_id,
        "amount": lot.amount,
        "left_": lot.left,
        "reserved": lot.reserved,
        "state": lot.state,
        "unlock_at": lot.unlock_at,
        "expires_at": lot.expires_at,
        "created_at": lot.created_at,
    }


def _changed_lot(lot: Lot) -> dict[str, Any]:
    return {
        "of_lot": lot.id,
        "new_left_": lot.left,
        "new_reserved": lot.reserved,
        "new_state": lot.state,
        "new_unlock_at": lot.unlock_at,
        "new_expires_at": lot.expires_at,
    }


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


def _locked(session: Session, member_id: UUID) -> Any:
    columns = _ACCOUNTS.c
    return session.execute(
        sa.select(columns.member_id, columns.pending, columns.available, columns.reserved, columns.debt_owed, columns.merged_into)
        .where(columns.member_id == member_id)
        .with_for_update()
    ).one_or_none()


def find_replay(session: Session, source: Source, content: str) -> EntryView | None:
    """Return the entry a source made before.

    Raises:
        SourceConflictError: when it was made by other content.
    """
    columns = _ENTRIES.c
    row = session.execute(
        sa.select(*_VIEW, columns.fingerprint).where(columns.source_namespace == source.namespace, columns.source_key == source.key)
    ).one_or_none()
    if row is None:
        return None
    if row.fingerprint != content:
        raise SourceConflictError
    return replace(EntryView(*row[:-1]), replayed=True)


_VIEW = tuple(_ENTRIES.c[name] for name in ("id", "member_id", "kind", "points", "available_after", "pending_after", "occurred_at"))


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
