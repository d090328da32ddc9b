"""Giving points to many members at once: the very rows that ``accrue`` writes one by one, each table written once for a batch.

Each accrual has an instant of its own, so that a history keeps its days. A batch is given in the order of its instants: what an entry
shows after it is right for a member only then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.kernel.clock import business_date
from server.kernel.db import insert_all_absent, insert_rows, one_of, zone_of
from server.kernel.outbox import OutboxEvent
from server.points import books, events, queries
from server.points.accruals import positive
from server.points.books import EntryView
from server.points.errors import SourceConflictError
from server.points.ledger import Draft, Journal
from server.points.models import PointsAccount, PointsAllocation, PointsEntry, PointsLot, PointsPosting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor
    from server.kernel.amounts import Points
    from server.kernel.source import Source
    from server.points.rules import RuleRef


@dataclass(frozen=True, slots=True)
class Accrual:
    """One accrual of a batch; the fields mean what they mean to ``accrue``. An expiry of its own goes before its rule's."""

    member_id: UUID
    points: Points
    source: Source
    reason: str
    occurred_at: datetime
    rule: RuleRef | None = None
    details: dict[str, Any] | None = None
    expires_at: datetime | None = None


class _DatedJournal(Journal):
    """A journal whose entries have instants of their own."""

    versions: dict[UUID, int]

    def at(self, instant: datetime) -> None:
        """Date what is added from now on."""
        self._now = instant
        self._day = business_date(instant, zone_of(self._session))

    def write(self) -> None:
        """Write what was gathered, each table once."""
        if not self._entries:
            return
        session = self._session
        for model, rows in (
            (PointsEntry, self._entries),
            (PointsLot, self._new_lots),
            (PointsPosting, self._postings),
            (PointsAllocation, self._allocations),
        ):
            insert_rows(session, model, rows)
        balances = [
            {
                "member_id": account.member_id,
                "pending": account.pending,
                "available": account.available,
                "reserved": account.reserved,
                "debt_owed": account.debt_owed,
                "version": self.versions[account.member_id],
            }
            for account in self._accounts.values()
        ]
        session.execute(sa.update(PointsAccount), balances)
        insert_all_absent(session, OutboxEvent, self._events)


def accrue_many(session: Session, items: Sequence[Accrual], *, actor: Actor, announce: bool = True) -> list[EntryView]:
    """Give points at once to many members, available from the instant of each item.

    Arguments:
        session: of an open transaction.
        items: in the order of their instants; a source twice in one batch counts once.
        actor: who gives them.
        announce: whether ``points.accrued`` is told for each; a history that is taken over is no news.

    Returns:
        One entry for each item, the replayed ones marked.

    Raises:
        InvalidError: points below one.
        SourceConflictError: a source made an entry of other content.
    """
    if not items:
        return []
    homes = queries.homes(session, {item.member_id for item in items})
    accounts, versions = _locked(session, {homes.get(item.member_id, item.member_id): item.occurred_at for item in reversed(items)})
    contents = [books.fingerprint("accrue", item.member_id, positive(item.points), item.reason, None) for item in items]
    known = _known(session, items)
    journal = _DatedJournal(session, actor, items[0].occurred_at)
    journal.versions = versions
    views: list[EntryView] = []
    for item, content in zip(items, contents, strict=True):
        place = (item.source.namespace, item.source.key)
        before = known.get(place)
        if before is not None:
            if before[0] != content:
                raise SourceConflictError
            views.append(replace(before[1], replayed=True))
            continue
        account = accounts[homes.get(item.member_id, item.member_id)]
        versions[account.member_id] += 1
        count = item.points.count
        draft = Draft(
            account,
            "accrue",
            count,
            item.source,
            content,
            item.reason,
            rule_id=item.rule.id if item.rule else None,
            details=item.details,
            topic=events.ACCRUED if announce else None,
        )
        expires_at = item.expires_at
        if expires_at is None and item.rule is not None:
            expires_at = item.rule.expiry.expires_at(item.occurred_at, zone_of(session))
        repaid = min(account.debt_owed, count)
        draft.move("issuer", "debt", repaid)
        draft.move("issuer", "available", count - repaid)
        draft.open_lot(count - repaid, state="available", unlock_at=None, expires_at=expires_at, now=item.occurred_at)
        journal.at(item.occurred_at)
        view = journal.add(draft)
        known[place] = (content, view)
        views.append(view)
    journal.write()
    return views


def hold(session: Session, opened: dict[UUID, datetime]) -> dict[UUID, UUID]:
    """Open and lock the accounts of many members at once, for whoever reads something under a cap before it gives.

    Arguments:
        session: of an open transaction.
        opened: member → the instant an account that is missing opens with.

    Returns:
        Member → the member whose account holds their points.
    """
    homes = queries.homes(session, opened)
    _locked(session, {homes.get(member_id, member_id): instant for member_id, instant in opened.items()})
    return homes


def _locked(session: Session, opened: dict[UUID, datetime]) -> tuple[dict[UUID, books.Account], dict[UUID, int]]:
    """Open the accounts that are missing, lock all of them in the order of their ids, and return them with their versions."""
    wanted = sorted(opened)
    fresh = {"pending": 0, "available": 0, "reserved": 0, "debt_owed": 0, "version": 0, "merged_into": None}
    there = set(session.scalars(sa.select(PointsAccount.member_id).where(one_of(session, PointsAccount.member_id, wanted))))
    rows = [{"member_id": member_id, **fresh, "opened_at": opened[member_id]} for member_id in wanted if member_id not in there]
    insert_all_absent(session, PointsAccount, rows)
    accounts = books.lock_accounts(session, wanted)
    versions = session.execute(
        sa.select(PointsAccount.member_id, PointsAccount.version).where(one_of(session, PointsAccount.member_id, wanted))
    )
    return accounts, {row.member_id: row.version for row in versions}


def _known(session: Session, items: Sequence[Accrual]) -> dict[tuple[str, str], tuple[str, EntryView]]:
    """Return what the sources of a batch made before, by source, with the hash of its content."""
    by_namespace: dict[str, list[str]] = {}
    for item in items:
        by_namespace.setdefault(item.source.namespace, []).append(item.source.key)
    known: dict[tuple[str, str], tuple[str, EntryView]] = {}
    for namespace, keys in by_namespace.items():
        rows = session.execute(
            sa.select(
                PointsEntry.source_key,
                PointsEntry.fingerprint,
                PointsEntry.id,
                PointsEntry.member_id,
                PointsEntry.kind,
                PointsEntry.points,
                PointsEntry.available_after,
                PointsEntry.pending_after,
                PointsEntry.occurred_at,
            ).where(PointsEntry.source_namespace == namespace, one_of(session, PointsEntry.source_key, keys))
        )
        known.update({(namespace, row[0]): (row[1], EntryView(*row[2:])) for row in rows})
    return known
