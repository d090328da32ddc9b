"""The coupon report: what was issued in a range of business days and became of it, what was redeemed, what it cost and sold.

Tables are named here by text: the store of a redemption may be known to the order only. Definitions: ``coupon_scope.Figures``.
Six statements whatever the size; the sums come grouped, and only coupons that share an order with others are read one by one.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.coupons.share_queries import corrections
from server.kernel.clock import end_of_day
from server.kernel.column_types import UtcDateTime, UuidType
from server.kernel.db import one_of, zone_of
from server.reporting.coupon_scope import NO_STORE, UNKNOWN_STORE, CouponReport, Day, Figures, Row, Scope

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy.orm import Session

_coupons = sa.table(
    "coupons",
    sa.column("id", UuidType()),
    sa.column("template_id", UuidType()),
    sa.column("state", sa.String()),
    sa.column("valid_until", UtcDateTime()),
    sa.column("issued_day", sa.Date()),
    sa.column("source_namespace", sa.String()),
    sa.column("channel", sa.String()),
    sa.column("external_no", sa.String()),
    sa.column("store_code", sa.String()),
    sa.column("redeemed_at", UtcDateTime()),
    sa.column("discount_fen", sa.BigInteger()),
    sa.column("gift_fen", sa.BigInteger()),
    sa.column("sales_fen", sa.BigInteger()),
)
_moves = sa.table(
    "coupon_transitions",
    sa.column("coupon_id", UuidType()),
    sa.column("event", sa.String()),
    sa.column("channel", sa.String()),
    sa.column("occurred_at", UtcDateTime()),
)
_orders = sa.table("orders", sa.column("channel", sa.String()), sa.column("external_no", sa.String()), sa.column("store_code", sa.String()))

_of = _coupons.c
_COST = sa.func.coalesce(_of.discount_fen, 0) + sa.func.coalesce(_of.gift_fen, 0)
_UNTOLD = sa.case((sa.and_(_of.discount_fen.is_(None), _of.gift_fen.is_(None)), 1), else_=0)
# Asked of the order only where the redemption told nothing; still NULL when there is no such order.
_order_store = (
    sa.select(sa.func.coalesce(_orders.c.store_code, ""))
    .where(_orders.c.channel == _of.channel, _orders.c.external_no == _of.external_no)
    .correlate(_coupons)
    .scalar_subquery()
)
_sold_in = sa.case((_of.store_code.is_not(None), _of.store_code), else_=_order_store)


# The places of a cut among the keys of a row.
_TEMPLATE, _STORE, _CHANNEL, _WAY = range(4)


class _Sums:
    """The figures of a report as they are summed up, from rows keyed by template, store, channel and way in."""

    def __init__(self) -> None:
        self.total = (Figures(), Figures())
        self.cuts: tuple[dict[str, Figures], ...] = tuple(defaultdict(Figures) for _ in range(4))

    def add(self, now: int, keys: tuple[str | None, ...], **amounts: int) -> None:
        """Add to the range, or the range before, and to each cut of which the key is known."""
        self.total[0 if now else 1].add(**amounts)
        if now:
            for cut, key in zip(self.cuts, keys, strict=True):
                if key is not None:
                    cut[key].add(**amounts)

    def rows(self, cut: int) -> list[Row]:
        """Return one cut, what cost most first."""
        rows = [Row(key, figures) for key, figures in self.cuts[cut].items() if figures.any]
        return sorted(rows, key=lambda row: (-row.figures.cost_fen, -row.figures.redeemed, -row.figures.issued, row.key))


def coupon_report(session: Session, scope: Scope, *, now: datetime) -> CouponReport:
    """Return the report of a range of business days beside the range before.

    Arguments:
        session: only reads.
        scope: which days and coupons.
        now: the present instant, which decides what has expired.
    """
    zone = zone_of(session)
    sums = _Sums()
    days = {scope.first + timedelta(days=place): Day(scope.first + timedelta(days=place)) for place in range(scope.days)}
    if not scope.by_use:
        _issued(session, scope, sums, now)
        for day, number in session.execute(_by_issue_day(scope)):
            days[day].issued = int(number)
    _redeemed(session, scope, sums, zone)
    _shared(session, scope, sums, zone)
    wanted = list(days.values())
    for place, number, cost in session.execute(_by_use_day(scope, zone)):
        wanted[int(place)].redeemed, wanted[int(place)].cost_fen = int(number), int(cost)
    if scope.store is None:
        _returned(session, scope, sums, zone)
    return CouponReport(
        total=sums.total[0],
        before=sums.total[1],
        templates=sums.rows(_TEMPLATE),
        stores=sums.rows(_STORE),
        channels=sums.rows(_CHANNEL),
        ways=sums.rows(_WAY),
        days=wanted,
        issues=not scope.by_use,
        returns=scope.store is None,
    )


def _narrowed(scope: Scope, *, by_use: bool) -> list[sa.ColumnElement[bool]]:
    """Return what the filters ask for, beside the days."""
    found: list[sa.ColumnElement[bool]] = []
    if scope.template_id is not None:
        found.append(_of.template_id == scope.template_id)
    if scope.way is not None:
        found.append(_of.source_namespace == scope.way)
    if by_use and scope.channel is not None:
        found.append(_of.channel == scope.channel)
    if by_use and scope.store is not None:
        by_store = {UNKNOWN_STORE: _sold_in.is_(None), NO_STORE: _sold_in == ""}
        found.append(by_store.get(scope.store, _sold_in == scope.store))
    return found


def _used(scope: Scope, since: datetime, until: datetime) -> list[sa.ColumnElement[bool]]:
    return [_of.state == "redeemed", _of.redeemed_at >= since, _of.redeemed_at < until, *_narrowed(scope, by_use=True)]


def _issued(session: Session, scope: Scope, sums: _Sums, now: datetime) -> None:
    ended = sa.and_(_of.state == "issued", _of.valid_until <= now)
    counted = (
        sa.select(
            sa.case((_of.issued_day >= scope.first, 1), else_=0).label("in_range"),
            _of.template_id,
            _of.source_namespace,
            sa.case((ended, "expired"), else_=_of.state).label("fate"),
            sa.func.count(),
        )
        .where(_of.issued_day >= scope.before, _of.issued_day <= scope.last, *_narrowed(scope, by_use=False))
        .group_by("in_range", _of.template_id, _of.source_namespace, "fate")
    )
    fates = {"issued": "held", "locked": "held", "redeemed": "used", "expired": "expired", "voided": "voided"}
    for in_range, template_id, way, fate, number in session.execute(counted):
        sums.add(in_range, (str(template_id), None, None, way), issued=int(number), **{fates[fate]: int(number)})


def _by_issue_day(scope: Scope) -> sa.Select[Any]:
    return (
        sa.select(_of.issued_day, sa.func.count())
        .where(_of.issued_day >= scope.first, _of.issued_day <= scope.last, *_narrowed(scope, by_use=False))
        .group_by(_of.issued_day)
    )


def _redeemed(session: Session, scope: Scope, sums: _Sums, zone: ZoneInfo) -> None:
    since, middle, until = scope.edges(zone)
    summed: sa.Select[Any] = (
        sa.select(
            *_keys(middle),
            sa.func.count(),
            sa.func.sum(_UNTOLD),
            sa.func.sum(_COST),
            sa.func.sum(sa.func.coalesce(_of.sales_fen, 0)),
        )
        .where(*_used(scope, since, until))
        .group_by("in_range", _of.template_id, _of.source_namespace, _of.channel, "sold_in")
    )
    for in_range, template_id, way, channel, store, number, untold, cost, sales in session.execute(summed):
        keys = (str(template_id), _store_key(store), channel, way)
        sums.add(in_range, keys, redeemed=int(number), untold=int(untold), cost_fen=int(cost), sales_fen=int(sales))


def _shared(session: Session, scope: Scope, sums: _Sums, zone: ZoneInfo) -> None:
    """Correct the sales of coupons that share their order with others: the parts are of the sale, not each the whole of it."""
    since, middle, until = scope.edges(zone)
    fen = {each.coupon_id: each.fen for each in corrections(session, template_id=scope.template_id, since=since, until=until)}
    if not fen:
        return
    rows: sa.Select[Any] = sa.select(*_keys(middle), _of.id).where(one_of(session, _of.id, fen), *_used(scope, since, until))
    for in_range, template_id, way, channel, store, coupon_id in session.execute(rows):
        sums.add(in_range, (str(template_id), _store_key(store), channel, way), sales_fen=fen[coupon_id])


def _by_use_day(scope: Scope, zone: ZoneInfo) -> sa.Select[Any]:
    _, since, until = scope.edges(zone)
    place = _day_place(_of.redeemed_at, scope.first, 0, scope.days, lambda day: end_of_day(day, zone))
    return sa.select(place.label("day_no"), sa.func.count(), sa.func.sum(_COST)).where(*_used(scope, since, until)).group_by("day_no")


def _returned(session: Session, scope: Scope, sums: _Sums, zone: ZoneInfo) -> None:
    since, middle, until = scope.edges(zone)
    counted = (
        sa.select(
            sa.case((_moves.c.occurred_at >= middle, 1), else_=0).label("in_range"),
            _of.template_id,
            _of.source_namespace,
            _moves.c.channel,
            sa.func.count(),
        )
        .select_from(_moves.join(_coupons, _of.id == _moves.c.coupon_id))
        .where(
            _moves.c.event.in_(("return", "return_late")),
            _moves.c.occurred_at >= since,
            _moves.c.occurred_at < until,
            *_narrowed(scope, by_use=False),
        )
        .group_by("in_range", _of.template_id, _of.source_namespace, _moves.c.channel)
    )
    if scope.channel is not None:
        counted = counted.where(_moves.c.channel == scope.channel)
    for in_range, template_id, way, channel, number in session.execute(counted):
        sums.add(in_range, (str(template_id), None, channel, way), returned=int(number))


def _keys(middle: datetime) -> tuple[Any, ...]:
    in_range = sa.case((_of.redeemed_at >= middle, 1), else_=0).label("in_range")
    return in_range, _of.template_id, _of.source_namespace, _of.channel, _sold_in.label("sold_in")


def _store_key(code: str | None) -> str:
    return UNKNOWN_STORE if code is None else code or NO_STORE


def _day_place(at: sa.ColumnElement[Any], first: date, low: int, high: int, end: Callable[[date], datetime]) -> sa.ColumnElement[Any]:
    """Return which of the days ``[low, high)`` counted from the first an instant falls on.

    By halves, so that a year asks nine questions of a row. The edges are instants: no engine needs to know the shop's time zone.
    """
    if high - low == 1:
        return sa.literal_column(str(low))
    middle = (low + high) // 2
    edge = end(first + timedelta(days=middle - 1))
    return sa.case((at < edge, _day_place(at, first, low, middle, end)), else_=_day_place(at, first, middle, high, end))
