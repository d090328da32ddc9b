"""Templates of whose stock or budget staff were told that it runs low."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.coupons.models import CouponLimitAlarm, CouponTemplate

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class AlarmView:
    """An alarm that stands: of ``what`` (``stock``, ``budget``) ``percent`` (80, 100) are passed."""

    template_id: UUID
    code: str
    name: str
    what: str
    percent: int
    taken: int
    limit_value: int
    raised_at: datetime


def standing(session: Session, *, template_id: UUID | None = None) -> list[AlarmView]:
    """Return the alarms that stand, the gravest and newest first, at most 200.

    Arguments:
        session: to read with.
        template_id: only this template's.
    """
    of, alarm = CouponTemplate, CouponLimitAlarm
    taken = sa.case((alarm.what == "stock", of.issued), else_=of.budget_committed_fen)
    statement = (
        sa.select(of.id, of.code, of.name, alarm.what, alarm.percent, taken, alarm.limit_value, alarm.raised_at)
        .join(of, of.id == alarm.template_id)
        .order_by(alarm.percent.desc(), alarm.raised_at.desc(), of.code, alarm.what)
        .limit(200)
    )
    if template_id is not None:
        statement = statement.where(alarm.template_id == template_id)
    return [AlarmView(*row) for row in session.execute(statement)]
