"""The one statement that a rule becomes: the same for the preview and the build, on every engine.

Each domain offers what it knows as a table of its own (its ``facts``); here they are joined, and only those that the rule asks for. Every
condition is true or false and never unknown, so that turning one round means what it says: who never bought is neither within nor beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from server.coupons import facts as coupons
from server.kernel.clock import business_date, start_of_day
from server.members import facts as members
from server.orders import facts as orders
from server.points import facts as points
from server.segments.rules import Condition, Fact, Group, Rule, Test
from server.tiers import facts as tiers

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Bounds = tuple[UUID | None, UUID | None]
EVERYBODY: Bounds = (None, None)


@dataclass(frozen=True, slots=True)
class Bearings:
    """What a rule's words are measured from.

    Arguments:
        now: the instant it is decided for.
        zone: the shop's.
        lowest_tier: the code of the tier of who was given none.
    """

    now: datetime
    zone: ZoneInfo
    lowest_tier: str | None

    def since(self, days: int) -> datetime:
        """Return the beginning of the business day so many days before today."""
        return start_of_day(business_date(self.now, self.zone) - timedelta(days=days), self.zone)

    def window(self, days: int | None) -> datetime | None:
        """Return the beginning of the last so many business days, today included; None for ever."""
        return None if days is None else self.since(days - 1)


def bearings(session: Session, now: datetime, zone: ZoneInfo) -> Bearings:
    """Return what rules are measured from at an instant."""
    return Bearings(now, zone, tiers.lowest_code(session))


def chosen(rule: Rule, at: Bearings, bounds: Bounds = EVERYBODY) -> sa.Select[tuple[UUID]]:
    """Return the statement that gives the ids of the active members a rule chooses, each once.

    Arguments:
        rule: without problems.
        at: what it is measured from.
        bounds: of the ids, behind the first and up to the second; None for open.
    """
    return _Selection(rule, at, bounds).statement()


class _Selection:
    """A statement in the making: tables are joined when a condition first asks for them."""

    def __init__(self, rule: Rule, at: Bearings, bounds: Bounds) -> None:
        self._rule, self._at, self._bounds = rule, at, bounds
        self._who = members.active(bounds)
        self._from: sa.FromClause = self._who
        self._joined: dict[str, sa.Subquery] = {}
        asked = [each for each in rule.conditions() if each.fact in {Fact.ORDERS, Fact.PAID}]
        self._windows = list(dict.fromkeys(at.window(each.days) for each in asked))
        self._ever = any(each.fact is Fact.LAST_ORDER for each in rule.conditions())

    def statement(self) -> sa.Select[tuple[UUID]]:
        parts = [self._group(group) for group in self._rule.groups]
        return sa.select(self._who.c.id).select_from(self._from).where(_joined(self._rule.join, parts))

    def _table(self, name: str) -> sa.Subquery:
        if name not in self._joined:
            table = self._make(name)
            self._joined[name] = table
            self._from = self._from.outerjoin(table, table.c.member_id == self._who.c.id)
        return self._joined[name]

    def _make(self, name: str) -> sa.Subquery:
        if name == "bought":
            return orders.bought(self._windows, self._bounds, ever=self._ever)
        return {"tier": tiers.held, "growth": tiers.growth, "points": points.available}[name]()

    def _group(self, group: Group) -> sa.ColumnElement[bool]:
        whole = _joined(group.join, [self._condition(each) for each in group.conditions])
        return sa.not_(whole) if group.negated else whole

    def _condition(self, condition: Condition) -> sa.ColumnElement[bool]:
        found = self._of_choice(condition) if condition.test is Test.ONE_OF else self._of_number(condition)
        return sa.not_(found) if condition.negated else found

    def _of_choice(self, condition: Condition) -> sa.ColumnElement[bool]:
        who, values = self._who.c, condition.values
        if condition.fact in {Fact.STORE, Fact.CHANNEL}:
            return orders.bought_there(who.id, condition.fact.value, values, self._at.window(condition.days))
        if condition.fact is Fact.COUPON:
            return coupons.has_of(who.id, values, self._at.now)
        if condition.fact is Fact.TIER:
            # Who was given no tier is in the lowest.
            return sa.func.coalesce(self._table("tier").c.code, self._at.lowest_tier or "").in_(values)
        if condition.fact is Fact.BIRTHDAY_MONTH:
            return sa.func.coalesce(who.birthday_month, 0).in_([int(value) for value in values])
        column = {Fact.JOINED_VIA: who.joined_via, Fact.GENDER: who.gender, Fact.CITY: who.city}[condition.fact]
        return sa.func.coalesce(column, "").in_(values)

    def _of_number(self, condition: Condition) -> sa.ColumnElement[bool]:
        if condition.test in {Test.WITHIN, Test.BEYOND}:
            column = self._who.c.joined_at if condition.fact is Fact.JOINED else self._table("bought").c.last_at
            # The days wholly or partly between then and today: within 0 is today.
            since = self._at.since(condition.number)
            return sa.and_(column.is_not(None), column >= since if condition.test is Test.WITHIN else column < since)
        value = self._number(condition)
        return value >= condition.number if condition.test is Test.AT_LEAST else value <= condition.number

    def _number(self, condition: Condition) -> sa.ColumnElement[Any]:
        if condition.fact is Fact.COUPONS:
            return coupons.held(self._who.c.id, self._at.now)
        if condition.fact in {Fact.ORDERS, Fact.PAID}:
            place = self._windows.index(self._at.window(condition.days))
            return sa.func.coalesce(self._table("bought").c[f"{condition.fact.value}_{place}"], 0)
        table, column = {Fact.GROWTH: ("growth", "growth"), Fact.POINTS: ("points", "available")}[condition.fact]
        return sa.func.coalesce(self._table(table).c[column], 0)


def _joined(join: str, parts: list[sa.ColumnElement[bool]]) -> sa.ColumnElement[bool]:
    return sa.and_(*parts) if join == "all" else sa.or_(*parts)
