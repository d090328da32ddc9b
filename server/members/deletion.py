"""Leaving: a member asks to be deleted, may think better of it for a week, and is then forgotten.

This domain's part. ``flows.privacy`` stands above it and makes every other domain forget its own rows in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.audit import service as audit
from server.kernel.actors import Actor
from server.kernel.db import update_where, zone_of
from server.kernel.ids import uuid7
from server.kernel.outbox import publish
from server.members import deletion_queries, emails, events, rules
from server.members.deletion_queries import DeletionView, deletion_view
from server.members.enrolment import phone_columns
from server.members.errors import MemberNotFoundError, NoDeletionError, ReasonRequiredError
from server.members.models import Member, MemberChangeRequest, MemberDeletion, MemberIdentity, MemberSession, UsedRefreshToken
from server.members.rows import lock

# A request that was let in before the log-ins ended is over by then; what it left is taken by the second round.
SECOND_ROUND = timedelta(minutes=15)
_HELD_FOR = timedelta(hours=1)


def request_deletion(session: Session, member_id: UUID, *, reason: str | None, actor: Actor, now: datetime) -> tuple[DeletionView, bool]:
    """Note that a member wants to be deleted; asked again, the first wish stands.

    Arguments:
        session: of an open transaction.
        member_id: who wants to leave.
        reason: required of staff, who enter it for a member that cannot do so.
        actor: the member, or staff.
        now: present instant.

    Returns:
        The wish, and True when this call noted it.

    Raises:
        MemberNotFoundError: there is no such member, or it was merged or deleted.
        ReasonRequiredError: staff gave no reason.
    """
    if actor.kind != "member" and not (reason and reason.strip()):
        raise ReasonRequiredError(fields={"reason": "required"})
    member = lock(session, member_id)
    known = _open(session, member_id)
    if known is not None:
        return deletion_view(known), False
    if member.status not in {"active", "frozen"}:
        raise MemberNotFoundError
    due_at, deadline_on = rules.deletion_dates(now, zone_of(session))
    row = MemberDeletion(
        id=uuid7(),
        member_id=member_id,
        open_slot=member_id,
        state="waiting",
        channel=actor.kind[:12],
        reason=reason.strip()[:500] if reason else None,
        status_before=member.status,
        requested_at=now,
        due_at=due_at,
        deadline_on=deadline_on,
        attempt_at=due_at,
    )
    session.add(row)
    member.status, member.updated_at = "deleting", now
    session.flush()
    _audit(session, "member.request_deletion", member_id, reason, {"due_at": due_at.isoformat()}, actor, now)
    publish(
        session,
        events.DELETION_REQUESTED,
        key=f"{events.DELETION_REQUESTED}:{row.id}",
        aggregate_type="member",
        aggregate_id=member_id,
        payload={"member_id": str(member_id), "deletion_id": str(row.id)},
        now=now,
    )
    return deletion_view(row), True


def cancel_deletion(session: Session, member_id: UUID, *, reason: str | None, actor: Actor, now: datetime) -> DeletionView:
    """Take a wish to be deleted back; the membership is again what it was, frozen if it was frozen.

    Raises:
        NoDeletionError: none is waiting.
        MemberNotFoundError: there is no such member.
        ReasonRequiredError: staff gave no reason.
    """
    if actor.kind != "member" and not (reason and reason.strip()):
        raise ReasonRequiredError(fields={"reason": "required"})
    member = lock(session, member_id)
    row = _open(session, member_id)
    if row is None:
        raise NoDeletionError
    row.state, row.open_slot, row.attempt_at, row.cancelled_at, row.held_by = "cancelled", None, None, now, None
    member.status, member.updated_at = row.status_before, now
    session.flush()
    _audit(session, "member.cancel_deletion", member_id, reason, {"status": member.status}, actor, now)
    return deletion_view(row)


def lock_due(session: Session, deletion_id: UUID, *, now: datetime) -> DeletionView | None:
    """Lock the member of a deletion and return the deletion, or None when nothing of it is due any more.

    Arguments:
        session: of a transaction of its own.
        deletion_id: from ``deletion_queries.due``.
        now: present instant.
    """
    statement = sa.select(MemberDeletion).where(MemberDeletion.id == deletion_id).execution_options(populate_existing=True)
    row = session.scalars(statement).one_or_none()
    if row is None:
        return None
    lock(session, row.member_id)
    # Read again: taken back, or done by another worker, while we waited for the member.
    row = session.scalars(statement.with_for_update()).one()
    return deletion_view(row) if row.attempt_at is not None and row.attempt_at <= now else None


def hold(session: Session, deletion_id: UUID, held_by: str, *, now: datetime) -> None:
    """Put a deletion off for an hour because something of the member's is still under way."""
    update_where(
        session,
        sa.update(MemberDeletion).where(MemberDeletion.id == deletion_id).values(held_by=held_by, attempt_at=now + _HELD_FOR),
    )


def erase_records(session: Session, member_ids: Sequence[UUID], *, now: datetime) -> None:
    """Overwrite what these records say about a person, and end every way to log in to them. The rows stay, for the books.

    Arguments:
        session: of the transaction that holds their locks.
        member_ids: a member and every record that was merged into it.
        now: present instant.
    """
    sessions = sa.select(MemberSession.id).where(MemberSession.member_id.in_(member_ids))
    _delete(session, UsedRefreshToken, UsedRefreshToken.session_id.in_(sessions))
    _delete(session, MemberSession, MemberSession.member_id.in_(member_ids))
    _delete(session, MemberIdentity, MemberIdentity.member_id.in_(member_ids))
    emails.erase(session, list(member_ids))
    _delete(session, MemberChangeRequest, MemberChangeRequest.member_id.in_(member_ids))
    blank: dict[str, object] = dict.fromkeys(
        ("nickname", "city", "avatar_upload_id", "invite_code", "status_reason", "birthday_calendar", "birthday_month", "birthday_day")
    )
    values = blank | {"birthday_year": None, "gender": "unknown", "interests": [], "updated_at": now}
    for member_id in member_ids:
        phone = phone_columns(session, member_id, None, now)
        update_where(session, sa.update(Member).where(Member.id == member_id).values(**values, **phone))
    update_where(session, sa.update(Member).where(Member.id.in_(member_ids), Member.status != "merged").values(status="deleted"))
    update_where(session, sa.update(MemberDeletion).where(MemberDeletion.member_id.in_(member_ids)).values(reason=None))


def note_erased(session: Session, deletion_id: UUID, *, actor: Actor, now: datetime) -> DeletionView:
    """Note that a round of forgetting is over: the first is followed by a second, the second ends it."""
    row = session.scalars(
        sa.select(MemberDeletion).where(MemberDeletion.id == deletion_id).execution_options(populate_existing=True),
    ).one()
    if row.state == "erased":
        row.state, row.attempt_at = "done", None
        session.flush()
        return deletion_view(row)
    row.state, row.open_slot, row.held_by, row.erased_at, row.attempt_at = "erased", None, None, now, now + SECOND_ROUND
    session.flush()
    _audit(session, "member.erase", row.member_id, None, {"status": "deleted"}, actor, now)
    publish(
        session,
        events.ERASED,
        key=f"{events.ERASED}:{row.member_id}",
        aggregate_type="member",
        aggregate_id=row.member_id,
        payload={"member_id": str(row.member_id)},
        now=now,
    )
    return deletion_view(row)


def _open(session: Session, member_id: UUID) -> MemberDeletion | None:
    return session.scalars(
        sa.select(MemberDeletion).where(MemberDeletion.open_slot == member_id).execution_options(populate_existing=True),
    ).one_or_none()


def _delete(session: Session, model: type[UsedRefreshToken | MemberSession | MemberIdentity | MemberChangeRequest], which: object) -> None:
    session.execute(sa.delete(model).where(which).execution_options(synchronize_session=False))  # type: ignore[arg-type]


def _audit(session: Session, act: str, member_id: UUID, reason: str | None, after: dict[str, object], actor: Actor, now: datetime) -> None:
    audit.record(session, actor=actor, action=act, subject_type="member", subject_id=member_id, after=after, reason=reason, now=now)


__all__ = [
    "SECOND_ROUND",
    "cancel_deletion",
    "deletion_queries",
    "erase_records",
    "hold",
    "lock_due",
    "note_erased",
    "request_deletion",
]
