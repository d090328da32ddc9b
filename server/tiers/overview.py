"""What staff see of all members: who moved, who is at risk, and what a draft of the rule would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from server.kernel.clock import business_date, start_of_day
from server.kernel.db import zone_of
from server.tiers import accounts, qualifying
from server.tiers.models import GrowthAccount, GrowthEntry, GrowthRule, MemberTier, Tier, TierChange
from server.tiers.qualifying import Formula

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MOST_PREVIEWED = 100_000


@dataclass(frozen=True, slots=True)
class RuleView:
    """One version of the rule; ``edits`` is asked for by whoever changes or publishes a draft."""

    version: int
    state: str
    formula: Formula
    edits: int
    reason: str | None
    updated_at: datetime
    updated_by: str
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class PreviewMove:
    """How many members would go from one tier to another at once."""

    before: str
    after: str
    members: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What publishing would do.

    Arguments:
        moves: made at once, by codes of tiers.
        at_risk: members who hold a tier that their growth of today would not reach; they keep it until their period ends.
        locked: members whom nothing moves, since their tier is held by hand.
        looked_at: members.
        complete: False when there are more members than were looked at.
    """

    moves: tuple[PreviewMove, ...]
    at_risk: int
    locked: int
    looked_at: int
    complete: bool


@dataclass(frozen=True, slots=True)
class MonthMoves:
    """Changes of tier in one month of the shop's calendar."""

    month: date
    upgrades: int
    downgrades: int
    by_hand: int


@dataclass(frozen=True, slots=True)
class AtRisk:
    """A member who will lose a tier unless growth is earned."""

    member_id: UUID
    tier_code: str
    tier_name: str
    keep_growth: int
    missing: int
    period_ends_on: date
    grace_until: date


def rule_versions(session: Session) -> list[RuleView]:
    """Return all versions of the rule, the newest first."""
    rows = session.scalars(sa.select(GrowthRule).order_by(GrowthRule.version.desc()).execution_options(populate_existing=True))
    return [
        RuleView(row.version, row.state, Formula(**row.document), row.edits, row.reason, row.updated_at, row.updated_by, row.published_at)
        for row in rows
    ]


def holders(session: Session) -> list[tuple[str, str, int]]:
    """Return ``(code, name, members)`` for each tier, the lowest first; the lowest counts everybody with growth and no tier above."""
    tiers = session.execute(sa.select(Tier.id, Tier.code, Tier.name).order_by(Tier.rank)).all()
    live = sa.select(GrowthAccount.member_id, MemberTier.tier_id).outerjoin(MemberTier, MemberTier.member_id == GrowthAccount.member_id)
    counted = live.where(GrowthAccount.merged_into.is_(None)).subquery()
    counts: dict[Any, int] = {}
    for tier_id, members in session.execute(sa.select(counted.c.tier_id, sa.func.count()).group_by(counted.c.tier_id)):
        counts[tier_id] = int(members)
    return [(row.code, row.name, counts.get(row.id, 0) + (counts.get(None, 0) if place == 0 else 0)) for place, row in enumerate(tiers)]


def moves_by_month(session: Session, *, now: datetime, months: int = 12) -> list[MonthMoves]:
    """Return how many changes of tier each of the last months saw, this one last."""
    zone = zone_of(session)
    this = business_date(now, zone).replace(day=1)
    firsts = [qualifying.shifted(this, -number) for number in reversed(range(months))]
    starts = [start_of_day(first, zone) for first in [*firsts, qualifying.shifted(this, 1)]]
    before, after = aliased(Tier), aliased(Tier)
    by_hand = sa.func.coalesce(TierChange.cause, qualifying.ASSIGNMENT).in_([qualifying.ASSIGNMENT, qualifying.LOCK])
    kinds = {
        "up": sa.and_(sa.not_(by_hand), after.rank > before.rank),
        "down": sa.and_(sa.not_(by_hand), after.rank < before.rank),
        "hand": by_hand,
    }
    columns = [
        sa.func.count(sa.case((sa.and_(TierChange.occurred_at >= starts[place], TierChange.occurred_at < starts[place + 1], met), 1)))
        for place in range(months)
        for met in kinds.values()
    ]
    row = session.execute(
        sa.select(*columns)
        .join(before, before.id == TierChange.from_tier_id)
        .join(after, after.id == TierChange.to_tier_id)
        .where(TierChange.occurred_at >= starts[0], TierChange.from_tier_id != TierChange.to_tier_id)
    ).one()
    counts = [int(one) for one in row]
    return [MonthMoves(first, *counts[place * 3 : place * 3 + 3]) for place, first in enumerate(firsts)]


def at_risk(session: Session, *, now: datetime, days: int = 60, tier: str | None = None, limit: int = 200) -> list[AtRisk]:
    """Return who will lose a tier, the soonest first.

    Arguments:
        session: of a reading session.
        now: present instant.
        days: whose period ends within so many days, or has ended and is in its grace.
        tier: only who holds this tier.
        limit: at most so many.
    """
    rule = accounts.current_rule(session)
    if rule is None or not rule.formula.thresholds:
        return []
    today = accounts.today_of(session, now)
    short = sa.or_(
        *(
            sa.and_(Tier.code == code, GrowthAccount.keep_growth < needed)
            for code, needed in rule.formula.thresholds.items()
            if tier in {None, code}
        )
    )
    grace = timedelta(days=rule.formula.grace_days)
    rows = session.execute(
        sa.select(GrowthAccount.member_id, Tier.code, Tier.name, GrowthAccount.keep_growth, GrowthAccount.period_ends_on)
        .join(MemberTier, MemberTier.member_id == GrowthAccount.member_id)
        .join(Tier, Tier.id == MemberTier.tier_id)
        .where(
            short,
            GrowthAccount.merged_into.is_(None),
            GrowthAccount.period_ends_on >= today - grace,
            GrowthAccount.period_ends_on <= today + timedelta(days=days),
            sa.or_(GrowthAccount.locked_until.is_(None), GrowthAccount.locked_until <= GrowthAccount.period_ends_on),
        )
        .order_by(GrowthAccount.period_ends_on, GrowthAccount.member_id)
        .limit(limit)
    )
    needed = rule.formula.thresholds
    return [
        AtRisk(member_id, code, name, keep, needed[code] - keep, ends_on, ends_on + grace)
        for member_id, code, name, keep, ends_on in rows
        if ends_on is not None
    ]


def preview(session: Session, formula: Formula, *, now: datetime, limit: int = MOST_PREVIEWED) -> Preview:
    """Return who would move if a draft held; growth that was earned stays what it is. Nothing is written.

    Arguments:
        session: of a reading session.
        formula: the draft.
        now: present instant.
        limit: members looked at, in one statement.
    """
    today = accounts.today_of(session, now)
    ladder = accounts.rungs(session)
    if not ladder:
        return Preview((), 0, 0, 0, complete=True)
    places = {rung.id: place for place, rung in enumerate(ladder)}
    first = qualifying.window_start(formula, today)
    people = sa.select(GrowthAccount.member_id, GrowthAccount.locked_until).where(GrowthAccount.merged_into.is_(None))
    bounded = people.order_by(GrowthAccount.member_id).limit(limit).subquery()
    counted = sa.and_(GrowthEntry.member_id == bounded.c.member_id, GrowthEntry.counted_on >= first, GrowthEntry.counted_on <= today)
    sums = (
        sa.select(bounded.c.member_id, bounded.c.locked_until, sa.func.coalesce(sa.func.sum(GrowthEntry.growth), 0).label("growth"))
        .outerjoin(GrowthEntry, counted)
        .group_by(bounded.c.member_id, bounded.c.locked_until)
        .subquery()
    )
    reached = [
        (sums.c.growth >= formula.thresholds[rung.code], place)
        for place, rung in reversed(list(enumerate(ladder)))
        if rung.code in formula.thresholds
    ]
    best = sa.case(*reached, else_=0) if reached else sa.literal(0)
    locked = sa.case((sums.c.locked_until >= today, 1), else_=0)
    inner = (
        sa.select(MemberTier.tier_id.label("tier_id"), best.label("best"), locked.label("locked"))
        .select_from(sums)
        .outerjoin(MemberTier, MemberTier.member_id == sums.c.member_id)
        .subquery()
    )
    rows = session.execute(
        sa.select(inner.c.tier_id, inner.c.best, inner.c.locked, sa.func.count()).group_by(inner.c.tier_id, inner.c.best, inner.c.locked)
    ).all()
    return _counted(rows, [rung.code for rung in ladder], places, formula, limit)


def _counted(rows: Sequence[Any], codes: list[str], places: dict[UUID, int], formula: Formula, limit: int) -> Preview:
    moves: dict[tuple[int, int], int] = {}
    risk = held = looked = 0
    for tier_id, best, is_locked, members in rows:
        place = places.get(tier_id, 0)
        looked += members
        if is_locked:
            held += members
        elif best > place:
            moves[(place, best)] = moves.get((place, best), 0) + members
        elif best < place and codes[place] in formula.thresholds:
            risk += members
    found = tuple(PreviewMove(codes[before], codes[after], members) for (before, after), members in sorted(moves.items()))
    return Preview(found, risk, held, looked, complete=looked < limit)
