"""The verbs that move points. Each locks the member's account, looks for a replay, applies the rule, then writes.

Callers own the transaction; nothing here commits. Amounts are whole ``Points``. The rule of each fact is the table
«Ledger» of ``docs/points.md``. Accruals, check-ins, reservations, what falls due, merges and the rulebook live in
modules of their own; all of them are offered here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.audit import service as audit
from server.kernel.amounts import Points
from server.kernel.errors import InvalidError
from server.kernel.source import Source
from server.points import books, events, queries
from server.points.accruals import accrue, positive
from server.points.books import EntryView
from server.points.checkins import CheckIn, check_in
from server.points.due import expire_due, expire_overdue, spend, unlock_due, unlock_source
from server.points.errors import (
    EntryNotFoundError,
    InsufficientPointsError,
    NothingToReverseError,
    NotReversibleError,
    ReasonRequiredError,
)
from server.points.ledger import Draft, Journal
from server.points.merging import merge_members
from server.points.reservations import redeem_reservation, release, release_due, reserve
from server.points.rulebook import change_settings, ensure_default_rules, save_rule
from server.points.rules import MAX_POINTS, DebtPolicy, RuleRef

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
    "checked_adjustment",
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


def open_account(session: Session, member_id: UUID, *, now: datetime) -> None:
    """Open a member's account unless it is open, and lock it until the transaction ends.

    Callers that read something under a cap before they accrue use ``caps.hold``, which begins with this.
    """
    books.lock_account(session, member_id, now)


def redeem(session: Session, member_id: UUID, points: Points, *, source: Source, reason: str, actor: Actor, now: datetime) -> EntryView:
    """Spend a member's available points, earliest expiry first.

    Raises:
        InvalidError: points below one.
        InsufficientPointsError: fewer are available (points whose time is over do not count).
        SourceConflictError: the source made an entry of other content.
    """
    count = positive(points)
    content = books.fingerprint("redeem", member_id, count, reason)
    account, replayed = books.lock_for(session, member_id, source, content, now)
    if replayed is not None:
        return replayed
    if account.available < count:
        raise InsufficientPointsError(available=account.available)
    journal = Journal(session, actor, now)
    lots = expire_overdue(journal, account, books.available_lots(session, account.member_id), now)
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
    """Give back redeemed points into the very lots they came from, the one that expires last first.

    A lot that expired meanwhile is opened again for the days of the settings.

    Arguments:
        session: of an open transaction.
        entry: the redemption, by its id or its source.
        points: how many, or None for all that were not returned yet.
        source: the business fact; the same source again returns the same entry.
        reason: shown to the member.
        actor: who does it.
        now: present instant.

    Raises:
        EntryNotFoundError: there is no such entry.
        NotReversibleError: it is not a redemption.
        NothingToReverseError: fewer are left to return.
        SourceConflictError: the source made an entry of other content.
    """
    original = _entry(session, entry)
    if original.kind != "redeem":
        raise NotReversibleError
    count = None if points is None else positive(points)
    content = books.fingerprint("return", None, count, reason, original.id)
    account, replayed = books.lock_for(session, original.member_id, source, content, now)
    if replayed is not None:
        return replayed
    count = _of_remaining(session, original, count)
    spent = {lot_id: -amount for lot_id, amount, _ in books.allocations_of(session, original.id)}
    returned = books.returned_by_lot(session, original.id)
    lots = list(books.lots_by_id(session, list(spent)).values())
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
    details: dict[str, Any] | None = None,
) -> EntryView:
    """Take back an accrual, whole or in part; a redemption is returned instead.

    Its own lot first, then other available lots by earliest expiry, never reserved points. What is still missing becomes
    debt (``negative``) or is forgiven (``within_balance``).

    Arguments:
        session: of an open transaction.
        entry_id: the entry.
        points: how many, or None for all that were not taken back yet.
        source: the business fact; the same source again returns the same entry.
        reason: shown to the member.
        actor: who does it.
        now: present instant.
        policy: for this once; the settings' policy when None.
        details: the trace of why so many.

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
    count = None if points is None else positive(points)
    content = books.fingerprint("reverse", None, count, reason, original.id)
    account, replayed = books.lock_for(session, original.member_id, source, content, now)
    if replayed is not None:
        return replayed
    count = _of_remaining(session, original, count)
    policy = policy or queries.settings(session).debt_policy
    own = books.lot_of_entry(session, original.id)
    journal = Journal(session, actor, now)
    others = [lot for lot in books.available_lots(session, account.member_id) if own is None or lot.id != own.id]
    others = expire_overdue(journal, account, others, now)
    draft = Draft(account, "reverse", -count, source, content, reason, reverses_id=original.id, details=details, topic=events.REVERSED)
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
        draft.details = {**(details or {}), "policy": str(policy), "owed" if policy is DebtPolicy.NEGATIVE else "forgiven": missing}
    view = journal.add(draft)
    journal.write()
    return view


def checked_adjustment(points: Points, reason: str) -> int:
    """Return the points of an adjustment that could be made at all.

    Raises:
        InvalidError: zero points, or too many.
        ReasonRequiredError: an empty reason.
    """
    if not reason.strip():
        raise ReasonRequiredError(fields={"reason": ReasonRequiredError.message})
    if not 0 < abs(points.count) <= MAX_POINTS:
        raise InvalidError(fields={"points": f"±1–{MAX_POINTS}"})
    return points.count


def adjust(
    session: Session,
    member_id: UUID,
    points: Points,
    *,
    source: Source,
    reason: str,
    actor: Actor,
    now: datetime,
    details: dict[str, Any] | None = None,
) -> EntryView:
    """Correct a member's balance by hand; the audit trail keeps who and why.

    Arguments:
        session: of an open transaction.
        member_id: whose points.
        points: more than zero gives, less takes.
        source: the business fact; the same source again returns the same entry.
        reason: in the staff's own words.
        actor: who does it.
        now: present instant.
        details: kept with the entry and the audit trail, such as who approved it.

    Raises:
        InvalidError: zero points.
        ReasonRequiredError: an empty reason.
        InsufficientPointsError: more is to be taken than is available.
        SourceConflictError: the source made an entry of other content.
    """
    count = checked_adjustment(points, reason)
    content = books.fingerprint("adjust", member_id, count, reason)
    account, replayed = books.lock_for(session, member_id, source, content, now)
    if replayed is not None:
        return replayed
    journal = Journal(session, actor, now)
    before = account.available
    draft = Draft(account, "adjust", count, source, content, reason, details=details)
    if count > 0:
        draft.move("issuer", "available", count)
        draft.open_lot(count, state="available", unlock_at=None, expires_at=None, now=now)
    else:
        lots = expire_overdue(journal, account, books.available_lots(session, account.member_id), now)
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
        after={"available": account.available, "entry_id": str(view.id), **(details or {})},
        reason=reason,
        now=now,
    )
    return view


def _entry(session: Session, entry: UUID | Source) -> EntryView:
    found = books.entry_by_id(session, entry) if isinstance(entry, UUID) else books.entry_by_source(session, entry)
    if found is None:
        raise EntryNotFoundError
    return found


def _of_remaining(session: Session, original: EntryView, wanted: int | None) -> int:
    """Return how many points of an entry to take back: those wanted, or all that remain."""
    remaining = abs(original.points) - books.taken_back(session, original.id)
    count = remaining if wanted is None else wanted
    if not 1 <= count <= remaining:
        raise NothingToReverseError(remaining=remaining)
    return count
