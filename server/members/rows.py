"""The member's row: locking it, and what follows from its being filled in."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.outbox import publish
from server.members import events, queries, rules
from server.members.errors import MemberNotFoundError
from server.members.models import Member


def lock(session: Session, member_id: UUID) -> Member:
    """Return a member's row, locked until the transaction ends and read afresh.

    Raises:
        MemberNotFoundError: there is none.
    """
    member = session.scalar(
        sa.select(Member).where(Member.id == member_id).with_for_update().execution_options(populate_existing=True),
    )
    if member is None:
        raise MemberNotFoundError
    return member


def complete_once(session: Session, member: Member, now: datetime) -> None:
    """Note, and tell once, that a profile became complete."""
    if member.profile_completed_at is not None or rules.completeness(queries.filled_fields(member)) < rules.COMPLETE_AT:
        return
    member.profile_completed_at = now
    session.flush()
    publish(
        session,
        events.PROFILE_COMPLETED,
        key=f"{events.PROFILE_COMPLETED}:{member.id}",
        aggregate_type="member",
        aggregate_id=member.id,
        payload={"member_id": str(member.id)},
        now=now,
    )
