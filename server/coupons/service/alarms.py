"""Watching what is left of stocks and budgets, apart from the claims that take of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.coupons.models import CouponLimitAlarm, CouponTemplate
from server.coupons.queries import template_view, to_be_had
from server.coupons.rules.alarms import GONE, LOW, standing_percent
from server.kernel.db import insert_if_absent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class LimitNews:
    """A threshold that a template has passed, or no longer has.

    Arguments:
        code: the template's.
        what: ``stock`` or ``budget``.
        percent: 80, or 100 when not one coupon more can be had.
        raised: whether it was passed; else it is over.
        taken: coupons issued, or fen committed.
        limit: the stock, or the budget in fen.
    """

    code: str
    what: str
    percent: int
    raised: bool
    taken: int
    limit: int


def watch_limits(session: Session, now: datetime) -> list[LimitNews]:
    """Compare stocks and budgets with their thresholds and keep which were passed; tell each once.

    Templates that nobody can have coupons of any more (paused, over) have no alarm.

    Arguments:
        session: of the caller's transaction; whoever tells the news does so in the same one.
        now: present instant.

    Returns:
        The thresholds passed since the last time, and those no longer passed; none when nothing changed.
    """
    alarms = {(row.template_id, row.what): row for row in session.scalars(sa.select(CouponLimitAlarm).with_for_update())}
    of = CouponTemplate
    limited = sa.or_(of.stock.is_not(None), of.budget_fen.is_not(None))
    rows = session.scalars(
        sa.select(of)
        .where(sa.or_(sa.and_(to_be_had(now), limited), of.id.in_({template_id for template_id, _ in alarms})))
        .order_by(of.id)
        .execution_options(populate_existing=True)
    ).all()
    told: list[LimitNews] = []
    open_ones = set(session.scalars(sa.select(of.id).where(of.id.in_([row.id for row in rows]), to_be_had(now))))
    for row in rows:
        for what, taken, limit, least in _limits(row, still=row.id in open_ones):
            told += _settle(session, row, alarms.get((row.id, what)), what, taken, limit, least, now)
    session.flush()
    return told


def _limits(row: CouponTemplate, *, still: bool) -> Iterator[tuple[str, int, int | None, int]]:
    """Tell of stock and budget what is taken of them, the limit (None when there is none to watch), and what one coupon more takes."""
    yield "stock", row.issued, row.stock if still else None, 1
    worst = template_view(row).draft.terms.worst_case_fen() or 0
    yield "budget", row.budget_committed_fen, row.budget_fen if still else None, worst


def _settle(
    session: Session,
    row: CouponTemplate,
    alarm: CouponLimitAlarm | None,
    what: str,
    taken: int,
    limit: int | None,
    least: int,
    now: datetime,
) -> Iterator[LimitNews]:
    raised, raised_limit = (alarm.percent, alarm.limit_value) if alarm is not None else (0, 0)
    percent = 0 if limit is None else standing_percent(taken, limit, least, raised=raised, raised_limit=raised_limit)
    for mark in (LOW, GONE):
        if (mark <= percent) != (mark <= raised):
            yield LimitNews(row.code, what, mark, mark <= percent, taken, limit if limit is not None else raised_limit)
    if alarm is None:
        if percent:
            _raise(session, row.id, what, percent, limit or 0, now)
    elif not percent:
        session.delete(alarm)
    elif (percent, limit) != (raised, raised_limit):
        alarm.raised_at = now if percent > raised else alarm.raised_at
        alarm.percent, alarm.limit_value = percent, limit or 0


def _raise(session: Session, template_id: UUID, what: str, percent: int, limit: int, now: datetime) -> None:
    values = {"template_id": template_id, "what": what, "percent": percent, "limit_value": limit, "raised_at": now}
    insert_if_absent(session, CouponLimitAlarm, values)
