"""What can be read about months: the closed ones, the open one so far, cohorts, and the proof that closed months still hold.

Which entries a month covers is told in ``months``; the conditions that say it by SQL are here, for the close and the proof alike.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.points.control_rules import ACCOUNTS, MOVES, AccountMonth, account_months, last_day
from server.points.models import (
    PointsAllocation,
    PointsEntry,
    PointsLot,
    PointsMonth,
    PointsMonthAccount,
    PointsMonthCohort,
    PointsPosting,
)
from server.points.proofs import Drift

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

_PIECE = 5000
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class MonthView:
    """A closed month."""

    month: date
    cutoff: UUID
    entries: int
    digest: str
    points_per_yuan: int
    liability_points: int
    liability_fen: int
    closed_at: datetime


@dataclass(frozen=True, slots=True)
class CohortMoves:
    """What became of the points issued in one month (``cohort``): all as positive numbers, redeemed without what was returned."""

    cohort: date
    issued: int = 0
    redeemed: int = 0
    expired: int = 0
    reversed: int = 0


_MONTH = tuple(getattr(PointsMonth, name) for name in MonthView.__slots__)
_ACCOUNT = tuple(getattr(PointsMonthAccount, one.name) for one in fields(AccountMonth))
Covers = sa.ColumnElement[bool]


def first_day(session: Session) -> date | None:
    """Return the business day of the oldest entry, or None."""
    return session.scalar(sa.select(sa.func.min(PointsEntry.business_day)))


def closed_months(session: Session, limit: int = 24) -> list[MonthView]:
    """Return the closed months, newest first."""
    return [MonthView(*row) for row in session.execute(sa.select(*_MONTH).order_by(PointsMonth.month.desc()).limit(limit))]


def closed_month(session: Session, month: date) -> MonthView | None:
    """Return one closed month, or None."""
    row = session.execute(sa.select(*_MONTH).where(PointsMonth.month == month)).one_or_none()
    return None if row is None else MonthView(*row)


def account_rows(session: Session, month: date) -> list[AccountMonth]:
    """Return what every account did in a closed month, in the order of the accounts."""
    rows = session.execute(sa.select(*_ACCOUNT).where(PointsMonthAccount.month == month)).all()
    return sorted((AccountMonth(*row) for row in rows), key=lambda row: ACCOUNTS.index(row.account))


def history(session: Session, limit: int = 24) -> list[tuple[date, AccountMonth]]:
    """Return what every account did in each of the newest closed months, newest first, in the order of the accounts."""
    statement = sa.select(PointsMonthAccount.month, *_ACCOUNT).order_by(PointsMonthAccount.month.desc()).limit(limit * len(ACCOUNTS))
    rows = [(row[0], AccountMonth(*row[1:])) for row in session.execute(statement)]
    return sorted(rows, key=lambda pair: (-pair[0].toordinal(), ACCOUNTS.index(pair[1].account)))


def open_month(session: Session) -> list[AccountMonth]:
    """Return what every account did since the last close, so far; its last closing is the opening."""
    last = closed_months(session, 1)
    opening = {row.account: row.closing for row in account_rows(session, last[0].month)} if last else {}
    return account_months(opening, sums_of(session, uncovered(last[0]) if last else sa.true()))


def cohorts(session: Session, limit: int = 24) -> list[CohortMoves]:
    """Return what became of the points of each month by the closed months, newest cohort first."""
    of = PointsMonthCohort
    sums = [sa.func.sum(getattr(of, name)) for name in ("issued", "redeemed", "expired", "reversed")]
    rows = session.execute(sa.select(of.cohort, *sums).group_by(of.cohort).order_by(of.cohort.desc()).limit(limit)).all()
    return [CohortMoves(row[0], *(int(value) for value in row[1:])) for row in rows]


# --- Which entries, and what they say ---------------------------------------------------------------------------------


def covered_by(month: date, cutoff: UUID, before: MonthView | None) -> Covers:
    """Return the condition of the entries that a month covers, given the month before it."""
    recorded = sa.and_(PointsEntry.business_day <= last_day(month), PointsEntry.id < cutoff)
    if before is None:
        return recorded
    # In two ranges, each of one index, and not as "the one without the other", which no engine looks up.
    late = sa.and_(PointsEntry.business_day <= last_day(before.month), PointsEntry.id >= before.cutoff, PointsEntry.id < cutoff)
    return sa.or_(sa.and_(PointsEntry.business_day > last_day(before.month), recorded), late)


def uncovered(last: MonthView) -> Covers:
    """Return the condition of the entries that no closed month covers."""
    return sa.or_(PointsEntry.business_day > last_day(last.month), PointsEntry.id >= last.cutoff)


def sums_of(session: Session, covers: Covers) -> dict[tuple[str, str], int]:
    """Return (account, kind of entry) → sum of the postings of some entries."""
    rows = session.execute(
        sa.select(PointsPosting.account, PointsEntry.kind, sa.func.sum(PointsPosting.amount))
        .join(PointsEntry, PointsEntry.id == PointsPosting.entry_id)
        .where(covers)
        .group_by(PointsPosting.account, PointsEntry.kind)
    ).all()
    return {(account, kind): int(total) for account, kind, total in rows}


def digest_of(session: Session, covers: Covers) -> tuple[int, str]:
    """Return how many entries there are, and the SHA-256 over them and their postings in the order they were recorded."""
    count, hashed = 0, hashlib.sha256()
    last: UUID | None = None
    for entry_id, text in _lines(session, covers):
        count += entry_id != last
        last = entry_id
        hashed.update(text.encode())
    return count, hashed.hexdigest()


def _lines(session: Session, covers: Covers) -> Iterator[tuple[UUID, str]]:
    of, line = PointsEntry, PointsPosting
    statement = (
        sa.select(
            of.id, line.line, of.kind, of.points, of.business_day, of.source_namespace, of.source_key, of.fingerprint,
            line.account, line.member_id, line.amount,
        )
        .join(line, line.entry_id == of.id)
        .where(covers)
        .order_by(of.id, line.line)
        .limit(_PIECE)
    )  # fmt: skip
    after: Covers = sa.true()
    while rows := session.execute(statement.where(after)).all():
        for row in rows:
            owner = row.member_id.hex if row.member_id else ""
            yield row.id, "|".join(str(part) for part in (row.id.hex, *row[1:9], owner, row.amount)) + "\n"
        if len(rows) < _PIECE:
            return
        end = rows[-1]
        # The first part says nothing new, but lets the engine begin there instead of at the ledger's first entry.
        after = sa.and_(of.id >= end.id, sa.or_(of.id > end.id, line.line > end.line))


def cohorts_of(session: Session, covers: Covers) -> list[CohortMoves]:
    """Return what some entries did to the points of each month."""
    origin = sa.orm.aliased(PointsEntry)
    amount = PointsAllocation.amount
    rows = session.execute(
        sa.select(
            origin.business_day,
            PointsEntry.kind,
            sa.func.sum(sa.case((amount > 0, amount), else_=0)),
            sa.func.sum(sa.case((amount < 0, amount), else_=0)),
        )
        .select_from(PointsAllocation)
        .join(PointsEntry, PointsEntry.id == PointsAllocation.entry_id)
        .join(PointsLot, PointsLot.id == PointsAllocation.lot_id)
        .join(origin, origin.id == PointsLot.entry_id)
        .where(covers, PointsEntry.kind.in_(("accrue", "adjust", "redeem", "return", "expire", "reverse")))
        .group_by(origin.business_day, PointsEntry.kind)
    ).all()
    found: dict[date, dict[str, int]] = {}
    for day, kind, put, taken in rows:
        moves = found.setdefault(day.replace(day=1), dict.fromkeys(("issued", "redeemed", "expired", "reversed"), 0))
        into, out = {"redeem": ("redeemed", "redeemed"), "expire": ("expired", "expired")}.get(kind, ("issued", "reversed"))
        if kind == "return":
            moves["redeemed"] -= int(put)
            continue
        moves[into] += int(put)
        moves[out] -= int(taken)
    return [CohortMoves(cohort, **found[cohort]) for cohort in sorted(found)]


# --- The proof --------------------------------------------------------------------------------------------------------


def prove_months(session: Session, *, hashed: int | None = None) -> list[Drift]:
    """Compare every closed month with the entries it covers, and all of them with the whole ledger; an empty list means they agree.

    Arguments:
        session: only reads.
        hashed: a number that changes from night to night: besides the newest month's, one older month's hash is worked out again, each in
            its turn. None for all of them.
    """
    months = list(reversed(closed_months(session, limit=10_000)))
    if not months:
        return []
    drifts: list[Drift] = []
    opening: dict[str, int] = {}
    before: MonthView | None = None
    for place, month in enumerate(months):
        covers = covered_by(month.month, month.cutoff, before)
        rows = {row.account: row for row in account_rows(session, month.month)}
        for expected in account_months(opening, sums_of(session, covers)):
            found = rows[expected.account]
            drifts += [
                Drift("month", f"{month.month:%Y-%m}", f"{expected.account}.{name}", getattr(expected, name), getattr(found, name))
                for name in ("opening", *MOVES)
                if getattr(expected, name) != getattr(found, name)
            ]
        if hashed is None or month is months[-1] or place == hashed % len(months):
            count, digest = digest_of(session, covers)
            if count != month.entries:
                drifts.append(Drift("month", f"{month.month:%Y-%m}", "entries", count, month.entries))
            if digest != month.digest:
                numbers = (int(text[:_DIGITS], 16) for text in (digest, month.digest))
                drifts.append(Drift("month", f"{month.month:%Y-%m}", "digest", *numbers))
        opening = {account: row.closing for account, row in rows.items()}
        before = month
    return drifts + _closes_and_ledger(session, months[-1], opening)


def _closes_and_ledger(session: Session, last: MonthView, closing: dict[str, int]) -> list[Drift]:
    """Compare the last closing and what came since with all postings there are."""
    ledger = {
        account: int(total)
        for account, total in session.execute(
            sa.select(PointsPosting.account, sa.func.sum(PointsPosting.amount)).group_by(PointsPosting.account)
        )
    }
    since: dict[str, int] = {}
    for (account, _), total in sums_of(session, uncovered(last)).items():
        since[account] = since.get(account, 0) + total
    return [
        Drift("months_ledger", account, "closing", ledger.get(account, 0), closing.get(account, 0) + since.get(account, 0))
        for account in ACCOUNTS
        if ledger.get(account, 0) != closing.get(account, 0) + since.get(account, 0)
    ]
