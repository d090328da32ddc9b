"""Sessions of staff: where somebody is signed in, and ending one of them.

The browser holds the session's id in its signed cookie; a session counts only while its row says so. Whatever ends all sessions
of an account (a new password, switching off) gives the account another ``uniquifier`` and ends the rows with it.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.actors import StaffActor
from server.kernel.db import update_where
from server.kernel.ids import uuid7
from server.staff.errors import ReasonMissingError, SessionNotFoundError
from server.staff.models import StaffAccount, StaffSession

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

DEVICE_CHARS = 255
# Ended sessions stay for as long as somebody may ask where an account was used; the audit trail keeps the log-ins themselves.
_KEPT = timedelta(days=30)


def begin(session: Session, staff_id: UUID, *, device: str, address: str | None, replaces: UUID | None = None, now: datetime) -> UUID:
    """Write down that somebody is signed in.

    Arguments:
        session: of a transaction.
        staff_id: whose account; both steps of the log-in have passed.
        device: what the browser says it is.
        address: network address it came from.
        replaces: the session this one goes on for, which ends.
        now: present instant.

    Returns:
        The session's id.
    """
    session.execute(sa.delete(StaffSession).where(StaffSession.staff_id == staff_id, StaffSession.seen_at < now - _KEPT))
    if replaces is not None:
        _end(session, staff_id, replaces, now)
    session_id = uuid7()
    session.add(
        StaffSession(
            id=session_id, staff_id=staff_id, device=device[:DEVICE_CHARS], address=(address or "")[:64], began_at=now, seen_at=now
        )
    )
    session.flush()
    return session_id


def touch(session: Session, session_id: UUID, *, address: str | None, now: datetime) -> bool:
    """Note that a session is in use, and where from.

    Returns:
        False when it has ended.
    """
    statement = sa.update(StaffSession).where(StaffSession.id == session_id, StaffSession.ended_at.is_(None))
    return bool(update_where(session, statement.values(seen_at=now, address=(address or "")[:64])))


def end(session: Session, staff_id: UUID, session_id: UUID, *, actor: Actor, reason: str | None = None, now: datetime) -> None:
    """End one session, one's own or, for the security officer, another person's. Ending it twice changes nothing.

    Arguments:
        session: of a transaction.
        staff_id: whose session.
        session_id: which one.
        actor: who ends it.
        reason: why; needed for another person's.
        now: present instant.

    Raises:
        ReasonMissingError: another person's session without a reason.
        SessionNotFoundError: this account has no such session.
    """
    own = isinstance(actor, StaffActor) and actor.staff_id == staff_id
    if not own and not (reason or "").strip():
        raise ReasonMissingError
    if session.scalar(sa.select(StaffSession.id).where(StaffSession.id == session_id, StaffSession.staff_id == staff_id)) is None:
        raise SessionNotFoundError
    if not _end(session, staff_id, session_id, now):
        return
    audit.record(
        session,
        actor=actor,
        action="staff.end_session",
        subject_type="staff",
        subject_id=staff_id,
        after={"session": str(session_id)},
        reason=(reason or "").strip() or None,
        now=now,
    )


def end_quietly(session: Session, staff_id: UUID, session_id: UUID, *, now: datetime) -> None:
    """End the session that its own browser signs out of; the log-out itself is in the audit trail."""
    _end(session, staff_id, session_id, now)


def end_all(session: Session, account: StaffAccount, now: datetime) -> None:
    """End all sessions of an account, those of other hosts included: their name changes."""
    account.uniquifier = secrets.token_hex(32)
    statement = sa.update(StaffSession).where(StaffSession.staff_id == account.id, StaffSession.ended_at.is_(None))
    update_where(session, statement.values(ended_at=now))


def _end(session: Session, staff_id: UUID, session_id: UUID, now: datetime) -> bool:
    statement = sa.update(StaffSession).where(
        StaffSession.id == session_id, StaffSession.staff_id == staff_id, StaffSession.ended_at.is_(None)
    )
    return bool(update_where(session, statement.values(ended_at=now)))
