"""Closes months: writes once what every account did, what was owed, and a hash of the entries that say so.

Which month an entry belongs to follows from two facts that never change: its business day, and its id, which tells when it was recorded. A
month covers the entries of business days up to its last whose id is below the month's ``cutoff``, without those that an earlier month
covers. So what is recorded later about an old day (an import of past sales, a correction) belongs to the month that is still open, and the
closed one stays as it was read. A cutoff lies so far back that every transaction of then has ended.

Working a month out reads much and takes its time, so it is done before the transaction that writes it: what it covers changes no more.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from server.audit import service as audit
from server.points.control_rules import AccountMonth, account_months, liability_fen, liability_points, next_month
from server.points.errors import MonthOrderError
from server.points.models import PointsMonth, PointsMonthAccount, PointsMonthCohort
from server.points.month_queries import CohortMoves, account_rows, closed_month, closed_months, cohorts_of, covered_by, digest_of, sums_of

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


@dataclass(frozen=True, slots=True)
class Closing:
    """A month as it is going to be written."""

    month: date
    cutoff: UUID
    entries: int
    digest: str
    accounts: list[AccountMonth]
    cohorts: list[CohortMoves]


def work_out(session: Session, month: date, *, cutoff: UUID) -> Closing:
    """Work one month out.

    Arguments:
        session: only reads.
        month: its first day; months are closed in order, none left out.
        cutoff: entries recorded from this id on belong to a later month.

    Raises:
        MonthOrderError: an earlier month is still open, this one is closed, or the cutoff lies before the last one.
    """
    last = closed_months(session, 1)
    before = last[0] if last else None
    if month.day != 1 or (before is not None and (month != next_month(before.month) or cutoff < before.cutoff)):
        raise MonthOrderError(month=f"{month:%Y-%m}")
    covers = covered_by(month, cutoff, before)
    opening = {row.account: row.closing for row in account_rows(session, before.month)} if before is not None else {}
    count, digest = digest_of(session, covers)
    return Closing(month, cutoff, count, digest, account_months(opening, sums_of(session, covers)), cohorts_of(session, covers))


def close(session: Session, closing: Closing, *, points_per_yuan: int, actor: Actor, now: datetime) -> bool:
    """Write a month that was worked out.

    Arguments:
        session: of an open transaction.
        closing: from ``work_out``.
        points_per_yuan: what points are worth in the books.
        actor: who closes it.
        now: present instant.

    Returns:
        False when somebody else has closed it meanwhile; nothing is written then.
    """
    owed = liability_points(closing.accounts)
    values = {
        "month": closing.month,
        "cutoff": closing.cutoff,
        "entries": closing.entries,
        "digest": closing.digest,
        "points_per_yuan": points_per_yuan,
        "liability_points": owed,
        "liability_fen": liability_fen(owed, points_per_yuan),
        "closed_at": now,
    }
    # A plain insert: "unless it is there" is an update to MariaDB, which the application's role may not make of append-only tables.
    try:
        with session.begin_nested():
            session.execute(sa.insert(PointsMonth).values(**values))
    except IntegrityError:
        if closed_month(session, closing.month) is None:
            raise
        return False
    session.execute(
        sa.insert(PointsMonthAccount), [{"month": closing.month, **asdict(row), "closing": row.closing} for row in closing.accounts]
    )
    if closing.cohorts:
        session.execute(sa.insert(PointsMonthCohort), [{"month": closing.month, **asdict(one)} for one in closing.cohorts])
    audit.record(
        session,
        actor=actor,
        action="points_month.close",
        subject_type="points_month",
        subject_id=f"{closing.month:%Y-%m}",
        after={name: values[name] for name in ("entries", "digest", "points_per_yuan", "liability_points", "liability_fen")},
        now=now,
    )
    return True
