"""The proof that the books agree: every cached number against the postings and allocations it came from, by SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.points.models import PointsAccount, PointsAllocation, PointsEntry, PointsLot, PointsPosting, PointsRuleBudget, PointsRuleShare

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MAX_DRIFTS = 200


@dataclass(frozen=True, slots=True)
class Drift:
    """Two numbers that should be equal and are not.

    Arguments:
        check: which proof failed (``account_ledger``, ``account_lots``, ``lot_allocations``, ``entry_balance``, ``rule_budget``).
        subject: id of the member, lot or entry, or code of the rule.
        name: which of its numbers.
        expected: by the append-only books.
        found: in the cache.
    """

    check: str
    subject: str
    name: str
    expected: int
    found: int


def prove(session: Session) -> list[Drift]:
    """Compare all books; an empty list means that they agree.

    Returns:
        At most 200 drifts for each of the five proofs.
    """
    return [
        *_accounts_by_ledger(session),
        *_accounts_by_lots(session),
        *_lots_by_allocations(session),
        *_entries_balance(session),
        *_budgets_by_shares(session),
    ]


def _sum_where(condition: sa.ColumnElement[bool], amount: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, amount), else_=0)), 0)


def _accounts_by_ledger(session: Session) -> list[Drift]:
    names = {"pending": "pending", "available": "available", "reserved": "reserved", "debt_owed": "debt"}
    sums = (
        sa.select(
            PointsPosting.member_id,
            *(_sum_where(PointsPosting.account == account, PointsPosting.amount.expression).label(name) for name, account in names.items()),
        )
        .where(PointsPosting.member_id.is_not(None))
        .group_by(PointsPosting.member_id)
        .subquery()
    )
    expected = {name: sa.func.coalesce(-sums.c[name] if name == "debt_owed" else sums.c[name], 0).label(f"by_{name}") for name in names}
    return _compare(session, "account_ledger", sums, PointsAccount.member_id == sums.c.member_id, expected)


def _accounts_by_lots(session: Session) -> list[Drift]:
    free = PointsLot.left_ - PointsLot.reserved
    sums = (
        sa.select(
            PointsLot.member_id,
            _sum_where(PointsLot.state == "pending", PointsLot.left_.expression).label("pending"),
            _sum_where(PointsLot.state == "available", free).label("available"),
            sa.func.sum(PointsLot.reserved).label("reserved"),
        )
        .group_by(PointsLot.member_id)
        .subquery()
    )
    expected = {name: sa.func.coalesce(sums.c[name], 0).label(f"by_{name}") for name in ("pending", "available", "reserved")}
    return _compare(session, "account_lots", sums, PointsAccount.member_id == sums.c.member_id, expected)


def _compare(
    session: Session,
    check: str,
    sums: sa.Subquery,
    same: sa.ColumnElement[bool],
    expected: dict[str, sa.Label[int]],
) -> list[Drift]:
    cached = {name: getattr(PointsAccount, name) for name in expected}
    rows = session.execute(
        sa.select(PointsAccount.member_id, *cached.values(), *expected.values())
        .outerjoin(sums, same)
        .where(sa.or_(*(cached[name] != expected[name].element for name in expected)))
        .limit(MAX_DRIFTS)
    ).all()
    return [
        Drift(check, str(row.member_id), name, int(getattr(row, f"by_{name}")), getattr(row, name))
        for row in rows
        for name in expected
        if int(getattr(row, f"by_{name}")) != getattr(row, name)
    ]


def _lots_by_allocations(session: Session) -> list[Drift]:
    sums = (
        sa.select(
            PointsAllocation.lot_id,
            sa.func.sum(PointsAllocation.amount).label("left_"),
            sa.func.sum(PointsAllocation.reserved).label("reserved"),
        )
        .group_by(PointsAllocation.lot_id)
        .subquery()
    )
    left = sa.func.coalesce(sums.c.left_, 0)
    reserved = sa.func.coalesce(sums.c.reserved, 0)
    rows = session.execute(
        sa.select(PointsLot.id, PointsLot.left_, PointsLot.reserved, left.label("by_left"), reserved.label("by_reserved"))
        .outerjoin(sums, sums.c.lot_id == PointsLot.id)
        .where(sa.or_(PointsLot.left_ != left, PointsLot.reserved != reserved))
        .limit(MAX_DRIFTS)
    ).all()
    drifts = []
    for row in rows:
        for name, expected, found in (("left", row.by_left, row.left_), ("reserved", row.by_reserved, row.reserved)):
            if int(expected) != found:
                drifts.append(Drift("lot_allocations", str(row.id), name, int(expected), found))
    return drifts


def _entries_balance(session: Session) -> list[Drift]:
    total = sa.func.coalesce(sa.func.sum(PointsPosting.amount), 0)
    sides = sa.func.count(PointsPosting.line)
    rows = session.execute(
        sa.select(PointsEntry.id, total.label("total"), sides.label("sides"))
        .outerjoin(PointsPosting, PointsPosting.entry_id == PointsEntry.id)
        .group_by(PointsEntry.id)
        .having(sa.or_(total != 0, sides < 2))  # noqa: PLR2004 - an entry has two sides at least
        .limit(MAX_DRIFTS)
    ).all()
    return [Drift("entry_balance", str(row.id), "sum of postings", 0, int(row.total)) for row in rows]


def _budgets_by_shares(session: Session) -> list[Drift]:
    sums = sa.select(PointsRuleShare.code, sa.func.sum(PointsRuleShare.given).label("given")).group_by(PointsRuleShare.code).subquery()
    expected = sa.func.coalesce(sums.c.given, 0)
    rows = session.execute(
        sa.select(PointsRuleBudget.code, PointsRuleBudget.given, expected.label("by_members"))
        .outerjoin(sums, sums.c.code == PointsRuleBudget.code)
        .where(PointsRuleBudget.given != expected)
        .limit(MAX_DRIFTS)
    ).all()
    return [Drift("rule_budget", row.code, "given", int(row.by_members), row.given) for row in rows]
