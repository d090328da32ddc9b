"""What can be read about points: balances, statements, lots, rules. Console reads live in ``overview``, proofs in ``proofs``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.kernel.clock import start_of_day
from server.kernel.db import one_of, zone_of
from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.points.models import PointsAccount, PointsCheckIn, PointsEntry, PointsLot, PointsRule, PointsSettings
from server.points.overview import UNNAMED_DAY, daily_totals, entry_detail, search_entries
from server.points.proofs import Drift, prove
from server.points.rules import DatedRule, DebtPolicy, PolicySettings, Rule, Rulebook, RuleRef, read_expiry, read_rule

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy.orm import Session

    from server.kernel.source import Source

__all__ = ["Drift", "daily_totals", "entry_detail", "prove", "search_entries"]

EXPIRING_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Balance:
    """What a member has, in points.

    Arguments:
        debt: owed, repaid by the next earnings.
        expiring_soon: of the available, gone within 30 days.
        expiring_at: when the first of those go.
    """

    available: int = 0
    pending: int = 0
    reserved: int = 0
    debt: int = 0
    expiring_soon: int = 0
    expiring_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One line of a member's statement; ``rule`` is the rule's code and version (``purchase@3``)."""

    id: UUID
    kind: str
    points: int
    available_after: int
    pending_after: int
    reason: str
    rule: str | None
    source: str
    details: dict[str, Any] | None
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class LotRow:
    """One lot; ``left`` includes what is reserved of it. A pending one without ``unlock_at`` waits for news of its order."""

    id: UUID
    amount: int
    left: int
    reserved: int
    state: str
    unlock_at: datetime | None
    expires_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RuleView:
    """One version of a rule."""

    id: UUID
    code: str
    version: int
    kind: str
    name: str
    document: dict[str, Any]
    enabled: bool
    valid_from: datetime | None
    valid_until: datetime | None
    created_at: datetime
    created_by: str
    reason: str | None
    dry_run_id: UUID | None


@dataclass(frozen=True, slots=True)
class CheckInState:
    """A member's streak: days in a row up to today, or up to yesterday when today is still open."""

    checked_in_today: bool
    streak_days: int


_STATEMENT: tuple[Any, ...] = (
    *(getattr(PointsEntry, name) for name in ("id", "kind", "points", "available_after", "pending_after", "reason")),
    PointsRule.code,
    PointsRule.version,
    *(getattr(PointsEntry, name) for name in ("source_namespace", "source_key", "details", "occurred_at")),
)
_LOT: tuple[Any, ...] = tuple(
    getattr(PointsLot, name) for name in ("id", "amount", "left_", "reserved", "state", "unlock_at", "expires_at", "created_at")
)


def homes(session: Session, member_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return for each member whose account holds their points now: their own, or the one theirs was merged into."""
    wanted = list(member_ids)
    rows = session.execute(sa.select(PointsAccount.member_id, PointsAccount.merged_into).where(PointsAccount.member_id.in_(wanted)))
    merged = {row.member_id: row.merged_into for row in rows}
    return {member_id: merged.get(member_id) or member_id for member_id in wanted}


def records_of(session: Session, member_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """Return member → their own record and those whose points were merged into theirs: what was told of them stands under their ids."""
    found: dict[UUID, list[UUID]] = {member_id: [member_id] for member_id in member_ids}
    rows = session.execute(
        sa.select(PointsAccount.merged_into, PointsAccount.member_id)
        .where(one_of(session, PointsAccount.merged_into, list(found)))
        .order_by(PointsAccount.member_id)
    )
    for row in rows:
        found[row.merged_into].append(row.member_id)
    return found


def balance(session: Session, member_id: UUID, *, now: datetime | None = None) -> Balance:
    """Return a member's balance in one statement; all zero when no account was opened.

    Arguments:
        session: of an open transaction.
        member_id: whose points.
        now: from when the 30 days of ``expiring_soon`` count; the machine's clock when None.
    """
    now = now or datetime.now(UTC)
    free = PointsLot.left_ - PointsLot.reserved
    soon = sa.and_(PointsLot.state == "available", PointsLot.expires_at > now, PointsLot.expires_at <= now + EXPIRING_SOON)
    row = session.execute(
        sa.select(
            PointsAccount.available,
            PointsAccount.pending,
            PointsAccount.reserved,
            PointsAccount.debt_owed,
            sa.func.coalesce(sa.func.sum(free), 0).label("expiring_soon"),
            sa.func.min(PointsLot.expires_at).label("expiring_at"),
        )
        .outerjoin(PointsLot, sa.and_(PointsLot.member_id == PointsAccount.member_id, soon, free > 0))
        .where(PointsAccount.member_id == member_id)
        .group_by(PointsAccount.member_id, PointsAccount.available, PointsAccount.pending, PointsAccount.reserved, PointsAccount.debt_owed)
    ).one_or_none()
    if row is None:
        return Balance()
    return Balance(row.available, row.pending, row.reserved, row.debt_owed, int(row.expiring_soon), row.expiring_at)


def entries(session: Session, member_id: UUID, page: PageRequest, *, kind: str | None = None) -> Page[EntryRow]:
    """Return a member's statement, newest first, with the history of memberships that were merged into it.

    Arguments:
        session: of an open transaction.
        member_id: whose points.
        page: which page.
        kind: only entries of this kind.
    """
    merged = session.scalars(sa.select(PointsAccount.member_id).where(PointsAccount.merged_into == member_id)).all()
    owner = PointsEntry.member_id.in_([member_id, *merged]) if merged else PointsEntry.member_id == member_id
    statement = sa.select(*_STATEMENT).outerjoin(PointsRule, PointsRule.id == PointsEntry.rule_id).where(owner)
    if kind is not None:
        statement = statement.where(PointsEntry.kind == kind)
    rows = session.execute(keyset(statement, PointsEntry.occurred_at, PointsEntry.id, page)).all()
    found = [_entry_row(row) for row in rows]
    return page_of(found, page, lambda entry: (entry.occurred_at, entry.id))


def find_entry(session: Session, entry_id: UUID) -> EntryRow | None:
    """Return one line of somebody's statement, or None."""
    statement = sa.select(*_STATEMENT).outerjoin(PointsRule, PointsRule.id == PointsEntry.rule_id).where(PointsEntry.id == entry_id)
    row = session.execute(statement).one_or_none()
    return _entry_row(row) if row is not None else None


def details_of(session: Session, entry_id: UUID) -> dict[str, Any] | None:
    """Return the trace an entry keeps, or None."""
    found: dict[str, Any] | None = session.scalar(sa.select(PointsEntry.details).where(PointsEntry.id == entry_id))
    return found


def _entry_row(row: Any) -> EntryRow:
    return EntryRow(
        row.id,
        row.kind,
        row.points,
        row.available_after,
        row.pending_after,
        row.reason,
        f"{row.code}@{row.version}" if row.code else None,
        f"{row.source_namespace}/{row.source_key}",
        row.details,
        row.occurred_at,
    )


def lots(session: Session, member_id: UUID, page: PageRequest, *, only_left: bool = True) -> Page[LotRow]:
    """Return a member's lots, newest first.

    Arguments:
        session: of an open transaction.
        member_id: whose points.
        page: which page.
        only_left: pass over lots of which nothing is left.
    """
    statement = sa.select(*_LOT).where(PointsLot.member_id == member_id)
    if only_left:
        statement = statement.where(PointsLot.left_ > 0)
    rows = session.execute(keyset(statement, PointsLot.created_at, PointsLot.id, page)).all()
    return page_of([LotRow(*row) for row in rows], page, lambda lot: (lot.created_at, lot.id)).map(_told)


def _told(lot: LotRow) -> LotRow:
    """Return a lot as it is told: a day nobody can name yet is none."""
    return lot if lot.unlock_at is None or lot.unlock_at < UNNAMED_DAY else replace(lot, unlock_at=None)


def entry_of_source(session: Session, source: Source) -> UUID | None:
    """Return the id of the entry that a source made, or None."""
    return session.scalar(
        sa.select(PointsEntry.id).where(PointsEntry.source_namespace == source.namespace, PointsEntry.source_key == source.key)
    )


def left_of_entry(session: Session, entry_id: UUID) -> int:
    """Return how many points of an entry were neither reversed nor returned yet."""
    back = sa.orm.aliased(PointsEntry)
    taken = sa.select(sa.func.coalesce(sa.func.sum(sa.func.abs(back.points)), 0)).where(back.reverses_id == entry_id).scalar_subquery()
    return int(session.scalar(sa.select(sa.func.abs(PointsEntry.points) - taken).where(PointsEntry.id == entry_id)) or 0)


def member_of_source(session: Session, source: Source) -> UUID | None:
    """Return whose entry a source made, or None."""
    return session.scalar(
        sa.select(PointsEntry.member_id).where(PointsEntry.source_namespace == source.namespace, PointsEntry.source_key == source.key)
    )


def namespace_of_entry(session: Session, entry_id: UUID) -> str | None:
    """Return whose source made an entry, or None when there is no such entry."""
    return session.scalar(sa.select(PointsEntry.source_namespace).where(PointsEntry.id == entry_id))


def settings(session: Session) -> PolicySettings:
    """Return the declared policies that hold now."""
    row = session.execute(
        sa.select(PointsSettings.debt_policy, PointsSettings.reopen_days).order_by(PointsSettings.version.desc()).limit(1)
    ).one_or_none()
    return PolicySettings() if row is None else PolicySettings(DebtPolicy(row.debt_policy), row.reopen_days)


def rule_versions(session: Session, *, code: str | None = None, as_of: datetime | None = None) -> list[RuleView]:
    """Return the newest version of every rule, or all versions of one rule, newest first.

    Arguments:
        session: any.
        code: of the one rule.
        as_of: of every rule the version that was the newest at this instant.
    """
    columns = [getattr(PointsRule, name) for name in RuleView.__slots__]
    statement = sa.select(*columns)
    if code is None:
        highest = sa.select(PointsRule.code, sa.func.max(PointsRule.version).label("version")).group_by(PointsRule.code)
        if as_of is not None:
            highest = highest.where(PointsRule.created_at <= as_of)
        newest = highest.subquery()
        statement = statement.join(newest, sa.and_(newest.c.code == PointsRule.code, newest.c.version == PointsRule.version))
    else:
        statement = statement.where(PointsRule.code == code)
    rows = session.execute(statement.order_by(PointsRule.code, PointsRule.version.desc())).all()
    return [RuleView(*row) for row in rows]


def rulebook(session: Session, *, as_of: datetime | None = None) -> Rulebook:
    """Return the newest version of every rule that is enabled; the book tells which of them hold at an instant.

    Arguments:
        session: any.
        as_of: the newest version as it was at this instant, for what is told late; None for now.
    """
    return Rulebook(
        [
            DatedRule(
                read_rule(rule.kind, rule.document, RuleRef(rule.id, rule.code, rule.version, read_expiry(rule.document))),
                rule.valid_from,
                rule.valid_until,
            )
            for rule in rule_versions(session, as_of=as_of)
            if rule.enabled
        ]
    )


def active_rules(session: Session, now: datetime) -> list[Rule]:
    """Return the rules that hold at an instant: newest version, enabled, inside its window."""
    return rulebook(session).at(now)


def rule_names(session: Session) -> dict[str, str]:
    """Return code → name of every rule, as its newest version has it."""
    return {rule.code: rule.name for rule in rule_versions(session)}


def earned_on(session: Session, member_id: UUID, day: date) -> dict[str, int]:
    """Return rule code → points a member earned by it on a business day, whenever that was told and by whichever record, for daily caps.

    Call ``service.open_account`` first: under its lock no other accrual can slip in between.
    """
    zone = zone_of(session)
    documents = session.scalars(
        sa.select(PointsEntry.details).where(
            PointsEntry.member_id.in_(records_of(session, [member_id])[member_id]),
            PointsEntry.kind == "accrue",
            # Nothing is told before it happens, so the index of the statement bounds the search from below.
            PointsEntry.occurred_at >= start_of_day(day, zone),
            PointsEntry.business_day == day,
        )
    )
    earned: dict[str, int] = {}
    for document in documents:
        for reason in (document or {}).get("why", ()):
            if "rule" in reason:
                earned[reason["rule"]] = earned.get(reason["rule"], 0) + int(reason["points"])
    return earned


def check_in_state(session: Session, member_id: UUID, today: date) -> CheckInState:
    """Return a member's check-in streak as it stands on a business day."""
    row = session.execute(
        sa.select(PointsCheckIn.day, PointsCheckIn.streak_days)
        .where(PointsCheckIn.member_id == member_id)
        .order_by(PointsCheckIn.day.desc())
        .limit(1)
    ).one_or_none()
    if row is None or row.day < today - timedelta(days=1):
        return CheckInState(checked_in_today=False, streak_days=0)
    return CheckInState(row.day >= today, row.streak_days)
