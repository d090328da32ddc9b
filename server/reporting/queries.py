"""What the workbench shows: today against yesterday, the last days, and what waits for somebody.

Tables are named here by text: figures may span domains, yet no domain's models are imported.

| figure | definition |
|---|---|
| members joined | membership began on the day and goes on; merged and deleted records left out |
| orders | placed on the day, cancelled ones left out |
| sales | payable amount of those orders, before refunds |
| points issued, redeemed | Σ points of the day's accrual and redemption entries |
| coupons redeemed | redeemed on the day and not returned since |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.kernel.clock import business_date, end_of_day, start_of_day
from server.kernel.column_types import UtcDateTime
from server.kernel.db import zone_of
from server.members.rules import LIVE_STATUSES

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_members = sa.table("members", sa.column("joined_at", UtcDateTime()), sa.column("status", sa.String()))
_orders = sa.table(
    "orders", sa.column("placed_at", UtcDateTime()), sa.column("state", sa.String()), sa.column("payable_fen", sa.BigInteger())
)
_points = sa.table(
    "points_entries", sa.column("business_day", sa.Date()), sa.column("kind", sa.String()), sa.column("points", sa.BigInteger())
)
_coupons = sa.table("coupons", sa.column("redeemed_at", UtcDateTime()), sa.column("state", sa.String()))
_tickets = sa.table("tickets", sa.column("state", sa.String()), sa.column("next_due_at", UtcDateTime()))
_exceptions = sa.table("order_exceptions", sa.column("state", sa.String()))
_messages = sa.table("notification_messages", sa.column("state", sa.String()))
_approvals = sa.table("staff_approvals", sa.column("state", sa.String()))
_changes = sa.table("member_change_requests", sa.column("state", sa.String()))

_UNANSWERED = ("open", "assigned", "working", "reopened")


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One shop day's figures; money in fen."""

    day: date
    members_joined: int = 0
    orders: int = 0
    sales_fen: int = 0
    points_issued: int = 0
    points_redeemed: int = 0
    coupons_redeemed: int = 0


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for somebody now."""

    tickets_overdue: int
    tickets_unanswered: int
    orders_to_ship: int
    order_exceptions: int
    messages_uncertain: int
    change_requests: int
    approvals: int


def last_days(session: Session, now: datetime, *, days: int = 14) -> list[DayFigures]:
    """Return the figures of the last days, oldest first; today, so far, is the last.

    Arguments:
        session: only reads.
        now: the present instant.
        days: how many, 1 to 92.
    """
    zone = zone_of(session)
    today = business_date(now, zone)
    wanted = [today - timedelta(days=back) for back in range(days - 1, -1, -1)]
    one = sa.literal(1)
    joined = _by_day(session, _members, _members.c.joined_at, one, _members.c.status.in_(LIVE_STATUSES), wanted)
    orders = _by_day(session, _orders, _orders.c.placed_at, one, _orders.c.state != "cancelled", wanted)
    sales = _by_day(session, _orders, _orders.c.placed_at, _orders.c.payable_fen, _orders.c.state != "cancelled", wanted)
    coupons = _by_day(session, _coupons, _coupons.c.redeemed_at, one, _coupons.c.state == "redeemed", wanted)
    points = _points_by_day(session, wanted)
    return [
        DayFigures(
            day, joined[place], orders[place], sales[place], points.get((day, "accrue"), 0), points.get((day, "redeem"), 0), coupons[place]
        )
        for place, day in enumerate(wanted)
    ]


def waiting(session: Session, now: datetime) -> Waiting:
    """Return what waits for somebody now; each figure is a range of one index."""

    def count(table: sa.TableClause, *conditions: Any) -> int:
        return int(session.scalar(sa.select(sa.func.count()).select_from(table).where(*conditions)) or 0)

    return Waiting(
        tickets_overdue=count(_tickets, _tickets.c.next_due_at < now, _tickets.c.state != "closed"),
        tickets_unanswered=count(_tickets, _tickets.c.state.in_(_UNANSWERED)),
        orders_to_ship=count(_orders, _orders.c.state == "paid"),
        order_exceptions=count(_exceptions, _exceptions.c.state == "open"),
        messages_uncertain=count(_messages, _messages.c.state == "uncertain"),
        change_requests=count(_changes, _changes.c.state == "pending"),
        approvals=count(_approvals, _approvals.c.state == "pending"),
    )


def order_states(session: Session, now: datetime, *, days: int = 30) -> list[tuple[str, int]]:
    """Return how many orders of the last days are in each state."""
    since = start_of_day(business_date(now, zone_of(session)) - timedelta(days=days - 1), zone_of(session))
    rows = session.execute(sa.select(_orders.c.state, sa.func.count()).where(_orders.c.placed_at >= since).group_by(_orders.c.state))
    return [(str(state), int(number)) for state, number in rows]


def _by_day(
    session: Session, table: sa.TableClause, at: sa.ColumnElement[Any], worth: sa.ColumnElement[Any], condition: Any, days: list[date]
) -> list[int]:
    """Return one sum for each day. The days' edges are instants, so no engine needs to know the shop's time zone."""
    zone = zone_of(session)
    sums = [
        sa.func.coalesce(sa.func.sum(sa.case((sa.and_(at >= start_of_day(day, zone), at < end_of_day(day, zone)), worth), else_=0)), 0)
        for day in days
    ]
    statement = sa.select(*sums).select_from(table).where(condition, at >= start_of_day(days[0], zone), at < end_of_day(days[-1], zone))
    return [int(value) for value in session.execute(statement).one()]


def _points_by_day(session: Session, days: list[date]) -> dict[tuple[date, str], int]:
    rows = session.execute(
        sa.select(_points.c.business_day, _points.c.kind, sa.func.sum(sa.func.abs(_points.c.points)))
        .where(_points.c.business_day.between(days[0], days[-1]), _points.c.kind.in_(("accrue", "redeem")))
        .group_by(_points.c.business_day, _points.c.kind)
    )
    return {(day, str(kind)): int(total) for day, kind, total in rows}
