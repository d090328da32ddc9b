"""Giving points: the one verb that opens lots out of nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.kernel.errors import InvalidError
from server.points import books, events, ledger
from server.points.books import EntryView
from server.points.ledger import Draft
from server.points.rules import MAX_POINTS, RuleRef

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor
    from server.kernel.amounts import Points
    from server.kernel.source import Source


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
    as_of: datetime | None = None,
) -> EntryView:
    """Give a member points.

    Earned points repay debt first, at once or when they unlock.

    Arguments:
        session: of an open transaction.
        member_id: whose points.
        points: one or more.
        source: the business fact; the same source again returns the same entry.
        reason: English msgid or the staff's own words, shown to the member.
        actor: who does it.
        now: present instant.
        available_at: pending until then; at once when None or past.
        expires_at: first instant at which they are gone; by the rule's policy when None, never without a rule.
        rule: the rule version that gave them.
        details: the trace of why, kept as it is.
        as_of: when they were earned, for what is told later: their business day, and what their expiry counts from.

    Raises:
        InvalidError: points below one.
        SourceConflictError: the source made an entry of other content.
    """
    count = positive(points)
    content = books.fingerprint("accrue", member_id, count, reason, available_at)
    account, replayed = books.lock_for(session, member_id, source, content, now)
    if replayed is not None:
        return replayed
    if expires_at is None and rule is not None:
        expires_at = rule.expiry.expires_at(as_of or now, zone_of(session))
    rule_id = rule.id if rule else None
    draft = Draft(account, "accrue", count, source, content, reason, rule_id=rule_id, details=details, topic=events.ACCRUED)
    if as_of is not None:
        draft.business_day = business_date(as_of, zone_of(session))
    if available_at is not None and available_at > now:
        draft.move("issuer", "pending", count)
        draft.open_lot(count, state="pending", unlock_at=available_at, expires_at=expires_at, now=now)
    else:
        repaid = min(account.debt_owed, count)
        draft.move("issuer", "debt", repaid)
        draft.move("issuer", "available", count - repaid)
        draft.open_lot(count - repaid, state="available", unlock_at=None, expires_at=expires_at, now=now)
    return ledger.write(session, draft, actor, now)


def positive(points: Points) -> int:
    """Return the count of an amount that must be one or more.

    Raises:
        InvalidError: for anything else.
    """
    if not 1 <= points.count <= MAX_POINTS:
        raise InvalidError(fields={"points": f"1–{MAX_POINTS}"})
    return points.count
