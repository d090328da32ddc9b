"""The verbs that move points. Each locks the member's account, looks for a replay, applies the rule, then writes.

Callers own the transaction; nothing here commits. Amounts are whole ``Points``. The rule of each fact is the table
«Ledger» of ``docs/points.md``. Reservations live in ``reservations``, what falls due in ``due``, rules in ``rulebook``;
all of them are offered here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.actors import SystemActor
from server.kernel.amounts import Points
from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from server.kernel.source import Source
from server.kernel.text import N_
from server.points import events, ledger, queries
from server.points.due import expire_due, expire_overdue, spend, unlock_due, unlock_source
from server.points.errors import (
    AlreadyCheckedInError,
    CheckInClosedError,
    EntryNotFoundError,
    InsufficientPointsError,
    NothingToReverseError,
    NotReversibleError,
    ReasonRequiredError,
)
from server.points.ledger import Draft, EntryView, Journal
from server.points.models import PointsAccount, PointsCheckIn, PointsLot, PointsReservation
from server.points.reservations import redeem_reservation, release, release_due, reserve
from server.points.rulebook import change_settings, ensure_default_rules, save_rule
from server.points.rules import MAX_POINTS, CheckInRule, DebtPolicy, RuleRef, streak_after

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

__all__ = [
    "CheckIn",
    "EntryView",
    "RuleRef",
    "accrue",
    "adjust",
    "change_settings",
    "check_in",
    "ensure_default_rules",
    "expire_due",
    "merge_members",
    "open_account",
    "redeem",
    "redeem_reservation",
    "release",
    "release_due",
    "reserve",
    "return_redemption",
    "reverse",
    "save_rule",
    "unlock_due",
    "unlock_source",
]

CHECK_IN_REASON = N_("Daily check-in")
MERGE_REASON = N_("Memberships merged")


@dataclass(frozen=True, slots=True)
class CheckIn:
    """A check-in that was made: points earned and days in a row, today included."""

    points: int
    streak_days: int


def open_account(session: Session, member_id: UUID, *, now: datetime) -> None:
    """Open a member's account unless it is open, and lock it until the transaction ends.

    Callers that read something under a cap (``queries.earned_on``) before they accrue call this first.
    """
    ledger.lock_account(session, member_id, now)


def accrue(
    session: Session,
    member_id: UUID,
    points: Points,
    *,
    source: Source,
    reason: str,
    actor: Actor,
    now: datetime,
    available_at: datetime | None = None,
    expires_at: datetime | None = None,
    rule: RuleRef | None = None,
    details: dict[str, Any] | None = None,
) -> EntryView:
    """Give a member points.

    Earned points repay debt first, at once or when they unlock.

    Arguments:
        points: one or more.
        source: the business fact; the same source again returns the same entry.
        reason: English msgid or the staff's own words, shown to the member.
        available_at: pending until then; at once when None or past.
        expires_at: first instant at which they are gone; by the rule's policy when None, never without a rule.
        rule: the rule version that gave them.
        details: the trace of why, kept as it is.

    Raises:
        InvalidError: points below one.
        SourceConflictError: the source made an entry of other content.
    """
    count = _positive(points)
    content = ledger.fingerprint("accrue", member_id, count, reason, available_at)
    account = ledger.lock_account(session, member_id, now)
    replayed = ledger.find_replay(session, source, content)
    if replayed is not None:
        return replayed
    if expires_at is None and rule is not None:
        expires_at = rule.expiry.expires_at(now, zone_of(session))
    rule_id = rule.id if rule else None
    draft = Draft(account, "accrue", count, source, content, reason, rule_id=rule_id, details=details, topic=events.ACCRUED)
    if available_at is not None and available_at > now:
        draft.move("issuer", "pending", count)
        draft.open_lot(count, state="pending", unlock_at=available_at, expires_at=expires_at, now=now)
    else:
        repaid = min(account.debt_owed, count)
        draft.move("issuer", "debt", repaid)
        draft.move("issuer", "available", count - repaid)
        draft.open_lot(count - repaid, state="available", unlock_at=None, expires_at=expires_at, now=now)
    return _write(session, draft, actor, now)


def redeem(session: Session, member_id: UUID, points: Points, *, source: Source, reason: str, actor: Actor, now: datetime) -> EntryView:
    """Spend a member's available points, earliest expiry first.

    Raises:
        InvalidError: points below one.
        InsufficientPointsError: fewer are available (points whose time is over do not count).
        SourceConflictError: the source made an entry of other content.
    """
    count = _positive(points)
    content = ledger.fingerprint("redeem", member_id, count, reason)
    account = ledger.lock_account(session, member_id, now)
    replayed = ledger.find_replay(session, source, content)
    if replayed is not None:
        return replayed
    if account.available < count:
        raise InsufficientPointsError(available=account.available)
    journal = Journal(session, actor, now)
    lots = expire_overdue(journal, account, ledger.available_lots(session, account.member_id), now)
    draft = Draft(account, "redeem", -count, source, content, reason, topic=events.REDEEMED)
    if spend(draft, lots, count):
        raise InsufficientPointsError(available=account.available)
    draft.move("available", "redeemed", count)
    view = journal.add(draft)
    journal.write()
    return view


def return_redemption(
    session: Session,
    entry: UUID | Source,
    points: Points | None,
    *,
    source: Source,
    reason: str,
    actor: Actor,
    now: datetime,
) -> EntryView:
    """Give back redeemed points into the very lots they came from, the last spent first.

    A lot that expired meanwhile is opened again for the days of the settings.

    Arguments:
        entry: the redemption, by its id or its source.
        points: how many, or None for all that were not returned yet.

    Raises:
        EntryNotFoundError: there is no such entry.
        NotReversibleError: it is not a redemption.
        NothingToReverseError: fewer are left to return.
        SourceConflictError: the source made an entry of other content.
    """
    original = _entry(session, entry)
    if original.kind != "redeem":
        raise NotReversibleError
    count = None if points is None else _positive(points)
    content = ledger.fingerprint("return", None, count, reason, original.id)
    account = ledger.lock_account(session, original.member_id, now)
    replayed = ledger.find_replay(session, source, content)
    if replayed is not None:
        return replayed
    count = _of_remaining(session, original, count)
    spent = {lot_id: -amount for lot_id, amount, _ in ledger.allocations_of(session, original.id)}
    returned = ledger.returned_by_lot(session, original.id)
    lots = list(ledger.lots_by_id(session, list(spent)).values())
    journal = Journal(session, actor, now)
    expire_overdue(journal, account, [lot for lot in lots if lot.state == "available"], now)
    reopen_until = now + timedelta(days=queries.settings(session).reopen_days)
    draft = Draft(account, "return", count, source, content, reason, reverses_id=original.id)
    left = count
    for lot in reversed(lots):
        part = min(left, spent[lot.id] - returned.get(lot.id, 0))
        if part <= 0:
            continue
        if lot.expired(now):
            lot.expires_at = reopen_until
        lot.state = "available"
        draft.put(lot, part)
        left -= part
    draft.move("redeemed", "available", count)
    view = journal.add(draft)
    journal.write()
    return view


def reverse(
    session: Session,
    entry_id: UUID,
    points: Points | None,
    *,
    source: Source,
    reason: str,
    actor: Actor,
    now: datetime,
    policy: DebtPolicy | None = None,
) -> EntryView:
    """Take back an accrual, whole or in part; a redemption is returned instead.

    Its own lot first, then other available lots by earliest expiry, never reserved points. What is still missing becomes
    debt (``negative``) or is forgiven (``within_balance``).

    Arguments:
        points: how many, or None for all that were not taken back yet.
        policy: for this once; the settings' policy when None.

    Raises:
        EntryNotFoundError: there is no such entry.
        NotReversibleError: it neither gave nor spent points.
        NothingToReverseError: fewer are left to take back.
        SourceConflictError: the source made an entry of other content.
    """
    original = _entry(session, entry_id)
    if original.kind == "redeem":
        return return_redemption(session, entry_id, points, source=source, reason=reason, actor=actor, now=now)
    if original.kind not in {"accrue", "adjust"} or original.points < 0:
        raise NotReversibleError
    count = None if points is None else _positive(points)
    content = ledger.fingerprint("reverse", None, count, reason, original.id)
    account = ledger.lock_account(session, original.member_id, now)
    replayed = ledger.find_replay(session, source, content)
    if replayed is not None:
        return replayed
    count = _of_remaining(session, original, count)
    policy = policy or queries.settings(session).debt_policy
    own = ledger.lot_of_entry(session, original.id)
    journal = Journal(session, actor, now)
    others = [lot for lot in ledger.available_lots(session, account.member_id) if own is None or lot.id != own.id]
    others = expire_overdue(journal, account, others, now)
    draft = Draft(account, "reverse", -count, source, content, reason, reverses_id=original.id, topic=events.REVERSED)
    missing = count
    if own is not None and own.state == "pending":
        part = min(missing, own.left)
        draft.put(own, -part)
        draft.move("pending", "issuer", part)
        missing -= part
    elif own is not None and own.free:
        missing = spend(draft, [own], missing)
        draft.move("available", "issuer", count - missing)
    before = missing
    missing = spend(draft, others, missing)
    draft.move("available", "issuer", before - missing)
    if missing:
        draft.move("debt" if policy is DebtPolicy.NEGATIVE else "forgiven", "issuer", missing)
        draft.details = {"policy": str(policy), "owed" if policy is DebtPolicy.NEGATIVE else "forgiven": missing}
    view = journal.add(draft)
    journal.write()
    return view


def adjust(session: Session, member_id: UUID, points: Points, *, source: Source, reason: str, actor: Actor, now: datetime) -> EntryView:
    """Correct a member's balance by hand; the audit trail keeps who and why.

    Arguments:
        points: more than zero gives, less takes.
        reason: in the staff's own words.

    Raises:
        InvalidError: zero points.
        ReasonRequiredError: an empty reason.
        InsufficientPointsError: more is to be taken than is available.
        SourceConflictError: the source made an entry of other content.
    """
    if not reason.strip():
        raise ReasonRequiredError(fields={"reason": ReasonRequiredError.message})
    count = points.count
    if not 0 < abs(count) <= MAX_POINTS:
        raise InvalidError(fields={"points": f"±1–{MAX_POINTS}"})
    content = ledger.fingerprint("adjust", member_id, count, reason)
    account = ledger.lock_account(session, member_id, now)
    replayed = ledger.find_replay(session, source, content)
    if replayed is not None:
        return replayed
    journal = Journal(session, actor, now)
    before = account.available
    draft = Draft(account, "adjust", count, source, content, reason)
    if count > 0:
        draft.move("issuer", "available", count)
        draft.open_lot(count, state="available", unlock_at=None, expires_at=None, now=now)
    else:
        lots = expire_overdue(journal, account, ledger.available_lots(session, account.member_id), now)
        before = account.available
        if spend(draft, lots, -count):
            raise InsufficientPointsError(available=account.available)
        draft.move("available", "issuer", -count)
    view = journal.add(draft)
    journal.write()
    audit.record(
        session,
        actor=actor,
        action="points.adjust",
        subject_type="member",
        subject_id=account.member_id,
        before={"available": before},
        after={"available": account.available, "entry_id": str(view.id)},
        reason=reason,
        now=now,
    )
    return view


def check_in(session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> CheckIn:
    """Check a member in for the business day.

    Raises:
        CheckInClosedError: no check-in rule is active.
        AlreadyCheckedInError: the member has checked in today.
    """
    rule = next((rule for rule in queries.active_rules(session, now) if isinstance(rule, CheckInRule)), None)
    if rule is None:
        raise CheckInClosedError
    account = ledger.lock_account(session, member_id, now)
    today = business_date(now, zone_of(session))
    last = session.execute(
        sa.select(PointsCheckIn.day, PointsCheckIn.streak_days)
        .where(PointsCheckIn.member_id == account.member_id)
        .order_by(PointsCheckIn.day.desc())
        .limit(1)
    ).one_or_none()
    if last is not None and last.day >= today:
        raise AlreadyCheckedInError
    streak_days = streak_after(last.day, last.streak_days, today) if last else 1
    points = rule.points_on(streak_days)
    entry = None
    if points:
        entry = accrue(
            session,
            account.member_id,
            Points(points),
            source=Source("points", f"check-in:{account.member_id.hex}:{today}"),
            reason=CHECK_IN_REASON,
            actor=actor,
            now=now,
            rule=rule.ref,
            details={"why": [{"rule": rule.ref.code, "version": rule.ref.version, "streak_days": streak_days, "points": points}]},
        )
    session.execute(
        sa.insert(PointsCheckIn).values(
            id=uuid7(), member_id=account.member_id, day=today, streak_days=streak_days, entry_id=entry.id if entry else None
        )
    )
    return CheckIn(points, streak_days)


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> dict[str, int]:
    """Move every account of one member to the same account of another; lots keep their dates.

    The caller (``flows.merge``) has locked both members, so no two merges of one member meet here. Later commands that
    still name the first member work on the second. Merging twice changes nothing.

    Returns:
        The balances that moved, for the merge's journal; debt is negative.
    """
    for member_id in sorted((from_id, into_id)):
        ledger.ensure_account(session, member_id, now)
    homes = queries.homes(session, (from_id, into_id))
    survivor_id = homes[into_id]
    if homes[from_id] != from_id or survivor_id == from_id:
        return {}
    accounts = ledger.lock_accounts(session, (from_id, survivor_id))
    leaving, staying = accounts[from_id], accounts[survivor_id]
    balances = {name: getattr(leaving, name) for name in ("pending", "available", "reserved")}
    balances["debt"] = -leaving.debt_owed
    source = Source("points", f"merge:{from_id.hex}")
    content = ledger.fingerprint("merge", from_id, None, MERGE_REASON, survivor_id)
    draft = Draft(staying, "merge", leaving.available, source, content, MERGE_REASON, details={"from": str(from_id)})
    for name, balance in balances.items():
        if balance:
            draft.post(name, -balance, leaving)
            draft.post(name, balance, staying)
    if draft.postings:
        journal = Journal(session, SystemActor("merge"), now)
        journal.add(draft, leaving)
        journal.write()
    for model in (PointsLot, PointsReservation):
        session.execute(
            sa.update(model).where(model.member_id == from_id).values(member_id=survivor_id).execution_options(synchronize_session=False)
        )
    known_days = set(session.scalars(sa.select(PointsCheckIn.day).where(PointsCheckIn.member_id == survivor_id)))
    session.execute(
        sa.update(PointsCheckIn)
        .where(PointsCheckIn.member_id == from_id, PointsCheckIn.day.not_in(known_days))
        .values(member_id=survivor_id)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        sa.update(PointsAccount)
        .where(sa.or_(PointsAccount.member_id == from_id, PointsAccount.merged_into == from_id))
        .values(merged_into=survivor_id)
        .execution_options(synchronize_session=False)
    )
    return balances


def _positive(points: Points) -> int:
    if not 1 <= points.count <= MAX_POINTS:
        raise InvalidError(fields={"points": f"1–{MAX_POINTS}"})
    return points.count


def _entry(session: Session, entry: UUID | Source) -> EntryView:
    found = ledger.entry_by_id(session, entry) if isinstance(entry, UUID) else ledger.entry_by_source(session, entry)
    if found is None:
        raise EntryNotFoundError
    return found


def _of_remaining(session: Session, original: EntryView, wanted: int | None) -> int:
    """Return how many points of an entry to take back: those wanted, or all that remain."""
    remaining = abs(original.points) - ledger.taken_back(session, original.id)
    count = remaining if wanted is None else wanted
    if not 1 <= count <= remaining:
        raise NothingToReverseError(remaining=remaining)
    return count


def _write(session: Session, draft: Draft, actor: Actor, now: datetime) -> EntryView:
    journal = Journal(session, actor, now)
    view = journal.add(draft)
    journal.write()
    return view
