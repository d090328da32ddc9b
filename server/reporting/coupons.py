"""The coupon report: what was issued in a range of business days and became of it, what was redeemed, what it cost and sold.

Tables are named here by text: the store of a redemption may be known to the order only. Definitions: ``coupon_scope.Figures``.
Five statements whatever the size, each a range of an index, and the sums come grouped. Days are those the rows were written with, so
no engine needs to know the shop's time zone, except for returns, whose edges are instants.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.coupons.rules import ways_in
from server.kernel.column_types import UtcDateTime, UuidType
from server.kernel.db import zone_of
from server.reporting.coupon_scope import NO_STORE, UNKNOWN_STORE, CouponReport, Day, Figures, Row, Scope

if TYPE_CHECKING:
    from datetime import date, datetime

    from sqlalchemy.orm import Session

_coupons = sa.table(
    "coupons",
    sa.column("id", UuidType()),
    sa.column("template_id", UuidType()),
    sa.column("state", sa.String()),
    sa.column("valid_until", UtcDateTime()),
    sa.column("issued_day", sa.Date()),
    sa.column("source_namespace", sa.String()),
)
_redemptions = sa.table(
    "coupon_redemptions",
    sa.column("template_id", UuidType()),
    sa.column("source_namespace", sa.String()),
    sa.column("channel", sa.String()),
    sa.column("external_no", sa.String()),
    sa.column("store_code", sa.String()),
    sa.column("day", sa.Date()),
    sa.column("cost_fen", sa.BigInteger()),
    sa.column("part_fen", sa.BigInteger()),
)
_moves = sa.table(
    "coupon_transitions",
    sa.column("coupon_id", UuidType()),
    sa.column("event", sa.String()),
    sa.column("channel", sa.String()),
    sa.column("occurred_at", UtcDateTime()),
)
_orders = sa.table("orders", sa.column("channel", sa.String()), sa.column("external_no", sa.String()), sa.column("store_code", sa.String()))

_of, _redeemed = _coupons.c, _redemptions.c
# Asked of the order only where the redemption told nothing; still NULL when there is no such order.
_order_store = (
    sa.select(sa.func.coalesce(_orders.c.store_code, ""))
    .where(_orders.c.channel == _redeemed.channel, _orders.c.external_no == _redeemed.external_no)
    .correlate(_redemptions)
    .scalar_subquery()
)
_sold_in = sa.case((_redeemed.store_code.is_not(None), _redeemed.store_code), else_=_order_store)
_SUMS = (
    sa.func.count(),
    sa.func.sum(sa.case((_redeemed.cost_fen.is_(None), 1), else_=0)),
    sa.func.sum(sa.func.coalesce(_redeemed.cost_fen, 0)),
    sa.func.sum(_redeemed.part_fen),
)
_FATES = {"issued": "held", "offered": "held", "locked": "held", "redeemed": "redeemed_of_these", "expired": "expired", "voided": "voided"}

# The places of a cut among the keys of a row.
_TEMPLATE, _STORE, _CHANNEL, _WAY = range(4)


class _Cuts:
    """The figures of a report as they are summed up: each row goes to every cut of which its key is known."""

    def __init__(self) -> None:
        self.by: tuple[dict[str, Figures], ...] = tuple(defaultdict(Figures) for _ in range(4))

    def of(self, *keys: str | None) -> list[Figures]:
        """Return the figures that a row of template, store, channel and way in belongs to."""
        return [cut[key] for cut, key in zip(self.by, keys, strict=True) if key is not None]

    def rows(self, cut: int) -> list[Row]:
        """Return one cut, what cost most first."""
        rows = [Row(key, figures) for key, figures in self.by[cut].items()]
        return sorted(rows, key=lambda row: (-row.figures.cost_fen, -row.figures.redeemed, -row.figures.issued, row.key))


def coupon_report(session: Session, scope: Scope, *, now: datetime) -> CouponReport:
    """Return the report of a range of business days beside the range before.

    Arguments:
        session: only reads.
        scope: which days and coupons.
        now: the present instant, which decides what has expired.
    """
    total, before, cuts = Figures(), Figures(), _Cuts()
    days = {day: Day(day) for day in (scope.first + timedelta(days=place) for place in range(scope.days))}
    if not scope.by_redemption:
        _issued_by_day(session, scope, total, before, days, now)
        _issued_by_cut(session, scope, cuts, now)
    _redeemed_by_day(session, scope, total, before, days)
    _redeemed_by_cut(session, scope, cuts)
    if scope.store is None:
        _returned(session, scope, total, before, cuts)
    return CouponReport(
        total=total,
        before=before,
        templates=cuts.rows(_TEMPLATE),
        stores=cuts.rows(_STORE),
        channels=cuts.rows(_CHANNEL),
        ways=cuts.rows(_WAY),
        days=list(days.values()),
        issues=not scope.by_redemption,
        returns=scope.store is None,
    )


def _narrowed(scope: Scope, of: Any) -> list[sa.ColumnElement[bool]]:
    """Return what the filters ask for of coupons, or of redemptions."""
    found: list[sa.ColumnElement[bool]] = []
    if scope.template_id is not None:
        found.append(of.template_id == scope.template_id)
    if scope.way is not None:
        whole = of.source_namespace.startswith(f"{scope.way}/") if scope.way in ways_in.FAMILIES else of.source_namespace == scope.way
        found.append(whole)
    return found


def _issued_in(scope: Scope, first: date) -> list[sa.ColumnElement[bool]]:
    # One that was given to a friend is told by the friend's, which came in on the day it was accepted.
    return [_of.issued_day >= first, _of.issued_day <= scope.last, _of.state != "given", *_narrowed(scope, _of)]


def _redeemed_in(scope: Scope, first: date) -> list[sa.ColumnElement[bool]]:
    found = [_redeemed.day >= first, _redeemed.day <= scope.last, *_narrowed(scope, _redeemed)]
    if scope.channel is not None:
        found.append(_redeemed.channel == scope.channel)
    if scope.store is not None:
        by_store = {UNKNOWN_STORE: _sold_in.is_(None), NO_STORE: _sold_in == ""}
        found.append(by_store.get(scope.store, _sold_in == scope.store))
    return found


def _ended(now: datetime) -> sa.ColumnElement[int]:
    """Return how many coupons are over although nobody has swept them yet."""
    return sa.func.sum(sa.case((sa.and_(_of.state == "issued", _of.valid_until <= now), 1), else_=0))


def _count_issued(figures: Figures, state: str, number: int, ended: int) -> None:
    figures.add(issued=number, **{_FATES[state]: number - ended})
    figures.expired += ended


def _issued_by_day(session: Session, scope: Scope, total: Figures, before: Figures, days: dict[date, Day], now: datetime) -> None:
    counted = sa.select(_of.issued_day, _of.state, sa.func.count(), _ended(now)).where(*_issued_in(scope, scope.before))
    for day, state, number, ended in session.execute(counted.group_by(_of.issued_day, _of.state)):
        _count_issued(total if day in days else before, state, int(number), int(ended))
        if day in days:
            days[day].issued += int(number)


def _issued_by_cut(session: Session, scope: Scope, cuts: _Cuts, now: datetime) -> None:
    keys = (_of.template_id, _of.source_namespace, _of.state)
    counted = sa.select(*keys, sa.func.count(), _ended(now)).where(*_issued_in(scope, scope.first)).group_by(*keys)
    for template_id, way, state, number, ended in session.execute(counted):
        for figures in cuts.of(str(template_id), None, None, way):
            _count_issued(figures, state, int(number), int(ended))


def _count_redeemed(figures: Figures, number: int, untold: int, cost: int, sales: int) -> None:
    figures.redeemed += number
    figures.untold += untold
    figures.cost_fen += cost
    figures.sales_fen += sales


def _redeemed_by_day(session: Session, scope: Scope, total: Figures, before: Figures, days: dict[date, Day]) -> None:
    for day, *sums in session.execute(sa.select(_redeemed.day, *_SUMS).where(*_redeemed_in(scope, scope.before)).group_by(_redeemed.day)):
        number, untold, cost, sales = (int(each) for each in sums)
        _count_redeemed(total if day in days else before, number, untold, cost, sales)
        if day in days:
            days[day].redeemed, days[day].cost_fen = number, cost


def _redeemed_by_cut(session: Session, scope: Scope, cuts: _Cuts) -> None:
    keys = (_redeemed.template_id, _redeemed.source_namespace, _redeemed.channel)
    summed: sa.Select[Any] = sa.select(*keys, _sold_in.label("sold_in"), *_SUMS).where(*_redeemed_in(scope, scope.first))
    for template_id, way, channel, store, *sums in session.execute(summed.group_by(*keys, "sold_in")):
        sold_in = UNKNOWN_STORE if store is None else store or NO_STORE
        number, untold, cost, sales = (int(each) for each in sums)
        for figures in cuts.of(str(template_id), sold_in, channel, way):
            _count_redeemed(figures, number, untold, cost, sales)


def _returned(session: Session, scope: Scope, total: Figures, before: Figures, cuts: _Cuts) -> None:
    since, middle, until = scope.edges(zone_of(session))
    keys = (_of.template_id, _of.source_namespace, _moves.c.channel)
    counted = (
        sa.select(sa.case((_moves.c.occurred_at >= middle, 1), else_=0).label("in_range"), *keys, sa.func.count())
        .select_from(_moves.join(_coupons, _of.id == _moves.c.coupon_id))
        .where(
            _moves.c.event.in_(("return", "return_late")),
            _moves.c.occurred_at >= since,
            _moves.c.occurred_at < until,
            *_narrowed(scope, _of),
        )
        .group_by("in_range", *keys)
    )
    if scope.channel is not None:
        counted = counted.where(_moves.c.channel == scope.channel)
    for in_range, template_id, way, channel, number in session.execute(counted):
        into = [total, *cuts.of(str(template_id), None, channel, way)] if in_range else [before]
        for figures in into:
            figures.returned += int(number)
