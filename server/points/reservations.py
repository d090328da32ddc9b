"""Points set aside for an open order: reserved, then redeemed or released. Reserved points never expire."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.kernel.actors import SystemActor
from server.kernel.errors import InvalidError
from server.kernel.source import Source
from server.kernel.text import N_
from server.points import books, events
from server.points.books import EntryView
from server.points.due import expire_overdue
from server.points.errors import EntryNotFoundError, InsufficientPointsError, ReservationClosedError
from server.points.ledger import Draft, Journal
from server.points.models import PointsReservation
from server.points.rules import MAX_POINTS

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor
    from server.kernel.amounts import Points

RELEASE_REASON = N_("Reserved points released")
DEFAULT_TTL = timedelta(minutes=30)


def reserve(
    session: Session,
    member_id: UUID,
    points: Points,
    *,
    source: Source,
    reason: str,
    actor: Actor,
    now: datetime,
    ttl: timedelta = DEFAULT_TTL,
) -> EntryView:
    """Set available points aside, earliest expiry first. The entry's id names the reservation.

    Raises:
        InvalidError: points below one.
        InsufficientPointsError: fewer are available.
        SourceConflictError: the source made an entry of other content.
    """
    count = points.count
    if not 1 <= count <= MAX_POINTS:
        raise InvalidError(fields={"points": f"1–{MAX_POINTS}"})
    content = books.fingerprint("reserve", member_id, count, reason)
    account, replayed = books.lock_for(session, member_id, source, content, now)
    if replayed is not None:
        return replayed
    journal = Journal(session, actor, now)
    lots = expire_overdue(journal, account, books.available_lots(session, account.member_id), now)
    draft = Draft(account, "reserve", -count, source, content, reason)
    missing = count
    for lot in lots:
        part = min(missing, lot.free)
        if part:
            draft.put(lot, 0, part)
            missing -= part
    if missing:
        raise InsufficientPointsError(available=account.available)
    draft.move("available", "reserved", count)
    view = journal.add(draft)
    journal.write()
    session.execute(
        sa.insert(PointsReservation).values(entry_id=view.id, member_id=account.member_id, points=count, state="open", expires_at=now + ttl)
    )
    return view


def release(session: Session, reservation_id: UUID, *, actor: Actor, now: datetime) -> EntryView:
    """Make reserved points available again. Releasing twice gives the same entry.

    Raises:
        EntryNotFoundError: there is no such reservation.
        ReservationClosedError: it was redeemed.
    """
    return _close(session, reservation_id, "released", reason=RELEASE_REASON, actor=actor, now=now)


def redeem_reservation(session: Session, reservation_id: UUID, *, reason: str, actor: Actor, now: datetime) -> EntryView:
    """Spend what a reservation set aside. Redeeming it twice gives the same entry.

    Raises:
        EntryNotFoundError: there is no such reservation.
        ReservationClosedError: it was released.
    """
    return _close(session, reservation_id, "redeemed", reason=reason, actor=actor, now=now)


def release_due(session: Session, now: datetime, limit: int = 200) -> int:
    """Release the open reservations whose time is over; return how many."""
    due = session.scalars(
        sa.select(PointsReservation.entry_id)
        .where(PointsReservation.state == "open", PointsReservation.expires_at <= now)
        .order_by(PointsReservation.member_id, PointsReservation.entry_id)
        .limit(limit)
    ).all()
    done = 0
    for reservation_id in due:
        try:
            release(session, reservation_id, actor=SystemActor("points.release"), now=now)
        except ReservationClosedError:  # redeemed between the look-up and its lock
            continue
        done += 1
    return done


def _close(session: Session, reservation_id: UUID, state: str, *, reason: str, actor: Actor, now: datetime) -> EntryView:
    found = _reservation(session, reservation_id)
    if found is None:
        raise EntryNotFoundError
    account = books.lock_account(session, found.member_id, now)
    kind = "release" if state == "released" else "redeem"
    source = Source("points", f"{kind}:{reservation_id.hex}")
    content = books.fingerprint(kind, None, found.points, reason, reservation_id)
    replayed = books.find_replay(session, source, content)
    if replayed is not None:
        return replayed
    reservation = _reservation(session, reservation_id)
    if reservation is None or reservation.state != "open":
        raise ReservationClosedError
    set_aside = {lot_id: reserved for lot_id, _, reserved in books.allocations_of(session, reservation_id)}
    released = state == "released"
    points = reservation.points if released else -reservation.points
    topic = None if released else events.REDEEMED
    draft = Draft(account, kind, points, source, content, reason, topic=topic, details={"reservation": str(reservation_id)})
    for lot in books.lots_by_id(session, list(set_aside)).values():
        part = set_aside[lot.id]
        draft.put(lot, 0 if released else -part, -part)
    draft.move("reserved", "available" if released else "redeemed", reservation.points)
    journal = Journal(session, actor, now)
    view = journal.add(draft)
    journal.write()
    session.execute(
        sa.update(PointsReservation)
        .where(PointsReservation.entry_id == reservation_id)
        .values(state=state)
        .execution_options(synchronize_session=False)
    )
    return view


def _reservation(session: Session, reservation_id: UUID) -> Any:
    return session.execute(
        sa.select(PointsReservation.member_id, PointsReservation.points, PointsReservation.state).where(
            PointsReservation.entry_id == reservation_id
        )
    ).one_or_none()
