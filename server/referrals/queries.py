"""Reads of referrals."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.kernel.crypto import vault_of
from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.members import queries as members
from server.referrals import rules
from server.referrals.models import Referral, ReferralCode, ReferralMark, ReferralPolicyVersion
from server.referrals.rules import ReferralPolicy

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# A circle longer than this is no trick of two or three friends any more.
_MOST_HOPS = 8


@dataclass(frozen=True, slots=True)
class Summary:
    """What an inviter has reached."""

    invited: int = 0
    rewarded: int = 0
    points_earned: int = 0


@dataclass(frozen=True, slots=True)
class ReferralView:
    """A referral as staff see it."""

    id: UUID
    inviter_id: UUID
    friend_id: UUID
    code: str
    state: str
    reason: str | None
    joined_at: datetime
    order_id: UUID | None
    policy_version: int
    inviter_points: int
    friend_points: int
    inviter_entry_id: UUID | None
    friend_entry_id: UUID | None
    rewarded_at: datetime | None
    decided_at: datetime | None
    decided_by: str | None
    decided_why: str | None


def policy(session: Session) -> tuple[int, ReferralPolicy]:
    """Return the version and the policy that hold now; version 0 is what the product comes with."""
    names = [field.name for field in fields(ReferralPolicy)]
    columns = [getattr(ReferralPolicyVersion, name) for name in names]
    row = session.execute(
        sa.select(ReferralPolicyVersion.version, *columns).order_by(ReferralPolicyVersion.version.desc()).limit(1)
    ).one_or_none()
    return (0, ReferralPolicy()) if row is None else (row.version, ReferralPolicy(*row[1:]))


def code_of(session: Session, member_id: UUID) -> str | None:
    """Return the code a member shows, or None while they asked for none."""
    return session.scalar(sa.select(ReferralCode.code).where(ReferralCode.active_slot == member_id))


def inviter_of(session: Session, code: str) -> UUID | None:
    """Return whose code it is; codes of merged records are their survivor's."""
    wanted = rules.normalised_code(code)
    return session.scalar(sa.select(ReferralCode.member_id).where(ReferralCode.code == wanted)) if wanted else None


def summary(session: Session, member_id: UUID) -> Summary:
    """Return what an inviter has reached; friends that were refused are not told of."""
    row = session.execute(
        sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(sa.case((Referral.state == rules.REWARDED, 1), else_=0)), 0),
            sa.func.coalesce(sa.func.sum(Referral.inviter_points), 0),
        ).where(Referral.inviter_id == member_id, Referral.state != rules.REFUSED)
    ).one()
    return Summary(*(int(value) for value in row))


def rewarded_count(session: Session, inviter_id: UUID) -> int:
    """Return how many friends an inviter was rewarded for; the caller holds the inviter's points account."""
    statement = sa.select(sa.func.count()).select_from(Referral)
    return int(session.scalar(statement.where(Referral.inviter_id == inviter_id, Referral.state == rules.REWARDED)) or 0)


def joined_on(session: Session, inviter_id: UUID, day: date) -> int:
    """Return how many friends joined by an inviter's codes on a business day."""
    statement = sa.select(sa.func.count()).select_from(Referral)
    return int(session.scalar(statement.where(Referral.inviter_id == inviter_id, Referral.joined_on == day)) or 0)


def share_a_mark(session: Session, kind: str, one_id: UUID, other_id: UUID) -> bool:
    """Tell whether two members have a device, or a phone number past or present, in common."""
    marks = [
        set(session.scalars(sa.select(ReferralMark.mark).where(ReferralMark.member_id == member_id, ReferralMark.kind == kind)))
        for member_id in (one_id, other_id)
    ]
    if kind == "phone":
        for found, member_id in zip(marks, (one_id, other_id), strict=True):
            phone = members.phone_of(session, member_id)
            if phone is not None:
                found.add(vault_of(session).index("phone", phone))
    return bool(marks[0] & marks[1])


def in_a_circle(session: Session, inviter_id: UUID, friend_id: UUID) -> bool:
    """Tell whether the inviter was, through whomever, invited by the friend."""
    current: UUID | None = inviter_id
    for _ in range(_MOST_HOPS):
        current = session.scalar(sa.select(Referral.inviter_id).where(Referral.friend_slot == current))
        if current is None:
            return False
        if current == friend_id:
            return True
    return False


def find(session: Session, referral_id: UUID) -> ReferralView | None:
    """Return a referral, or None."""
    row = session.scalars(sa.select(Referral).where(Referral.id == referral_id).execution_options(populate_existing=True)).one_or_none()
    return _view(row) if row is not None else None


def listed(
    session: Session,
    page: PageRequest,
    *,
    state: str | None = None,
    reason: str | None = None,
    inviter_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[ReferralView]:
    """Return referrals, newest first.

    Arguments:
        session: any.
        page: which page.
        state: only in this state.
        reason: only refused or held for this reason.
        inviter_id: only of this inviter.
        since: only of friends who joined from this instant on.
        until: only of friends who joined before this instant.
    """
    statement = sa.select(Referral)
    for column, wanted in ((Referral.state, state), (Referral.reason, reason), (Referral.inviter_id, inviter_id)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if since is not None:
        statement = statement.where(Referral.joined_at >= since)
    if until is not None:
        statement = statement.where(Referral.joined_at < until)
    rows = session.scalars(keyset(statement, Referral.joined_at, Referral.id, page)).all()
    return page_of(rows, page, lambda row: (row.joined_at, row.id)).map(_view)


def counts(session: Session) -> dict[str, tuple[int, int]]:
    """Return state → (how many referrals, points given to both sides)."""
    points = sa.func.coalesce(sa.func.sum(Referral.inviter_points + Referral.friend_points), 0)
    rows = session.execute(sa.select(Referral.state, sa.func.count(), points).group_by(Referral.state))
    return {state: (int(count), int(given)) for state, count, given in rows}


def _view(row: Referral) -> ReferralView:
    return ReferralView(**{name: getattr(row, name) for name in ReferralView.__slots__})
