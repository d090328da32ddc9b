"""Joining one member record into another, as far as this domain's rows go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.audit import service as audit
from server.kernel.actors import Actor
from server.kernel.db import update_where
from server.kernel.ids import uuid7
from server.kernel.outbox import publish
from server.members import emails, events, queries, rules
from server.members.enrolment import phone_columns
from server.members.errors import MergeRefusedError
from server.members.models import Member, MemberChangeRequest, MemberConsent, MemberIdentity, MemberMerge, MemberSession
from server.members.rows import complete_once, lock


@dataclass(frozen=True, slots=True)
class MergeView:
    """A merge that took place."""

    from_id: UUID
    into_id: UUID


def lock_pair(session: Session, from_id: UUID, into_id: UUID) -> tuple[Member, Member]:
    """Lock two records that are to be joined, in order of their ids so that two merges cannot wait for each other.

    Raises:
        MergeRefusedError: the same record twice, or one of them is not live.
    """
    if from_id == into_id:
        raise MergeRefusedError
    locked = {member_id: lock(session, member_id) for member_id in sorted((from_id, into_id))}
    # Nor is a record on its way out joined: the deletion is of this record and would end with it, or take the other along.
    if any(member.status not in rules.LIVE_STATUSES or member.status == "deleting" for member in locked.values()):
        raise MergeRefusedError
    return locked[from_id], locked[into_id]


def merge_members(
    session: Session,
    from_id: UUID,
    into_id: UUID,
    *,
    reason: str,
    carried: dict[str, Any],
    actor: Actor,
    now: datetime,
) -> MergeView:
    """Join one member record into another: identities, log-ins, phone, consents and the profile fields the survivor lacks.

    ``flows.merge.merge`` calls this last, after every domain has moved its own rows.

    Arguments:
        session: of an open transaction.
        from_id: the record that ends.
        into_id: the record that stays.
        reason: kept in the journal.
        carried: what the other domains moved, for the journal.
        actor: who joins them.
        now: present instant.

    Raises:
        MergeRefusedError: the same record twice, or one of them is not live.
    """
    source, target = lock_pair(session, from_id, into_id)
    update_where(session, sa.update(MemberIdentity).where(MemberIdentity.member_id == from_id).values(member_id=into_id))
    update_where(session, sa.update(MemberSession).where(MemberSession.member_id == from_id).values(member_id=into_id))
    update_where(
        session,
        sa.update(MemberChangeRequest)
        .where(MemberChangeRequest.member_id == from_id, MemberChangeRequest.state == "pending")
        .values(state="refused", open_slot=None, reason="merged", decided_by=actor.ref[:64], decided_at=now),
    )
    was_frozen = source.status == "frozen"
    phone = queries.open_phone(session, source)
    _carry_profile(source, target)
    emails.carry(session, from_id, into_id, now=now)
    for name, value in phone_columns(session, from_id, None, now).items():
        setattr(source, name, value)
    source.status, source.merged_into, source.updated_at = "merged", into_id, now
    # The survivor may take the number only once the other row has given it up.
    session.flush()
    if target.phone_index is None and phone is not None:
        for name, value in phone_columns(session, into_id, phone, now).items():
            setattr(target, name, value)
    if was_frozen and target.status == "active":
        # A freeze cannot be shaken off by being merged.
        target.status, target.status_reason = "frozen", source.status_reason
    target.updated_at = now
    session.flush()
    _carry_consents(session, from_id, into_id, now)
    session.add(
        MemberMerge(
            id=uuid7(),
            from_id=from_id,
            into_id=into_id,
            actor_kind=actor.kind,
            actor_ref=actor.ref[:64],
            reason=reason[:500],
            carried=carried,
            merged_at=now,
        ),
    )
    session.flush()
    complete_once(session, target, now)
    audit.record(
        session,
        actor=actor,
        action="member.merge",
        subject_type="member",
        subject_id=into_id,
        after={"from": str(from_id), **carried},
        reason=reason,
        now=now,
    )
    publish(
        session,
        events.MERGED,
        key=f"{events.MERGED}:{from_id}",
        aggregate_type="member",
        aggregate_id=into_id,
        payload={"from": str(from_id), "into": str(into_id)},
        now=now,
    )
    return MergeView(from_id, into_id)


def _carry_profile(source: Member, target: Member) -> None:
    for name in ("nickname", "city", "avatar_upload_id", "invite_code"):
        if getattr(target, name) is None:
            setattr(target, name, getattr(source, name))
    if target.gender == "unknown":
        target.gender = source.gender
    if not target.interests:
        target.interests = list(source.interests)
    if target.birthday_calendar is None:
        for name in ("birthday_calendar", "birthday_month", "birthday_day", "birthday_year"):
            setattr(target, name, getattr(source, name))
    if target.profile_completed_at is None:
        # Completed once already under the other record: the person is not rewarded a second time.
        target.profile_completed_at = source.profile_completed_at


def _carry_consents(session: Session, from_id: UUID, into_id: UUID, now: datetime) -> None:
    """Repeat on the survivor the latest word on each purpose; of two words on one purpose the later counts."""
    present = {view.purpose: view for view in queries.consents_of(session, into_id)}
    for view in queries.consents_of(session, from_id):
        other = present.get(view.purpose)
        if other is not None and other.occurred_at >= view.occurred_at:
            continue
        session.add(
            MemberConsent(
                id=uuid7(),
                member_id=into_id,
                purpose=view.purpose,
                policy_version=view.policy_version,
                granted=view.granted,
                source="merge",
                occurred_at=now,
            ),
        )
    session.flush()
