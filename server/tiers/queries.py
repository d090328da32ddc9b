"""What can be read about tiers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from server.tiers.models import MemberTier, Tier, TierChange
from server.tiers.rules import DEFAULT_TIERS, Face

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class TierView:
    """A tier, and since when the member it was asked for holds it (None: from the beginning)."""

    code: str
    name: str
    rank: int
    face: Face
    points_multiplier_percent: int
    benefits: tuple[str, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Benefit:
    """One thing a tier gives.

    Arguments:
        kind: ``points_multiplier`` (``value`` in percent) or ``text``.
        text: a msgid or the staff's own words.
    """

    kind: str
    text: str
    value: int | None = None


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One change of tier, by names of tiers."""

    occurred_at: datetime
    from_code: str | None
    from_name: str | None
    to_code: str
    to_name: str
    reason: str
    actor_kind: str
    actor_ref: str


@dataclass(frozen=True, slots=True)
class Headcount:
    """How many members hold a tier by a row of their own."""

    code: str
    members: int


_TIER: tuple[Any, ...] = (Tier.code, Tier.name, Tier.rank, Tier.face, Tier.points_multiplier_percent, Tier.benefits)


def _view(row: Any, since: datetime | None = None) -> TierView:
    return TierView(row.code, row.name, row.rank, Face(**row.face), row.points_multiplier_percent, tuple(row.benefits), since)


def definitions(session: Session) -> list[TierView]:
    """Return all tiers, the lowest first."""
    return [_view(row) for row in session.execute(sa.select(*_TIER).order_by(Tier.rank))]


def of_member(session: Session, member_id: UUID) -> TierView:
    """Return the tier a member holds, the lowest when none was assigned, in one statement."""
    held = sa.and_(MemberTier.tier_id == Tier.id, MemberTier.member_id == member_id)
    row = session.execute(
        sa.select(*_TIER, MemberTier.since).outerjoin(MemberTier, held).order_by(MemberTier.member_id.is_(None), Tier.rank).limit(1)
    ).one_or_none()
    if row is None:
        first = DEFAULT_TIERS[0]
        return TierView(first.code, first.name, first.rank, first.face, first.points_multiplier_percent, first.benefits)
    return _view(row, row.since)


def next_above(session: Session, rank: int) -> TierView | None:
    """Return the next better tier, or None at the top."""
    row = session.execute(sa.select(*_TIER).where(Tier.rank > rank).order_by(Tier.rank).limit(1)).one_or_none()
    return None if row is None else _view(row)


def benefits(session: Session, member_id: UUID) -> list[Benefit]:
    """Return what the member's tier gives."""
    tier = of_member(session, member_id)
    return [
        Benefit("points_multiplier", "", tier.points_multiplier_percent),
        *(Benefit("text", text) for text in tier.benefits),
    ]


def changes(session: Session, member_id: UUID, *, limit: int = 20) -> list[ChangeView]:
    """Return a member's changes of tier, newest first."""
    before, after = aliased(Tier), aliased(Tier)
    columns: tuple[Any, ...] = (
        TierChange.occurred_at,
        before.code.label("from_code"),
        before.name.label("from_name"),
        after.code.label("to_code"),
        after.name.label("to_name"),
        TierChange.reason,
        TierChange.actor_kind,
        TierChange.actor_ref,
    )
    rows = session.execute(
        sa.select(*columns)
        .join(after, after.id == TierChange.to_tier_id)
        .outerjoin(before, before.id == TierChange.from_tier_id)
        .where(TierChange.member_id == member_id)
        .order_by(TierChange.occurred_at.desc(), TierChange.id.desc())
        .limit(limit)
    )
    return [ChangeView(*row) for row in rows]


def headcounts(session: Session) -> list[Headcount]:
    """Return how many members were assigned to each tier."""
    rows = session.execute(
        sa.select(Tier.code, sa.func.count(MemberTier.member_id))
        .outerjoin(MemberTier, MemberTier.tier_id == Tier.id)
        .group_by(Tier.code, Tier.rank)
        .order_by(Tier.rank)
    ).all()
    return [Headcount(code, int(members)) for code, members in rows]
