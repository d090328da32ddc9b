"""What falls due: pending points that unlock, lots that expire. Bounded batches, safe to run twice and side by side.

Also the two helpers every spending verb shares: expiring what is overdue before it could be spent, and taking points
from lots in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.kernel.actors import SystemActor
from server.kernel.source import Source
from server.kernel.text import N_
from server.points import books, events
from server.points.books import Account, Lot
from server.points.ledger import Draft, Journal
from server.points.models import PointsLot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

UNLOCK_REASON = N_("Points have become available")
EXPIRE_REASON = N_("Points have expired")


def expire_overdue(journal: Journal, account: Account, lots: Sequence[Lot], now: datetime) -> list[Lot]:
    """Expire what is free in the overdue ones of a member's available lots; return the lots whose time is not over."""
    for lot in lots:
        if lot.expired(now) and lot.free:
            journal.add(_expiry(account, lot))
    return [lot for lot in lots if not lot.expired(now)]


def spend(draft: Draft, lots: Sequence[Lot], count: int) -> int:
    """Take points from lots in the order given; return how many were missing. The caller posts what was taken."""
    missing = count
    for lot in lots:
        if not missing:
            break
        part = min(missing, lot.free)
        if part:
            draft.put(lot, -part)
            missing -= part
    return missing


def unlock_due(session: Session, now: datetime, limit: int = 500) -> int:
    """Make available the pending lots whose time has come.

    Arguments:
        session: of an open transaction.
        now: present instant.
        limit: lots at most.

    Returns:
        How many lots were unlocked; below ``limit`` nothing more was due.
    """
    due = sa.select(PointsLot.id, PointsLot.member_id).where(PointsLot.state == "pending", PointsLot.unlock_at <= now)
    found = session.execute(due.order_by(PointsLot.unlock_at, PointsLot.id).limit(limit)).all()
    return _for_each(session, [(row.id, row.member_id) for row in found], now, unlocking=True)


def expire_due(session: Session, now: datetime, limit: int = 500) -> int:
    """Expire the available lots whose time is over, exactly what is left in them; points set aside are spared.

    Arguments:
        session: of an open transaction.
        now: present instant.
        limit: lots at most.

    Returns:
        How many lots were expired; below ``limit`` nothing more was due.
    """
    due = sa.select(PointsLot.id, PointsLot.member_id).where(
        PointsLot.state == "available", PointsLot.expires_at <= now, PointsLot.left_ > PointsLot.reserved
    )
    found = session.execute(due.order_by(PointsLot.expires_at, PointsLot.id).limit(limit)).all()
    return _for_each(session, [(row.id, row.member_id) for row in found], now, unlocking=False)


def unlock_source(session: Session, source: Source, *, now: datetime, available_at: datetime) -> bool:
    """Move the moment at which the points of an accrual become available; unlock them at once when it has passed.

    Arguments:
        session: of an open transaction.
        source: of the accrual, as it was given to ``accrue``.
        now: present instant.
        available_at: the new moment.

    Returns:
        False when the accrual is unknown, was taken back, or its points are available already.
    """
    entry = books.entry_by_source(session, source)
    if entry is None:
        return False
    account = books.lock_account(session, entry.member_id, now)
    lot = books.lot_of_entry(session, entry.id)
    if lot is None or lot.state != "pending":
        return False
    if available_at <= now:
        journal = Journal(session, SystemActor("points.unlock"), now)
        journal.add(_unlocking(account, lot))
        journal.write()
    elif lot.unlock_at != available_at:
        session.execute(
            sa.update(PointsLot).where(PointsLot.id == lot.id).values(unlock_at=available_at).execution_options(synchronize_session=False)
        )
    return True


def _for_each(session: Session, found: Sequence[tuple[object, object]], now: datetime, *, unlocking: bool) -> int:
    """Lock the accounts of lots that looked due, read the lots again, and post for those that still are."""
    if not found:
        return 0
    accounts = books.lock_accounts(session, [member_id for _, member_id in found])  # type: ignore[misc]
    journal = Journal(session, SystemActor("points.unlock" if unlocking else "points.expire"), now)
    done = 0
    for lot in books.lots_by_id(session, [lot_id for lot_id, _ in found]).values():  # type: ignore[misc]
        account = accounts.get(lot.member_id)
        if account is None:  # merged away meanwhile; the next run finds it under its new owner
            continue
        if unlocking and lot.state == "pending" and lot.unlock_at is not None and lot.unlock_at <= now:
            journal.add(_unlocking(account, lot))
            done += 1
        elif not unlocking and lot.state == "available" and lot.expired(now) and lot.free:
            journal.add(_expiry(account, lot))
            done += 1
    journal.write()
    return done


def _unlocking(account: Account, lot: Lot) -> Draft:
    points = lot.left
    source = Source("points", f"unlock:{lot.id.hex}")
    content = books.fingerprint("unlock", lot.member_id, points, UNLOCK_REASON)
    draft = Draft(account, "unlock", points, source, content, UNLOCK_REASON, details={"lot_id": str(lot.id)})
    repaid = min(account.debt_owed, points)
    draft.move("pending", "debt", repaid)
    draft.move("pending", "available", points - repaid)
    lot.state = "available"
    draft.lots[lot.id] = lot
    if repaid:
        draft.put(lot, -repaid)
    return draft


def _expiry(account: Account, lot: Lot) -> Draft:
    points = lot.free
    moment = 0 if lot.expires_at is None else int(lot.expires_at.timestamp() * 1_000_000)
    # A lot may expire more than once: what was set aside expires when it is freed, what was returned when it is reopened.
    source = Source("points", f"expire:{lot.id.hex}:{moment}:{lot.left}")
    content = books.fingerprint("expire", lot.member_id, points, EXPIRE_REASON)
    details = {"lot_id": str(lot.id)}
    draft = Draft(account, "expire", -points, source, content, EXPIRE_REASON, details=details, topic=events.EXPIRED)
    draft.move("available", "expired", points)
    draft.put(lot, -points)
    return draft
