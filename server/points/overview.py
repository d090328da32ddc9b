"""What staff read: the whole ledger, one entry with its books, and the days' totals."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.kernel.clock import start_of_day
from server.kernel.db import zone_of
from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.points.models import PointsAccount, PointsAllocation, PointsEntry, PointsLot, PointsPosting, PointsRule

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_EXPIRY_BUCKETS = (7, 30, 90, 365)
# Whoever accrues may not know yet when points unlock, and says a day from here on; it is told as none.
UNNAMED_DAY = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One entry of the whole ledger. ``business_day`` lies before the day of ``occurred_at`` where the fact was told late."""

    id: UUID
    member_id: UUID
    kind: str
    points: int
    available_after: int
    pending_after: int
    source_namespace: str
    source_key: str
    reason: str
    actor_kind: str
    actor_ref: str
    occurred_at: datetime
    business_day: date


@dataclass(frozen=True, slots=True)
class PostingRow:
    """One side of an entry."""

    account: str
    member_id: UUID | None
    amount: int


@dataclass(frozen=True, slots=True)
class AllocationRow:
    """What an entry did to a lot, and the lot as it is now."""

    lot_id: UUID
    amount: int
    reserved: int
    lot_amount: int
    lot_left: int
    state: str
    unlock_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class EntryDetail:
    """An entry with its postings, lots, rule and the entries that took it back."""

    entry: LedgerRow
    rule: str | None
    details: dict[str, Any] | None
    reverses_id: UUID | None
    reversed_by: list[LedgerRow]
    postings: list[PostingRow]
    allocations: list[AllocationRow]


@dataclass(frozen=True, slots=True)
class LedgerFilter:
    """What to look for; every part that is not None must fit. Days are business days, by which the day's totals count too."""

    member_id: UUID | None = None
    kind: str | None = None
    source: str | None = None
    first_day: date | None = None
    last_day: date | None = None


@dataclass(frozen=True, slots=True)
class DayTotals:
    """Points given, spent, expired and taken back on one business day, all as positive numbers."""

    day: date
    issued: int
    redeemed: int
    expired: int
    reversed: int


@dataclass(frozen=True, slots=True)
class Totals:
    """What all members have together, in points: the brand's liability."""

    accounts: int
    pending: int
    available: int
    reserved: int
    debt: int


@dataclass(frozen=True, slots=True)
class ExpiringSoon:
    """Points that expire within so many days."""

    within_days: int
    points: int
    members: int


_ROW = tuple(getattr(PointsEntry, name) for name in LedgerRow.__slots__)


def search_entries(session: Session, wanted: LedgerFilter, page: PageRequest) -> Page[LedgerRow]:
    """Return entries of all members, newest first.

    Arguments:
        session: of an open transaction.
        wanted: ``source`` is the key, or the namespace and key with a slash between, or the beginning of the key.
        page: which page.
    """
    statement = sa.select(*_ROW)
    if wanted.member_id is not None:
        statement = statement.where(PointsEntry.member_id == wanted.member_id)
    if wanted.kind is not None:
        statement = statement.where(PointsEntry.kind == wanted.kind)
    if wanted.source:
        namespace, slash, key = wanted.source.partition("/")
        by_key = PointsEntry.source_key.startswith(wanted.source, autoescape=True)
        by_both = sa.and_(PointsEntry.source_namespace == namespace, PointsEntry.source_key.startswith(key, autoescape=True))
        statement = statement.where(sa.or_(by_key, by_both) if slash else by_key)
    if wanted.first_day is not None:
        # Nothing is told before it happens, so the index the page is sorted by bounds the search from below.
        told_from = start_of_day(wanted.first_day, zone_of(session))
        statement = statement.where(PointsEntry.business_day >= wanted.first_day, PointsEntry.occurred_at >= told_from)
    if wanted.last_day is not None:
        statement = statement.where(PointsEntry.business_day <= wanted.last_day)
    rows = session.execute(keyset(statement, PointsEntry.occurred_at, PointsEntry.id, page)).all()
    return page_of([LedgerRow(*row) for row in rows], page, lambda entry: (entry.occurred_at, entry.id))


def entry_detail(session: Session, entry_id: UUID) -> EntryDetail | None:
    """Return one entry with everything the books say about it, or None."""
    row = session.execute(
        sa.select(*_ROW, PointsRule.code, PointsRule.version, PointsEntry.details, PointsEntry.reverses_id)
        .outerjoin(PointsRule, PointsRule.id == PointsEntry.rule_id)
        .where(PointsEntry.id == entry_id)
    ).one_or_none()
    if row is None:
        return None
    postings = session.execute(
        sa.select(PointsPosting.account, PointsPosting.member_id, PointsPosting.amount)
        .where(PointsPosting.entry_id == entry_id)
        .order_by(PointsPosting.line)
    ).all()
    allocations = session.execute(
        sa.select(
            PointsLot.id,
            PointsAllocation.amount,
            PointsAllocation.reserved,
            PointsLot.amount,
            PointsLot.left_,
            PointsLot.state,
            PointsLot.unlock_at,
            PointsLot.expires_at,
        )
        .join(PointsLot, PointsLot.id == PointsAllocation.lot_id)
        .where(PointsAllocation.entry_id == entry_id)
        .order_by(PointsLot.created_at, PointsLot.id)
    ).all()
    reversed_by = session.execute(sa.select(*_ROW).where(PointsEntry.reverses_id == entry_id).order_by(PointsEntry.id)).all()
    return EntryDetail(
        entry=LedgerRow(*row[: len(_ROW)]),
        rule=f"{row.code}@{row.version}" if row.code else None,
        details=row.details,
        reverses_id=row.reverses_id,
        reversed_by=[LedgerRow(*found) for found in reversed_by],
        postings=[PostingRow(*found) for found in postings],
        allocations=[_told(AllocationRow(*found)) for found in allocations],
    )


def _told(row: AllocationRow) -> AllocationRow:
    return row if row.unlock_at is None or row.unlock_at < UNNAMED_DAY else replace(row, unlock_at=None)


def daily_totals(session: Session, last: date, days: int = 30) -> list[DayTotals]:
    """Return the totals of the ``days`` business days up to ``last``, oldest first, days without entries included."""
    first = last - timedelta(days=days - 1)
    rows = session.execute(
        sa.select(PointsEntry.business_day, PointsEntry.kind, sa.func.sum(PointsEntry.points))
        .where(PointsEntry.business_day.between(first, last), PointsEntry.kind.in_(("accrue", "redeem", "return", "expire", "reverse")))
        .group_by(PointsEntry.business_day, PointsEntry.kind)
    ).all()
    found = {(day, kind): int(points) for day, kind, points in rows}
    return [
        DayTotals(
            day=day,
            issued=found.get((day, "accrue"), 0),
            redeemed=-found.get((day, "redeem"), 0) - found.get((day, "return"), 0),
            expired=-found.get((day, "expire"), 0),
            reversed=-found.get((day, "reverse"), 0),
        )
        for day in (first + timedelta(days=place) for place in range(days))
    ]


def totals(session: Session) -> Totals:
    """Return what all members have together."""
    row = session.execute(
        sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(PointsAccount.pending), 0),
            sa.func.coalesce(sa.func.sum(PointsAccount.available), 0),
            sa.func.coalesce(sa.func.sum(PointsAccount.reserved), 0),
            sa.func.coalesce(sa.func.sum(PointsAccount.debt_owed), 0),
        ).where(PointsAccount.merged_into.is_(None))
    ).one()
    return Totals(*(int(value) for value in row))


def expiring(session: Session, today: date, within: tuple[int, ...] = _EXPIRY_BUCKETS) -> list[ExpiringSoon]:
    """Return how many points expire within so many days: 7, 30, 90 and 365 unless others are asked for."""
    zone = zone_of(session)
    start = start_of_day(today, zone)
    found = []
    for days in within:
        row = session.execute(
            sa.select(
                sa.func.coalesce(sa.func.sum(PointsLot.left_ - PointsLot.reserved), 0),
                sa.func.count(sa.distinct(PointsLot.member_id)),
            ).where(PointsLot.state == "available", PointsLot.expires_at > start, PointsLot.expires_at <= start + timedelta(days=days))
        ).one()
        found.append(ExpiringSoon(days, int(row[0]), int(row[1])))
    return found
