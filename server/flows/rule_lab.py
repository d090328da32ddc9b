"""The rule lab: what past orders would have earned by drafts of rules, against what the rules that hold give on the same orders.

Both sides are computed by the very function that gives points. Members are gone through in the order of their ids, a few hundred at a
time, each with all their orders by date: memory does not grow with the history, and a run that is killed goes on where it was. What is
simplified is written in ``docs/points.md``: today's tiers, caps that begin empty, drafts that hold on every day of the range.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.kernel.clock import business_date, end_of_day, start_of_day
from server.kernel.db import one_of, zone_of
from server.kernel.ids import uuid7
from server.orders.models import Order, OrderLine
from server.points import dry_runs
from server.points import queries as points
from server.points.rules import (
    DatedRule,
    EarningContext,
    EarningLine,
    Given,
    Rulebook,
    RuleRef,
    order_points,
    read_expiry,
    read_rule,
)
from server.rewards import queries as rewards
from server.tiers import queries as tiers
from server.tiers.models import MemberTier, Tier

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.points.dry_runs import DryRunView

MEMBERS = 300
TOP = 10
SIDES = ("before", "after")
MOVES = ("gain", "lose", "same")


@dataclass(slots=True)
class Sums:
    """What a run has found so far; small, whatever the history's size.

    Arguments:
        after_member: the last member looked at.
        orders, members: counted so far.
        moved: how many members gain, lose, and get the same.
        days: business day → points before and after.
        tiers: tier code → members, points before and after, and how many gain, lose, and get the same.
        gainers, losers: the biggest, as (difference, member, before, after).
        in_all: per side, what rules with a budget have given.
    """

    after_member: str | None = None
    orders: int = 0
    members: int = 0
    moved: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MOVES, 0))
    days: dict[str, list[int]] = field(default_factory=dict)
    tiers: dict[str, list[int]] = field(default_factory=dict)
    gainers: list[list[Any]] = field(default_factory=list)
    losers: list[list[Any]] = field(default_factory=list)
    in_all: dict[str, dict[str, int]] = field(default_factory=lambda: {side: {} for side in SIDES})

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}

    def add_member(self, member_id: UUID, tier: str, before: int, after: int) -> None:
        """Count a member's points on both sides."""
        self.members += 1
        difference = after - before
        moved = MOVES[0] if difference > 0 else MOVES[1] if difference < 0 else MOVES[2]
        self.moved[moved] += 1
        row = self.tiers.setdefault(tier, [0] * (3 + len(MOVES)))
        for place, more in ((0, 1), (1, before), (2, after), (3 + MOVES.index(moved), 1)):
            row[place] += more
        entry = [abs(difference), str(member_id), before, after]
        if difference > 0:
            self.gainers = heapq.nlargest(TOP, [*self.gainers, entry])
        elif difference < 0:
            self.losers = heapq.nlargest(TOP, [*self.losers, entry])


@dataclass(frozen=True, slots=True)
class _Sale:
    member_id: UUID
    placed_at: datetime
    sold_at: datetime
    store: str | None
    channel: str
    lines: list[EarningLine]


def books_of(session: Session, run: DryRunView) -> dict[str, Rulebook]:
    """Return the rules that held when it was asked for (``before``), and those with the drafts in their places (``after``)."""
    before: list[DatedRule] = []
    after: list[DatedRule] = []
    tried = {draft["code"]: draft for draft in run.drafts}
    for rule in points.rule_versions(session, as_of=run.asked_at):
        if not rule.enabled:
            continue
        ref = RuleRef(rule.id, rule.code, rule.version, read_expiry(rule.document))
        dated = DatedRule(read_rule(rule.kind, rule.document, ref), rule.valid_from, rule.valid_until)
        before.append(dated)
        if rule.code not in tried:
            after.append(dated)
    after += [
        DatedRule(read_rule(draft["kind"], draft["document"], RuleRef(uuid7(), draft["code"], 0)))
        for draft in tried.values()
        if draft["enabled"]
    ]
    return {"before": Rulebook(before), "after": Rulebook(after)}


def how_many(session: Session, run: DryRunView) -> int:
    """Return how many members have orders in the range."""
    return int(session.scalar(sa.select(sa.func.count(sa.distinct(Order.member_id))).where(*_counted(session, run))) or 0)


def look_at(session: Session, run: DryRunView, books: dict[str, Rulebook], sums: Sums, limit: int = MEMBERS) -> int:
    """Look at the next members and add what they would have had; return how many there were, none at the end.

    Arguments:
        session: any; nothing is written.
        run: which.
        books: from ``books_of``.
        sums: of the members before; changed.
        limit: members at most.
    """
    statement = sa.select(Order.member_id).where(*_counted(session, run)).distinct().order_by(Order.member_id).limit(limit)
    if sums.after_member is not None:
        statement = statement.where(Order.member_id > UUID(sums.after_member))
    members = [member_id for member_id in session.scalars(statement) if member_id is not None]
    if not members:
        return 0
    held = _tiers(session, members)
    lowest = min(tiers.definitions(session), key=lambda tier: tier.rank, default=None)
    first = (lowest.code, lowest.points_multiplier_percent) if lowest else ("", 100)
    sales: dict[UUID, list[_Sale]] = {member_id: [] for member_id in members}
    for sale in _sales(session, run, members):
        sales[sale.member_id].append(sale)
    zone = zone_of(session)
    for member_id in members:
        tier, percent = held.get(member_id, first)
        totals = dict.fromkeys(SIDES, 0)
        for place, side in enumerate(SIDES):
            today: dict[date, dict[str, int]] = {}
            to_member: dict[str, int] = {}
            for sale in sales[member_id]:
                day = business_date(sale.placed_at, zone)
                given = Given(today.setdefault(day, {}), to_member, sums.in_all[side])
                context = EarningContext(
                    sale.lines,
                    books[side].at(sale.sold_at),
                    percent,
                    tier=tier,
                    store=sale.store,
                    channel=sale.channel,
                    day=business_date(sale.sold_at, zone),
                    given=given,
                )
                earned = order_points(context)
                for counts in (today[day], to_member, sums.in_all[side]):
                    for code, count in earned.by_rule.items():
                        counts[code] = counts.get(code, 0) + count
                sums.days.setdefault(str(day), [0, 0])[place] += earned.total
                totals[side] += earned.total
        sums.orders += len(sales[member_id])
        sums.add_member(member_id, tier, totals["before"], totals["after"])
    sums.after_member = str(members[-1])
    return len(members)


def result_of(session: Session, sums: Sums) -> dict[str, Any]:
    """Return what a run that is through has found, with what a point costs when points pay for orders."""
    policy = rewards.payment_policy(session)
    before, after = (sum(row[place] for row in sums.tiers.values()) for place in (1, 2))
    worth = policy.max_percent > 0
    names = {tier.code: (tier.rank, tier.name) for tier in tiers.definitions(session)}
    return {
        "orders": sums.orders,
        "members": sums.members,
        "before": before,
        "after": after,
        "before_fen": policy.fen_of(before) if worth else None,
        "after_fen": policy.fen_of(after) if worth else None,
        **sums.moved,
        "days": [[day, *sums.days[day]] for day in sorted(sums.days)],
        "tiers": [
            {"code": code, "name": names.get(code, (0, code))[1], **dict(zip(("members", *SIDES, *MOVES), row, strict=True))}
            for code, row in sorted(sums.tiers.items(), key=lambda item: names.get(item[0], (0, "")))
        ],
        "gainers": [entry[1:] for entry in sums.gainers],
        "losers": [entry[1:] for entry in sums.losers],
    }


def carry_on(session: Session, run: DryRunView, sums: Sums, *, looked: int, total: int | None, now: datetime) -> bool:
    """Write a chunk down, or the result when it was the last; False when somebody else did."""
    if looked:
        return dry_runs.advance(session, run, sums.document(), done=looked, total=total, now=now)
    dry_runs.finish(session, run, result_of(session, sums), now=now)
    return False


def _counted(session: Session, run: DryRunView) -> tuple[sa.ColumnElement[bool], ...]:
    zone = zone_of(session)
    return (
        Order.member_id.is_not(None),
        Order.paid_at.is_not(None),
        Order.state.not_in(("cancelled", "refunded")),
        Order.placed_at >= start_of_day(run.since, zone),
        Order.placed_at < end_of_day(run.until, zone),
    )


def _sales(session: Session, run: DryRunView, members: Sequence[UUID]) -> list[_Sale]:
    wanted = (*_counted(session, run), one_of(session, Order.member_id, members))
    columns = (Order.id, Order.member_id, Order.placed_at, Order.paid_at, Order.store_code, Order.channel)
    found = session.execute(sa.select(*columns).where(*wanted).order_by(Order.placed_at, Order.id)).all()
    lines: dict[UUID, list[EarningLine]] = {row.id: [] for row in found}
    cells = session.execute(
        sa.select(OrderLine.order_id, OrderLine.line_no, OrderLine.sku, OrderLine.category, OrderLine.paid_fen)
        .join(Order, Order.id == OrderLine.order_id)
        .where(*wanted)
        .order_by(OrderLine.order_id, OrderLine.line_no)
    )
    for cell in cells:
        lines[cell.order_id].append(EarningLine(cell.line_no, cell.sku, cell.category, cell.paid_fen))
    return [_Sale(row.member_id, row.placed_at, row.paid_at, row.store_code, row.channel, lines[row.id]) for row in found]


def _tiers(session: Session, members: Sequence[UUID]) -> dict[UUID, tuple[str, int]]:
    rows = session.execute(
        sa.select(MemberTier.member_id, Tier.code, Tier.points_multiplier_percent)
        .join(Tier, Tier.id == MemberTier.tier_id)
        .where(one_of(session, MemberTier.member_id, members))
    )
    return {row.member_id: (row.code, row.points_multiplier_percent) for row in rows}


def last_month(today: date) -> tuple[date, date]:
    """Return the first and last day of the month before."""
    last = today.replace(day=1) - timedelta(days=1)
    return last.replace(day=1), last
