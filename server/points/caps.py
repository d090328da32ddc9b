"""What rules gave before, for their caps, and the counts that are kept of it.

A day's points are read from the day's entries. Caps over a rule's life (for a member, or for all members together) are counted
in rows of their own from the rule's first version that has one; what a refund takes back is not given anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.kernel.db import insert_if_absent, one_of, update_where
from server.points import books, queries
from server.points.models import PointsRuleBudget, PointsRuleShare
from server.points.rules import Given

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.points.rules import Rulebook


def hold(session: Session, member_id: UUID, book: Rulebook, *, day: date, now: datetime) -> Given:
    """Lock a member's account, then the budgets, and return what the rules gave before.

    Until the transaction ends nobody else gives by these budgets, nor anything to this member.

    Arguments:
        session: of an open transaction.
        member_id: whose points are to be given.
        book: the rules there are; without caps nothing but the account is touched.
        day: the business day of daily caps.
        now: present instant.
    """
    account = books.lock_account(session, member_id, now)
    today = queries.earned_on(session, account.member_id, day) if book.capped_daily else {}
    counted = book.counted
    if not counted:
        return Given(today)
    return Given(today, shares(session, [account.member_id], counted).get(account.member_id, {}), hold_budgets(session, counted))


def hold_budgets(session: Session, codes: Sequence[str]) -> dict[str, int]:
    """Lock the budgets of rules, in the order of their codes, and return what each has given to all members."""
    for code in sorted(codes):
        insert_if_absent(session, PointsRuleBudget, {"code": code, "given": 0})
    rows = session.execute(
        sa.select(PointsRuleBudget.code, PointsRuleBudget.given)
        .where(PointsRuleBudget.code.in_(codes))
        .order_by(PointsRuleBudget.code)
        .with_for_update()
    )
    return {row.code: row.given for row in rows}


def shares(session: Session, member_ids: Sequence[UUID], codes: Sequence[str]) -> dict[UUID, dict[str, int]]:
    """Return what rules have given to members so far; their accounts are locked."""
    rows = session.execute(
        sa.select(PointsRuleShare.member_id, PointsRuleShare.code, PointsRuleShare.given).where(
            one_of(session, PointsRuleShare.member_id, member_ids), PointsRuleShare.code.in_(codes)
        )
    )
    found: dict[UUID, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row.member_id, {})[row.code] = row.given
    return found


def note(session: Session, member_id: UUID, book: Rulebook, by_rule: Mapping[str, int]) -> None:
    """Count what rules gave to a member; ``hold`` came before it in the same transaction.

    Arguments:
        session: of an open transaction.
        member_id: who got it.
        book: the rules there are.
        by_rule: rule code → points (``OrderPoints.by_rule``).
    """
    counted = {code: count for code, count in by_rule.items() if code in book.counted}
    if not counted:
        return
    owner = queries.homes(session, (member_id,)).get(member_id, member_id)
    note_many(session, {owner: counted})


def note_many(session: Session, counted: Mapping[UUID, Mapping[str, int]]) -> None:
    """Count what rules gave to members; accounts and budgets are locked.

    Arguments:
        session: of an open transaction.
        counted: member who holds the account → rule code → points.
    """
    in_all: dict[str, int] = {}
    for owner in sorted(counted):
        for code, count in counted[owner].items():
            in_all[code] = in_all.get(code, 0) + count
            _add_share(session, owner, code, count)
    for code in sorted(in_all):
        statement = sa.update(PointsRuleBudget).where(PointsRuleBudget.code == code)
        update_where(session, statement.values(given=PointsRuleBudget.given + in_all[code]))


def merge(session: Session, from_id: UUID, into_id: UUID) -> None:
    """Add what one member was given to the other's count; both accounts are locked."""
    rows = session.execute(sa.select(PointsRuleShare.code, PointsRuleShare.given).where(PointsRuleShare.member_id == from_id)).all()
    for row in rows:
        _add_share(session, into_id, row.code, row.given)
    session.execute(sa.delete(PointsRuleShare).where(PointsRuleShare.member_id == from_id))


def _add_share(session: Session, owner: UUID, code: str, count: int) -> None:
    # Under the account's lock nobody else writes this row between the two.
    wanted = sa.update(PointsRuleShare).where(PointsRuleShare.member_id == owner, PointsRuleShare.code == code)
    if not update_where(session, wanted.values(given=PointsRuleShare.given + count)):
        session.execute(sa.insert(PointsRuleShare).values(member_id=owner, code=code, given=count))
