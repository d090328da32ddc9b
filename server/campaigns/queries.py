"""Reads of campaigns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.campaigns.models import BirthdayDay, BirthdayGift, BirthdayPolicyVersion
from server.campaigns.rules import BirthdayPolicy, LeapDayRule
from server.kernel.pagination import Page, PageRequest, keyset, page_of


@dataclass(frozen=True, slots=True)
class GiftView:
    """A birthday gift that was given."""

    id: UUID
    member_id: UUID
    year: int
    calendar: str
    celebrated_on: date
    points: int
    coupon_id: UUID | None
    coupon_problem: str | None
    given_at: datetime


def birthday_policy(session: Session) -> BirthdayPolicy:
    """Return what the brand gives now; nothing while staff have not said."""
    document = session.scalar(sa.select(BirthdayPolicyVersion.document).order_by(BirthdayPolicyVersion.version.desc()).limit(1))
    if document is None:
        return BirthdayPolicy()
    return BirthdayPolicy(**(document | {"leap_day": LeapDayRule(document["leap_day"])}))


def last_done_day(session: Session) -> date | None:
    """Return the newest day whose birthdays are all celebrated."""
    return session.scalar(sa.select(sa.func.max(BirthdayDay.day)))


def given(session: Session, member_ids: Sequence[UUID], year: int) -> set[UUID]:
    """Return which members had their gift of a year."""
    if not member_ids:
        return set()
    statement = sa.select(BirthdayGift.member_id).where(BirthdayGift.member_id.in_(member_ids), BirthdayGift.year == year)
    return set(session.scalars(statement))


def last_gift_on(session: Session, member_id: UUID) -> date | None:
    """Return the day for which a member last got a gift."""
    return session.scalar(sa.select(sa.func.max(BirthdayGift.celebrated_on)).where(BirthdayGift.member_id == member_id))


def gifts(session: Session, request: PageRequest, *, member_id: UUID | None = None) -> Page[GiftView]:
    """Return a page of gifts, newest first."""
    statement = sa.select(BirthdayGift)
    if member_id is not None:
        statement = statement.where(BirthdayGift.member_id == member_id)
    rows = session.scalars(keyset(statement, BirthdayGift.given_at, BirthdayGift.id, request)).all()
    return page_of(rows, request, lambda row: (row.given_at, row.id)).map(_view)


def _view(row: BirthdayGift) -> GiftView:
    return GiftView(
        row.id,
        row.member_id,
        row.year,
        row.calendar,
        row.celebrated_on,
        row.points,
        row.coupon_id,
        row.coupon_problem,
        row.given_at,
    )
