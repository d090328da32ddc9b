"""Growth: what orders and activities bring, and what refunds take back. Every verb may be repeated and come in any order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from server.kernel.clock import business_date
from server.kernel.db import insert_rows, lock_skipping, zone_of
from server.kernel.ids import uuid7
from server.tiers import accounts, qualifying
from server.tiers.accounts import Rule
from server.tiers.models import GrowthAccount, GrowthEntry, GrowthOrder

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """An order as far as growth cares, as it is now.

    Arguments:
        order_id: key.
        order_no: for the statement.
        member_id: whose it is.
        paid_at: when it was paid.
        paid_fen: cash paid for goods: neither shipping nor what was paid with points.
        refunded_fen: of that, what went back.
        whole: everything went back, or the order was called off.
        history: it was long over when it was taken in.
    """

    order_id: UUID
    order_no: str
    member_id: UUID
    paid_at: datetime
    paid_fen: int
    refunded_fen: int
    whole: bool
    history: bool = False


@dataclass(frozen=True, slots=True)
class Activity:
    """Something a member did.

    Arguments:
        kind: one of ``qualifying.ACTIVITIES``.
        key: the fact, unique within its kind.
        occurred_at: when.
    """

    kind: str
    key: str
    occurred_at: datetime


def settle_orders(session: Session, orders: Sequence[OrderFacts], *, now: datetime) -> int:
    """Bring the growth of orders to what their facts ask for.

    An order earns once, by the rule that holds when it is first seen; what its refunds take back is worked out from all of them
    together, and only ever grows. Older facts than were seen before change nothing.

    Arguments:
        session: of an open transaction.
        orders: at most a few hundred.
        now: present instant.

    Returns:
        How many entries were written.
    """
    rule = accounts.current_rule(session)
    if rule is None or not orders or not accounts.rungs(session):
        return 0
    homes = accounts.locked(session, [order.member_id for order in orders], now)
    # Read under the lock: whoever else settles one of these orders has ended, or waits.
    rows = session.scalars(
        sa.select(GrowthOrder)
        .where(GrowthOrder.order_id.in_([order.order_id for order in orders]))
        .execution_options(populate_existing=True)
    )
    known = {row.order_id: row for row in rows}
    batch = _Batch(rule, accounts.today_of(session, now), zone_of(session), now)
    batch.days.update(_days(session, known.values()))
    new: list[GrowthOrder] = []
    for order in orders:
        account = homes[order.member_id]
        row = known.get(order.order_id)
        if row is None:
            row = known[order.order_id] = batch.earn(account.member_id, order)
            new.append(row)
        batch.take_back(account.member_id, order, row)
    # Reversals may name entries of this very call, and the orders name both.
    insert_rows(session, GrowthEntry, batch.earned)
    insert_rows(session, GrowthEntry, batch.reversed)
    session.add_all(new)
    session.flush()
    touched = {entry["member_id"] for entry in (*batch.earned, *batch.reversed)}
    changed = {account.member_id: account for account in homes.values() if account.member_id in touched}
    accounts.refresh(session, changed.values(), now=now, rule=rule, history=batch.historic - batch.fresh)
    return len(batch.earned) + len(batch.reversed)


def hand_over_order(session: Session, order: OrderFacts, from_id: UUID, *, now: datetime) -> None:
    """Take back what an order brought one member, and let it bring growth to the member it belongs to now.

    Arguments:
        session: of an open transaction.
        order: as it is now, the new member's.
        from_id: who had it.
        now: present instant.
    """
    rule = accounts.current_rule(session)
    row = session.scalars(
        sa.select(GrowthOrder).where(GrowthOrder.order_id == order.order_id).execution_options(populate_existing=True)
    ).one_or_none()
    if rule is None or row is None:
        return  # it has brought nothing yet; its news will, to whom it belongs now
    homes = accounts.locked(session, [from_id, order.member_id], now)
    batch = _Batch(rule, accounts.today_of(session, now), zone_of(session), now, suffix=":attached")
    batch.days.update(_days(session, [row]))
    batch.take_back(homes[from_id].member_id, replace(order, whole=True), row)
    fresh = batch.earn(homes[order.member_id].member_id, order)
    insert_rows(session, GrowthEntry, batch.earned)
    insert_rows(session, GrowthEntry, batch.reversed)
    for name in ("spend", "frequency"):
        for column in (name, f"{name}_back", f"{name}_entry_id"):
            setattr(row, column, getattr(fresh, column))
    session.flush()
    accounts.refresh(session, list({account.member_id: account for account in homes.values()}.values()), now=now, rule=rule)


def _days(session: Session, rows: Iterable[GrowthOrder]) -> dict[UUID, date]:
    ids = [one for row in rows for one in (row.spend_entry_id, row.frequency_entry_id) if one is not None]
    if not ids:
        return {}
    found = session.execute(sa.select(GrowthEntry.id, GrowthEntry.counted_on).where(GrowthEntry.id.in_(ids)))
    return {entry_id: counted_on for entry_id, counted_on in found}  # noqa: C416 - rows are no pairs to mypy


@dataclass(slots=True)
class _Batch:
    """The entries one call writes; ``suffix`` sets the sources of a sale that is handed over apart from those of before and after."""

    rule: Rule
    today: date
    zone: ZoneInfo
    now: datetime
    suffix: str = ""
    earned: list[dict[str, Any]] = field(default_factory=list)
    reversed: list[dict[str, Any]] = field(default_factory=list)
    days: dict[UUID, date] = field(default_factory=dict)
    fresh: set[UUID] = field(default_factory=set)
    historic: set[UUID] = field(default_factory=set)

    def earn(self, member_id: UUID, order: OrderFacts) -> GrowthOrder:
        formula = self.rule.formula
        (self.historic if order.history else self.fresh).add(member_id)
        growth = {
            "spend": qualifying.spend_growth(formula, order.paid_fen),
            "frequency": qualifying.order_growth(formula, order.paid_fen),
        }
        counted_on = min(business_date(order.paid_at, self.zone), self.today)
        ids: dict[str, UUID | None] = dict.fromkeys(growth)
        for kind, count in growth.items():
            if count:
                details = {"order_id": str(order.order_id), "order_no": order.order_no, "paid_fen": order.paid_fen}
                values = (kind, count, counted_on, f"order:{order.order_id}:{kind}{self.suffix}", details, min(order.paid_at, self.now))
                entry = _entry(member_id, self.rule, *values)
                self.earned.append(entry)
                self.days[entry["id"]] = counted_on
                ids[kind] = entry["id"]
        return GrowthOrder(
            order_id=order.order_id,
            spend_entry_id=ids["spend"],
            spend=growth["spend"],
            spend_back=0,
            frequency_entry_id=ids["frequency"],
            frequency=growth["frequency"],
            frequency_back=0,
        )

    def take_back(self, member_id: UUID, order: OrderFacts, row: GrowthOrder) -> None:
        everything = order.whole or order.refunded_fen >= order.paid_fen
        spend = qualifying.taken_back(row.spend, order.paid_fen, order.refunded_fen, whole=order.whole)
        # Having bought counts until everything went back.
        for kind, target in (("spend", spend), ("frequency", row.frequency if everything else 0)):
            entry_id, more = getattr(row, f"{kind}_entry_id"), target - getattr(row, f"{kind}_back")
            if more <= 0 or entry_id is None:
                continue
            details = {"order_id": str(order.order_id), "order_no": order.order_no, "refunded_fen": order.refunded_fen}
            # On the day the order counts on: the two leave the window together.
            values = (
                "reversal",
                -more,
                self.days[entry_id],
                f"order:{order.order_id}:{kind}:back:{target}{self.suffix}",
                details,
                self.now,
            )
            self.reversed.append(_entry(member_id, self.rule, *values, reverses_id=entry_id))
            setattr(row, f"{kind}_back", target)


def earn_activity(session: Session, member_id: UUID, activity: Activity, *, now: datetime) -> int:
    """Give a member the growth of an activity, within the day's limit.

    Arguments:
        session: of an open transaction.
        member_id: who did it.
        activity: what; the same one again brings nothing.
        now: present instant.

    Returns:
        The growth it brought by this call.
    """
    rule = accounts.current_rule(session)
    if rule is None or not accounts.rungs(session):
        return 0
    account = accounts.locked(session, [member_id], now)[member_id]
    source = f"activity:{activity.kind}:{activity.key}"
    if session.scalar(sa.select(GrowthEntry.id).where(GrowthEntry.source_key == source)) is not None:
        return 0
    day = min(business_date(activity.occurred_at, zone_of(session)), accounts.today_of(session, now))
    earned_today = session.scalar(
        sa.select(sa.func.coalesce(sa.func.sum(GrowthEntry.growth), 0)).where(
            GrowthEntry.member_id == account.member_id, GrowthEntry.counted_on == day, GrowthEntry.kind == "activity"
        )
    )
    growth = qualifying.activity_growth(rule.formula, activity.kind, int(earned_today or 0))
    if not growth:
        return 0
    entry = _entry(account.member_id, rule, "activity", growth, day, source, {"activity": activity.kind}, min(activity.occurred_at, now))
    insert_rows(session, GrowthEntry, [entry])
    accounts.refresh(session, [account], now=now, rule=rule)
    return growth


def reassess_due(session: Session, now: datetime, limit: int = 200) -> int:
    """Look again at members for whom time, or a newly published rule, may have changed something.

    Arguments:
        session: of a transaction of its own.
        now: present instant.
        limit: members at most; those another transaction has locked are left to the next run.

    Returns:
        How many were looked at.
    """
    rule = accounts.current_rule(session)
    if rule is None or not accounts.rungs(session):
        return 0
    today = accounts.today_of(session, now)
    found: list[GrowthAccount] = []
    for waiting, order in (
        (GrowthAccount.due_on <= today, GrowthAccount.due_on),
        (GrowthAccount.rule_version < rule.version, GrowthAccount.rule_version),
    ):
        if len(found) < limit:
            statement = (
                sa.select(GrowthAccount).where(waiting, GrowthAccount.merged_into.is_(None)).order_by(order, GrowthAccount.member_id)
            )
            statement = statement.limit(limit - len(found)).execution_options(populate_existing=True)
            seen = {account.member_id for account in found}
            found += [account for account in session.scalars(lock_skipping(statement)) if account.member_id not in seen]
    accounts.refresh(session, found, now=now, rule=rule)
    return len(found)


def _entry(
    member_id: UUID,
    rule: Rule,
    kind: str,
    growth: int,
    counted_on: date,
    source_key: str,
    details: dict[str, Any],
    occurred_at: datetime,
    *,
    reverses_id: UUID | None = None,
) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "member_id": member_id,
        "kind": kind,
        "growth": growth,
        "counted_on": counted_on,
        "source_key": source_key,
        "rule_id": rule.id,
        "reverses_id": reverses_id,
        "details": details,
        "occurred_at": occurred_at,
    }
