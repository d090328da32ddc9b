"""Watching what is left of stocks and budgets, apart from the claims that take of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.coupons.models import CouponLimitAlarm, CouponTemplate
from server.coupons.queries import template_view, to_be_had
from server.coupons.rules.alarms import GONE, LOW, standing_level
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
        level: 80, or 100 when not one coupon more can be had.
        raised: whether it was passed; else it is over.
        used: coupons issued, or fen committed.
        limit: the stock, or the budget in fen.
    """

    code: str
    what: str
    level: int
    raised: bool
    used: int
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
        for what, used, limit, least in _limits(row, still=row.id in open_ones):
            told += _settle(session, row, alarms.get((row.id, what)), what, used, limit, least, now)
    session.flush()
    return told


def _limits(row: CouponTemplate, *, still: bool) -> Iterator[tuple[str, int, int | None, int]]:
    """Tell of stock and budget what is used, the limit (None when there is none to watch), and what one coupon more takes."""
    yield "stock", row.issued, row.stock if still else None, 1
    worst = template_view(row).draft.terms.worst_case_fen() or 0
    yield "budget", row.budget_committed_fen, row.budget_fen if still else None, worst


def _settle(
    session: Session,
    row: CouponTemplate,
    alarm: CouponLimitAlarm | None,
    what: str,
    used: int,
    limit: int | None,
    least: int,
    now: datetime,
) -> Iterator[LimitNews]:
    raised, raised_limit = (alarm.level, alarm.limit_value) if alarm is not None else (0, 0)
    level = 0 if limit is None else standing_level(used, limit, least, raised=raised, raised_limit=raised_limit)
    for mark in (LOW, GONE):
        if (mark <= level) != (mark <= raised):
            yield LimitNews(row.code, what, mark, mark <= level, used, limit if limit is not None else raised_limit)
    if alarm is None:
        if level:
            _raise(session, row.id, what, level, limit or 0, now)
    elif not level:
        session.delete(alarm)
    elif (level, limit) != (raised, raised_limit):
        alarm.raised_at = now if level > raised else alarm.raised_at
        alarm.level, alarm.limit_value = level, limit or 0


def _raise(session: Session, template_id: UUID, what: str, level: int, limit: int, now: datetime) -> None:
    values = {"template_id": template_id, "what": what, "level": level, "limit_value": limit, "raised_at": now}
    insert_if_absent(session, CouponLimitAlarm, values)
