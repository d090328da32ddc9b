"""What can be read about tiers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from server.kernel.clock import end_of_day
from server.kernel.db import zone_of
from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.tiers import accounts, qualifying
from server.tiers.models import GrowthAccount, GrowthEntry, MemberTier, Tier, TierChange, TierGift
from server.tiers.qualifying import Standing
from server.tiers.rules import DEFAULT_TIERS, Face, Perks

if TYPE_CHECKING:
    from datetime import date, datetime
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
    perks: Perks = field(default_factory=Perks)


@dataclass(frozen=True, slots=True)
class Benefit:
    """One thing a tier gives, by the name other domains ask for.

    Arguments:
        kind: ``points_multiplier`` (``value`` in percent), ``service_priority`` (``text`` says which), ``advisor`` (``text`` is the
            name), ``upgrade_points`` (``value``; once, when the tier is reached), ``upgrade_coupon`` (``text`` is the template's code),
            or ``text`` for a line in the staff's own words.
        text: a msgid or the staff's own words.
        value: a number, where the kind has one.
    """

    kind: str
    text: str
    value: int | None = None


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One change of a tier, its period or its lock, by names of tiers."""

    occurred_at: datetime
    from_code: str | None
    from_name: str | None
    to_code: str
    to_name: str
    reason: str
    actor_kind: str
    actor_ref: str
    cause: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How a member stands.

    Arguments:
        growth: what counts today.
        threshold: growth the held tier takes; None for the lowest and for one that is given by hand only.
        next_threshold: growth the next tier that can be earned takes; None when there is none.
        next_code: that tier.
        missing: what is missing for it.
        period_starts_on, period_ends_on: of the tier held; None for the lowest.
        grace_until: last day to make up for what is missing.
        keep_growth: what will count at the period's end if nothing more is earned.
        keep_missing: what must be earned until ``grace_until`` to keep the tier; 0 when nothing, None where nothing can be lost.
        at_risk: the period ends soon, and growth is missing.
        locked_until: last day on which the tier is held by hand.
        window: ``months`` or ``calendar_year``; None while no rule was published.
        window_months: of a rolling window.
    """

    growth: int
    threshold: int | None = None
    next_threshold: int | None = None
    next_code: str | None = None
    missing: int | None = None
    period_starts_on: date | None = None
    period_ends_on: date | None = None
    grace_until: date | None = None
    keep_growth: int = 0
    keep_missing: int | None = None
    at_risk: bool = False
    locked_until: date | None = None
    window: str | None = None
    window_months: int | None = None


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry of the growth statement."""

    id: UUID
    kind: str
    growth: int
    counted_on: date
    occurred_at: datetime
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class GiftView:
    """What a member got for reaching a tier."""

    tier_code: str
    tier_name: str
    reached_on: date
    points: int
    coupon_id: UUID | None
    coupon_problem: str | None
    given_at: datetime


@dataclass(frozen=True, slots=True)
class Upgrade:
    """An upgrade that was made, as far as its gift cares."""

    change_id: UUID
    member_id: UUID
    tier_id: UUID
    tier_code: str
    tier_name: str
    perks: Perks
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Headcount:
    """How many members hold a tier by a row of their own."""

    code: str
    members: int


_TIER: tuple[Any, ...] = (Tier.code, Tier.name, Tier.rank, Tier.face, Tier.points_multiplier_percent, Tier.benefits, Tier.perks)


def _view(row: Any, since: datetime | None = None) -> TierView:
    perks = Perks(**(row.perks or {}))
    return TierView(row.code, row.name, row.rank, Face(**row.face), row.points_multiplier_percent, tuple(row.benefits), since, perks)


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


def held_at(session: Session, member_id: UUID, instant: datetime) -> TierView:
    """Return the tier a member held at an earlier instant, as it is defined now; the lowest where there was none yet."""
    moved = (TierChange.member_id == member_id, sa.or_(TierChange.from_tier_id.is_(None), TierChange.from_tier_id != TierChange.to_tier_id))
    order = (TierChange.occurred_at, TierChange.id)
    after = session.execute(
        sa.select(TierChange.from_tier_id).where(*moved, TierChange.occurred_at > instant).order_by(*order).limit(1)
    ).one_or_none()
    if after is None:
        return of_member(session, member_id)
    # What the first change since then changed from; the lowest where there was no row before it.
    held = Tier.id == after.from_tier_id if after.from_tier_id is not None else sa.true()
    return _view(session.execute(sa.select(*_TIER).where(held).order_by(Tier.rank).limit(1)).one())


def next_above(session: Session, rank: int) -> TierView | None:
    """Return the next better tier, or None at the top."""
    row = session.execute(sa.select(*_TIER).where(Tier.rank > rank).order_by(Tier.rank).limit(1)).one_or_none()
    return None if row is None else _view(row)


def benefits(session: Session, member_id: UUID) -> list[Benefit]:
    """Return what the member's tier gives."""
    tier = of_member(session, member_id)
    perks = tier.perks
    found = [Benefit("points_multiplier", "", tier.points_multiplier_percent)]
    if perks.service_priority != "normal":
        found.append(Benefit("service_priority", perks.service_priority))
    if perks.advisor:
        found.append(Benefit("advisor", perks.advisor))
    if perks.upgrade_points:
        found.append(Benefit("upgrade_points", "", perks.upgrade_points))
    if perks.upgrade_coupon:
        found.append(Benefit("upgrade_coupon", perks.upgrade_coupon))
    return [*found, *(Benefit("text", text) for text in tier.benefits)]


def rule_holds(session: Session) -> bool:
    """Tell whether growth is earned at all: a rule was published, and there are tiers."""
    return accounts.current_rule(session) is not None and bool(accounts.rungs(session))


def given_by_hand(session: Session, member_id: UUID) -> bool:
    """Tell whether people, not growth, put the member into the tier they hold."""
    last = changes(session, member_id, limit=1)
    return bool(last) and last[0].cause in {qualifying.ASSIGNMENT, qualifying.LOCK}


def progress(session: Session, member_id: UUID, *, now: datetime) -> Progress:
    """Return how a member stands today, exact also when the job has not looked yet; nothing is written.

    Arguments:
        session: of a reading session.
        member_id: who.
        now: present instant.
    """
    account = session.scalars(
        sa.select(GrowthAccount).where(GrowthAccount.member_id == member_id).execution_options(populate_existing=True)
    ).one_or_none()
    rule, ladder = accounts.current_rule(session), definitions(session)
    if rule is None or not ladder:
        return Progress(account.growth if account else 0)
    formula, today = rule.formula, accounts.today_of(session, now)
    held = of_member(session, member_id)
    standing = Standing(held.code, *((account.period_starts_on, account.period_ends_on, account.locked_until) if account else ()))
    days: dict[date, int] = {}
    if account is not None:
        days = accounts.days_of(session, [member_id], accounts.first_day_needed(formula, [account], today))[member_id]
    growth = qualifying.growth_on(formula, days, today)
    ends = standing.period_ends_on
    keep = growth if ends is None else qualifying.growth_on(formula, days, ends)
    threshold = formula.thresholds.get(held.code)
    above = next((tier for tier in ladder if tier.rank > held.rank and tier.code in formula.thresholds), None)
    needed = formula.thresholds[above.code] if above else None
    # In the grace today's growth counts as well as the period's.
    counted = keep if ends is None or today <= ends else max(keep, growth)
    keep_missing = None if threshold is None or ends is None else max(threshold - counted, 0)
    soon = ends is not None and today >= ends - timedelta(days=qualifying.WARN_DAYS)
    return Progress(
        growth=growth,
        threshold=threshold,
        next_threshold=needed,
        next_code=above.code if above else None,
        missing=None if needed is None else max(needed - growth, 0),
        period_starts_on=standing.period_starts_on,
        period_ends_on=ends,
        grace_until=None if ends is None else ends + timedelta(days=formula.grace_days),
        keep_growth=keep,
        keep_missing=keep_missing,
        at_risk=soon and bool(keep_missing) and qualifying.is_at_risk(formula, standing, counted),
        locked_until=standing.locked_until if standing.locked_until and standing.locked_until >= today else None,
        window=formula.window,
        window_months=formula.window_months if formula.window == qualifying.ROLLING else None,
    )


def entries(session: Session, member_id: UUID, request: PageRequest) -> Page[EntryView]:
    """Return a page of a member's growth statement, newest first."""
    statement = sa.select(GrowthEntry).where(GrowthEntry.member_id == member_id)
    rows = session.scalars(keyset(statement, GrowthEntry.occurred_at, GrowthEntry.id, request)).all()
    return page_of(rows, request, lambda row: (row.occurred_at, row.id)).map(
        lambda row: EntryView(row.id, row.kind, row.growth, row.counted_on, row.occurred_at, row.details)
    )


def gifts(session: Session, member_id: UUID, *, limit: int = 20) -> list[GiftView]:
    """Return what a member got for reaching tiers, newest first."""
    columns: tuple[Any, ...] = (
        Tier.code,
        Tier.name,
        TierGift.reached_on,
        TierGift.points,
        TierGift.coupon_id,
        TierGift.coupon_problem,
        TierGift.given_at,
    )
    rows = session.execute(
        sa.select(*columns)
        .join(Tier, Tier.id == TierGift.tier_id)
        .where(TierGift.member_id == member_id)
        .order_by(TierGift.given_at.desc(), TierGift.id.desc())
        .limit(limit)
    )
    return [GiftView(*row) for row in rows]


def upgrade(session: Session, change_id: UUID) -> Upgrade | None:
    """Return an upgrade that growth earned, or None when the change was something else."""
    row = session.execute(
        sa.select(TierChange.id, TierChange.member_id, Tier.id.label("tier_id"), Tier.code, Tier.name, Tier.perks, TierChange.occurred_at)
        .join(Tier, Tier.id == TierChange.to_tier_id)
        .where(TierChange.id == change_id, TierChange.cause == qualifying.UPGRADE)
    ).one_or_none()
    if row is None:
        return None
    return Upgrade(row.id, row.member_id, row.tier_id, row.code, row.name, Perks(**(row.perks or {})), row.occurred_at)


def points_until(session: Session, perks: Perks, day: date) -> datetime | None:
    """Return when points of an upgrade's gift expire; None for never."""
    if perks.upgrade_points_days is None:
        return None
    return end_of_day(day + timedelta(days=perks.upgrade_points_days), zone_of(session))


def changes(session: Session, member_id: UUID, *, limit: int = 20, only_moves: bool = True) -> list[ChangeView]:
    """Return a member's changes, newest first.

    Arguments:
        session: of a reading session.
        member_id: whose.
        limit: at most so many.
        only_moves: leave out locks and renewals, which leave the tier as it was.
    """
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
        sa.func.coalesce(TierChange.cause, qualifying.ASSIGNMENT).label("cause"),
    )
    statement = (
        sa.select(*columns)
        .join(after, after.id == TierChange.to_tier_id)
        .outerjoin(before, before.id == TierChange.from_tier_id)
        .where(TierChange.member_id == member_id)
        .order_by(TierChange.occurred_at.desc(), TierChange.id.desc())
        .limit(limit)
    )
    if only_moves:
        statement = statement.where(sa.or_(TierChange.from_tier_id.is_(None), TierChange.from_tier_id != TierChange.to_tier_id))
    rows = session.execute(statement)
    return [ChangeView(*row) for row in rows]


def headcounts(session: Session) -> list[Headcount]:
    """Return how many members hold each tier by a row of their own; records that were joined into others are not counted."""
    merged = sa.select(GrowthAccount.member_id).where(GrowthAccount.merged_into.is_not(None))
    rows = session.execute(
        sa.select(Tier.code, sa.func.count(MemberTier.member_id))
        .outerjoin(MemberTier, sa.and_(MemberTier.tier_id == Tier.id, MemberTier.member_id.not_in(merged)))
        .group_by(Tier.code, Tier.rank)
        .order_by(Tier.rank)
    ).all()
    return [Headcount(code, int(members)) for code, members in rows]
