"""Reads of campaigns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
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


@dataclass(frozen=True, slots=True)
class PolicyVersionView:
    """What the brand gave from a day on."""

    version: int
    policy: BirthdayPolicy
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class GiftTotals:
    """What was given in a time.

    Arguments:
        gifts: how many.
        points: in all of them.
        coupons: how many came with a coupon.
        without_coupon: how many should have, and the coupon was not to be had.
    """

    gifts: int
    points: int
    coupons: int
    without_coupon: int


def birthday_policy(session: Session) -> BirthdayPolicy:
    """Return what the brand gives now; nothing while staff have not said."""
    document = session.scalar(sa.select(BirthdayPolicyVersion.document).order_by(BirthdayPolicyVersion.version.desc()).limit(1))
    return BirthdayPolicy() if document is None else _policy(document)


def policy_versions(session: Session, *, limit: int = 20) -> list[PolicyVersionView]:
    """Return the versions of the policy, the one that holds first."""
    rows = session.scalars(sa.select(BirthdayPolicyVersion).order_by(BirthdayPolicyVersion.version.desc()).limit(limit))
    return [PolicyVersionView(row.version, _policy(row.document), row.created_at, row.created_by) for row in rows]


def gift_totals(session: Session, since: datetime) -> GiftTotals:
    """Return what was given since an instant."""
    row = session.execute(
        sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(BirthdayGift.points), 0),
            sa.func.count(BirthdayGift.coupon_id),
            sa.func.count(BirthdayGift.coupon_problem),
        ).where(BirthdayGift.given_at >= since)
    ).one()
    return GiftTotals(int(row[0]), int(row[1]), int(row[2]), int(row[3]))


def last_done_day(session: Session) -> date | None:
    """Return the newest day whose birthdays are all celebrated."""
    return session.scalar(sa.select(sa.func.max(BirthdayDay.day)))


def given(session: Session, member_ids: Sequence[UUID], calendar: str, year: int) -> set[UUID]:
    """Return which members had their gift of a calendar's year."""
    if not member_ids:
        return set()
    had = sa.and_(BirthdayGift.member_id.in_(member_ids), BirthdayGift.calendar == calendar, BirthdayGift.year == year)
    return set(session.scalars(sa.select(BirthdayGift.member_id).where(had)))


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


def _policy(document: dict[str, Any]) -> BirthdayPolicy:
    return BirthdayPolicy(**(document | {"leap_day": LeapDayRule(document["leap_day"])}))


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
