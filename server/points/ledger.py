"""The ledger's pen: locks accounts, finds replays, and writes entries with postings, lots and allocations.

Only ``service`` uses it. A ``Journal`` gathers any number of entries and writes each table once, so that one accrual
and a batch of five hundred expiries take the same number of statements. Every entry is checked to sum to zero before
anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from server.kernel.clock import business_date
from server.kernel.column_types import UuidType
from server.kernel.db import absent, insert_all_absent, zone_of
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent
from server.kernel.prepared import Prepared, PreparedInsert, numbered, together
from server.points.books import Account, EntryView, Lot
from server.points.models import MEMBER_ACCOUNTS, PointsAccount, PointsAllocation, PointsEntry, PointsLot, PointsPosting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor
    from server.kernel.source import Source

_ACCOUNTS = cast("sa.Table", PointsAccount.__table__)
_ENTRIES = cast("sa.Table", PointsEntry.__table__)
_POSTINGS = cast("sa.Table", PointsPosting.__table__)
_LOTS = cast("sa.Table", PointsLot.__table__)
_ALLOCATIONS = cast("sa.Table", PointsAllocation.__table__)

_INSERT = {table.name: PreparedInsert(table) for table in (_ENTRIES, _POSTINGS, _LOTS, _ALLOCATIONS)}

# A single entry has few rows of each kind: then all of it goes to the database in one trip.
_FEW = PreparedInsert.TOGETHER

# Built once: SQLAlchemy finds the compiled form of an equal statement again, but not for free.
_WRITE_ACCOUNT = Prepared(
    sa.update(_ACCOUNTS)
    .where(_ACCOUNTS.c.member_id == sa.bindparam("of_member", type_=UuidType()))
    .values({name: sa.bindparam(f"new_{name}") for name in ("pending", "available", "reserved", "debt_owed")})
    .values(version=_ACCOUNTS.c.version + 1)
)
_WRITE_LOT = Prepared(
    sa.update(_LOTS)
    .where(_LOTS.c.id == sa.bindparam("of_lot", type_=UuidType()))
    .values(
        {name: sa.bindparam(f"new_{name}", type_=_LOTS.c[name].type) for name in ("left_", "reserved", "state", "unlock_at", "expires_at")}
    )
)


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
    business_day: date | None = None
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
                "business_day": draft.business_day or self._day,
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
        changed = [_changed_account(account) for account in self._accounts.values()]
        lots = [_changed_lot(lot) for lot in self._lots.values()]
        tables = ((_ENTRIES, self._entries), (_LOTS, self._new_lots), (_POSTINGS, self._postings), (_ALLOCATIONS, self._allocations))
        if max(len(self._postings), len(self._allocations), len(lots)) <= _FEW:
            parts: list[tuple[Prepared, Mapping[str, Any]]] = [
                (_INSERT[table.name].of(len(rows)), numbered(rows)) for table, rows in tables if rows
            ]
            parts += [(_WRITE_ACCOUNT, account) for account in changed]
            parts += [(_WRITE_LOT, lot) for lot in lots]
            parts += [absent(session, OutboxEvent, event) for event in self._events]
            together(session, parts)
            return
        for table, rows in tables:
            _INSERT[table.name].run(session, rows)
        _WRITE_ACCOUNT.run_each(session, changed)
        _WRITE_LOT.run_each(session, lots)
        insert_all_absent(session, OutboxEvent, self._events)


def _changed_account(account: Account) -> dict[str, Any]:
    return {
        "of_member": account.member_id,
        "new_pending": account.pending,
        "new_available": account.available,
        "new_reserved": account.reserved,
        "new_debt_owed": account.debt_owed,
    }


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


def write(session: Session, draft: Draft, actor: Actor, now: datetime) -> EntryView:
    """Write a single entry."""
    journal = Journal(session, actor, now)
    view = journal.add(draft)
    journal.write()
    return view
