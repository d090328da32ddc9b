"""Reads of risk control."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.risk import rules
from server.risk.models import RiskEntry, RiskHold, RiskMark, RiskPass, RiskRefusal, RiskRuleVersion

if TYPE_CHECKING:
    from sqlalchemy.orm import InstrumentedAttribute, Session


@dataclass(frozen=True, slots=True)
class EntryView:
    """A line of the block list; what it blocks is told by its hint only."""

    id: UUID
    kind: str
    member_id: UUID | None
    mark: str | None
    hint: str
    scope: str
    reason: str
    until: datetime | None
    created_at: datetime
    created_by: str
    ended_at: datetime | None
    ended_by: str | None


@dataclass(frozen=True, slots=True)
class HoldView:
    """What holds a member."""

    scope: str
    cause: str
    entry_id: UUID | None
    until: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RefusalView:
    """A refusal as staff see it."""

    id: UUID
    occurred_at: datetime
    member_id: UUID
    way: str
    scope: str
    cause: str
    entry_id: UUID | None
    rule_code: str | None
    rule_version: int | None
    mark: str | None
    once_key: str | None
    released_at: datetime | None
    released_by: str | None
    released_why: str | None

    @property
    def device(self) -> str:
        """The last characters of the blind index: enough to see that two refusals came from one device."""
        return self.mark[-6:] if self.mark else ""


def velocity_rules(session: Session) -> tuple[int, tuple[rules.VelocityRule, ...]]:
    """Return the version and the rules that hold now; version 0 is what the product comes with."""
    statement = sa.select(RiskRuleVersion.version, RiskRuleVersion.rules).order_by(RiskRuleVersion.version.desc()).limit(1)
    row = session.execute(statement).one_or_none()
    return (0, rules.DEFAULTS) if row is None else (row.version, rules.from_document(row.rules))


def alive(until: InstrumentedAttribute[datetime | None], now: datetime) -> sa.ColumnElement[bool]:
    """Return the condition that something holds now."""
    return sa.or_(until.is_(None), until > now)


def hold_of(session: Session, member_id: UUID, scope: str, now: datetime) -> HoldView | None:
    """Return what holds a member in a scope, or None: one look-up by the index of (member, scope)."""
    statement = sa.select(RiskHold).where(RiskHold.member_id == member_id, RiskHold.scope == scope, alive(RiskHold.until, now))
    row = session.scalars(statement.order_by(RiskHold.created_at).limit(1)).one_or_none()
    return _hold(row) if row is not None else None


def held(member_id: sa.ColumnElement[UUID] | InstrumentedAttribute[UUID], scope: rules.Scope, now: sa.ColumnElement[datetime]) -> sa.Exists:
    """Return the condition that a member is held in a scope, for a statement that asks in passing; see ``docs/risk.md``.

    Arguments:
        member_id: the statement's own column of the member.
        scope: which.
        now: present instant, as a parameter of the statement.
    """
    live = sa.or_(RiskHold.until.is_(None), RiskHold.until > now)
    return sa.exists().where(RiskHold.member_id == member_id, RiskHold.scope == sa.literal_column(f"'{scope}'"), live)


def holds_of(session: Session, member_id: UUID, now: datetime) -> list[HoldView]:
    """Return all that holds a member."""
    statement = sa.select(RiskHold).where(RiskHold.member_id == member_id, alive(RiskHold.until, now))
    return [_hold(row) for row in session.scalars(statement.order_by(RiskHold.scope, RiskHold.created_at))]


def held_by_rule(session: Session, scope: str, code: str, now: datetime) -> set[UUID]:
    """Return the members that a velocity rule holds in a scope."""
    statement = sa.select(RiskHold.member_id).where(RiskHold.cause == f"rule:{code}", RiskHold.scope == scope, alive(RiskHold.until, now))
    return set(session.scalars(statement))


def has_pass(session: Session, member_id: UUID, scope: str, now: datetime) -> bool:
    """Tell whether staff let a member through."""
    statement = sa.select(RiskPass.id).where(RiskPass.member_id == member_id, RiskPass.scope == scope, alive(RiskPass.until, now))
    return session.scalar(statement.limit(1)) is not None


def device_of(session: Session, member_id: UUID) -> str | None:
    """Return the device a member logged in from last, as a blind index."""
    statement = sa.select(RiskMark.mark).where(RiskMark.member_id == member_id, RiskMark.kind == rules.Kind.DEVICE.value)
    return session.scalar(statement.order_by(RiskMark.seen_at.desc(), RiskMark.id.desc()).limit(1))


def find_entry(session: Session, entry_id: UUID) -> EntryView | None:
    """Return an entry, or None."""
    row = session.scalars(sa.select(RiskEntry).where(RiskEntry.id == entry_id).execution_options(populate_existing=True)).one_or_none()
    return _entry(row) if row is not None else None


def entries(
    session: Session, page: PageRequest, *, now: datetime, kind: str | None = None, scope: str | None = None, live: bool | None = None
) -> Page[EntryView]:
    """Return the block list, newest first.

    Arguments:
        session: any.
        page: which page.
        now: present instant.
        kind: only this kind.
        scope: only entries of exactly this scope.
        live: True for those that hold, False for those that do not any more.
    """
    statement = sa.select(RiskEntry)
    for column, wanted in ((RiskEntry.kind, kind), (RiskEntry.scope, scope)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if live is not None:
        holds = sa.and_(RiskEntry.ended_at.is_(None), alive(RiskEntry.until, now))
        statement = statement.where(holds if live else sa.not_(holds))
    rows = session.scalars(keyset(statement, RiskEntry.created_at, RiskEntry.id, page)).all()
    return page_of(rows, page, lambda row: (row.created_at, row.id)).map(_entry)


def find_refusal(session: Session, refusal_id: UUID) -> RefusalView | None:
    """Return a refusal, or None."""
    statement = sa.select(RiskRefusal).where(RiskRefusal.id == refusal_id).execution_options(populate_existing=True)
    row = session.scalars(statement).one_or_none()
    return _refusal(row) if row is not None else None


def refusals(
    session: Session,
    page: PageRequest,
    *,
    member_id: UUID | None = None,
    way: str | None = None,
    rule: str | None = None,
    released: bool | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[RefusalView]:
    """Return refusals, newest first.

    Arguments:
        session: any.
        page: which page.
        member_id: only of this member.
        way: only of this way in.
        rule: only by the velocity rule of this code.
        released: only those that were, or were not, released.
        since: only from this instant on.
        until: only before this instant.
    """
    statement = sa.select(RiskRefusal)
    for column, wanted in ((RiskRefusal.member_id, member_id), (RiskRefusal.way, way), (RiskRefusal.rule_code, rule)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    if released is not None:
        statement = statement.where(RiskRefusal.released_at.is_not(None) if released else RiskRefusal.released_at.is_(None))
    if since is not None:
        statement = statement.where(RiskRefusal.occurred_at >= since)
    if until is not None:
        statement = statement.where(RiskRefusal.occurred_at < until)
    rows = session.scalars(keyset(statement, RiskRefusal.occurred_at, RiskRefusal.id, page)).all()
    return page_of(rows, page, lambda row: (row.occurred_at, row.id)).map(_refusal)


def refused_by_day(session: Session, since: datetime) -> dict[date, int]:
    """Return business day → refusals, of the days that had any."""
    zone, counts = zone_of(session), dict[date, int]()
    for at in session.scalars(sa.select(RiskRefusal.occurred_at).where(RiskRefusal.occurred_at >= since)):
        day = business_date(at, zone)
        counts[day] = counts.get(day, 0) + 1
    return counts


def counts(session: Session, now: datetime) -> tuple[int, int, int]:
    """Return how many entries hold, how many members are held, and how many refusals nobody released."""
    entries_ = sa.select(sa.func.count()).select_from(RiskEntry).where(RiskEntry.ended_at.is_(None), alive(RiskEntry.until, now))
    held = sa.select(sa.func.count(sa.distinct(RiskHold.member_id))).where(alive(RiskHold.until, now))
    open_ = sa.select(sa.func.count()).select_from(RiskRefusal).where(RiskRefusal.released_at.is_(None))
    return int(session.scalar(entries_) or 0), int(session.scalar(held) or 0), int(session.scalar(open_) or 0)


def _entry(row: RiskEntry) -> EntryView:
    return EntryView(**{name: getattr(row, name) for name in EntryView.__slots__})


def _hold(row: RiskHold) -> HoldView:
    return HoldView(**{name: getattr(row, name) for name in HoldView.__slots__})


def _refusal(row: RiskRefusal) -> RefusalView:
    return RefusalView(**{name: getattr(row, name) for name in RefusalView.__slots__})
