"""Verbs that change members. Nothing here commits or reaches the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.audit import service as audit
from server.files import queries as file_queries
from server.files import service as files
from server.kernel.actors import Actor
from server.kernel.clock import business_date
from server.kernel.db import insert_if_absent, update_where, zone_of
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from server.kernel.outbox import publish
from server.members import events, queries, rules
from server.members.enrolment import claim_identity, enrol_unclaimed, phone_columns
from server.members.errors import (
    ChangeDecidedError,
    ChangePendingError,
    IdentityTakenError,
    MemberNotFoundError,
    PhoneTakenError,
    ReasonRequiredError,
    StatusRefusedError,
)
from server.members.merging import MergeView, lock_pair, merge_members
from server.members.models import Member, MemberChangeRequest, MemberConsent
from server.members.rows import complete_once, lock
from server.members.sessions import Login, Tokens, forget_sessions, log_out, login_with_wechat, open_session, refresh

__all__ = [
    "Bound",
    "ConsentChoice",
    "Login",
    "MergeView",
    "ProfileChange",
    "ProfileOutcome",
    "Tokens",
    "add_identity",
    "bind_phone",
    "decide_change",
    "declare_consents",
    "enrol_unclaimed",
    "forget_sessions",
    "lock_pair",
    "log_out",
    "login_with_wechat",
    "merge_members",
    "open_session",
    "refresh",
    "reveal_phone",
    "set_status",
    "update_profile",
]


class _Unset:
    """Stands for a field the member did not send, which is not the same as emptying it."""


UNSET: Final = _Unset()


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What a member wants changed; fields left at ``UNSET`` stay."""

    nickname: str | _Unset | None = UNSET
    gender: str | _Unset = UNSET
    city: str | _Unset | None = UNSET
    interests: list[str] | _Unset = UNSET
    birthday: rules.Birthday | _Unset = UNSET
    avatar_upload_id: UUID | _Unset | None = UNSET


@dataclass(frozen=True, slots=True)
class ProfileOutcome:
    """The profile after a change, and the request that waits for staff, if the change needs one."""

    profile: queries.MemberView
    change_request: queries.ChangeRequestView | None


@dataclass(frozen=True, slots=True)
class Bound:
    """A phone number that was bound."""

    member_id: UUID
    phone_masked: str
    merge: MergeView | None


@dataclass(frozen=True, slots=True)
class ConsentChoice:
    """One declaration of a member."""

    purpose: str
    policy_version: str
    granted: bool


def bind_phone(session: Session, member_id: UUID, phone_e164: str, *, actor: Actor, now: datetime) -> Bound:
    """Bind a verified phone number to a member, in place of an earlier one. Binding it again changes nothing.

    ``flows.merge.bind_phone`` stands above this and joins the records when an unclaimed member holds the number.

    Raises:
        MemberNotFoundError: there is no such member, or it was merged or deleted.
        PhoneTakenError: another live member holds the number.
    """
    member = lock(session, member_id)
    if member.status not in rules.LIVE_STATUSES:
        raise MemberNotFoundError
    holder = queries.by_phone(session, phone_e164)
    if holder is not None and holder != member_id:
        raise PhoneTakenError
    if holder is None:
        was_bound = member.phone_index is not None
        for name, value in phone_columns(session, member_id, phone_e164, now).items():
            setattr(member, name, value)
        member.updated_at = now
        session.flush()
        audit.record(
            session,
            actor=actor,
            action="member.bind_phone",
            subject_type="member",
            subject_id=member_id,
            before={"phone_bound": was_bound},
            after={"phone_bound": True},
            now=now,
        )
        publish(
            session,
            events.PHONE_BOUND,
            key=f"{events.PHONE_BOUND}:{member_id}:{now.timestamp():.6f}",
            aggregate_type="member",
            aggregate_id=member_id,
            payload={"member_id": str(member_id)},
            now=now,
        )
        complete_once(session, member, now)
    return Bound(member_id, rules.masked_phone(phone_e164), None)


def add_identity(
    session: Session,
    member_id: UUID,
    channel: str,
    external_id: str,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Tie an id of another channel (a till, a shop platform) to a member.

    Raises:
        IdentityTakenError: another member holds it.
        MemberNotFoundError: there is no such member, or it was merged or deleted.
    """
    if lock(session, member_id).status not in rules.LIVE_STATUSES:
        raise MemberNotFoundError
    if claim_identity(session, member_id, channel, external_id, now) != member_id:
        raise IdentityTakenError
    audit.record(
        session,
        actor=actor,
        action="member.add_identity",
        subject_type="member",
        subject_id=member_id,
        after={"channel": channel},
        now=now,
    )


def update_profile(
    session: Session,
    member_id: UUID,
    change: ProfileChange,
    *,
    actor: Actor,
    now: datetime,
) -> ProfileOutcome:
    """Change a profile. A birthday that was set before becomes a request for staff; everything else holds at once.

    Raises:
        MemberNotFoundError: there is no such member.
        BirthdayInvalidError: that day does not exist.
        NotFoundError: the picture is not the member's own upload.
        ChangePendingError: an earlier birthday request waits; nothing of this change is done.
    """
    member = lock(session, member_id)
    if member.status not in rules.LIVE_STATUSES:
        raise MemberNotFoundError
    if isinstance(change.avatar_upload_id, UUID):
        file_queries.owned(session, member_id, [change.avatar_upload_id])
        files.attach(session, [change.avatar_upload_id], now=now)
    for name in ("nickname", "gender", "city", "interests", "avatar_upload_id"):
        value = getattr(change, name)
        if not isinstance(value, _Unset):
            setattr(member, name, value)
    request = None
    if not isinstance(change.birthday, _Unset):
        request = _change_birthday(session, member, change.birthday, now)
    member.updated_at = now
    session.flush()
    complete_once(session, member, now)
    if actor.kind != "member":
        changed = [name for name in ProfileChange.__dataclass_fields__ if not isinstance(getattr(change, name), _Unset)]
        audit.record(
            session,
            actor=actor,
            action="member.update_profile",
            subject_type="member",
            subject_id=member_id,
            after={"fields": changed},
            now=now,
        )
    return ProfileOutcome(queries.view_of(session, member), request)


def _today(session: Session, now: datetime) -> date:
    return business_date(now, zone_of(session))


def _change_birthday(
    session: Session,
    member: Member,
    birthday: rules.Birthday,
    now: datetime,
) -> queries.ChangeRequestView | None:
    wanted = rules.checked_birthday(birthday, _today(session, now))
    present = queries.birthday_of(member)
    if present == wanted:
        return None
    if present is None:
        _set_birthday(member, wanted)
        return None
    request_id = uuid7()
    values: dict[str, Any] = {
        "id": request_id,
        "member_id": member.id,
        "kind": "birthday",
        "before": present.as_dict(),
        "after": wanted.as_dict(),
        "state": "pending",
        "open_slot": f"{member.id}:birthday",
        "requested_at": now,
    }
    if not insert_if_absent(session, MemberChangeRequest, values):
        raise ChangePendingError
    return next(view for view in queries.change_requests_of(session, member.id) if view.id == request_id)


def _set_birthday(member: Member, birthday: rules.Birthday) -> None:
    member.birthday_calendar = birthday.calendar
    member.birthday_month = birthday.month
    member.birthday_day = birthday.day
    member.birthday_year = birthday.year


def decide_change(
    session: Session,
    request_id: UUID,
    *,
    approve: bool,
    reason: str | None,
    actor: Actor,
    now: datetime,
) -> queries.ChangeRequestView:
    """Approve or refuse a change request.

    Arguments:
        session: of an open transaction.
        request_id: of a pending request.
        approve: True does the change.
        reason: why; required for a refusal and shown to the member.
        actor: the member of staff.
        now: present instant.

    Raises:
        ReasonRequiredError: a refusal without a reason.
        ChangeDecidedError: it was decided already, or there is none.
    """
    if not approve and not (reason and reason.strip()):
        raise ReasonRequiredError(fields={"reason": "required"})
    decided = update_where(
        session,
        sa.update(MemberChangeRequest)
        .where(MemberChangeRequest.id == request_id, MemberChangeRequest.state == "pending")
        .values(
            state="approved" if approve else "refused",
            open_slot=None,
            reason=reason.strip()[:500] if reason else None,
            decided_by=actor.ref[:64],
            decided_at=now,
        ),
    )
    request = session.get(MemberChangeRequest, request_id, populate_existing=True)
    if not decided or request is None:
        raise ChangeDecidedError
    if approve:
        member = lock(session, request.member_id)
        _set_birthday(member, rules.Birthday(**request.after))
        member.updated_at = now
        session.flush()
    audit.record(
        session,
        actor=actor,
        action="member_change.approve" if approve else "member_change.refuse",
        subject_type="member",
        subject_id=request.member_id,
        after={"kind": request.kind, "request_id": str(request_id)},
        reason=reason,
        now=now,
    )
    return next(view for view in queries.change_requests_of(session, request.member_id) if view.id == request_id)


def declare_consents(
    session: Session,
    member_id: UUID,
    choices: Sequence[ConsentChoice],
    *,
    source: str,
    actor: Actor,
    now: datetime,
) -> list[queries.ConsentView]:
    """Add what a member declares; a declaration that repeats the present one adds nothing.

    Arguments:
        session: of an open transaction.
        member_id: whose word it is.
        choices: purpose, version of the policy that was shown, yes or no.
        source: where it was declared (``mini_program``, ``staff``).
        actor: who enters it.
        now: present instant.

    Raises:
        InvalidError: an unknown purpose.
    """
    lock(session, member_id)
    present = {view.purpose: view for view in queries.consents_of(session, member_id)}
    for choice in choices:
        if choice.purpose not in rules.PURPOSES:
            raise InvalidError(fields={"purpose": ", ".join(rules.PURPOSES)})
        last = present.get(choice.purpose)
        if last is not None and (last.granted, last.policy_version) == (choice.granted, choice.policy_version):
            continue
        session.add(
            MemberConsent(
                id=uuid7(),
                member_id=member_id,
                purpose=choice.purpose,
                policy_version=choice.policy_version,
                granted=choice.granted,
                source=source,
                occurred_at=now,
            ),
        )
        session.flush()
    if actor.kind != "member":
        audit.record(
            session,
            actor=actor,
            action="member.declare_consents",
            subject_type="member",
            subject_id=member_id,
            after={choice.purpose: choice.granted for choice in choices},
            now=now,
        )
    return queries.consents_of(session, member_id)


def set_status(session: Session, member_id: UUID, status: str, *, reason: str, actor: Actor, now: datetime) -> None:
    """Freeze, unfreeze or mark a membership for deletion.

    Raises:
        ReasonRequiredError: no reason was given.
        StatusRefusedError: the present status does not allow the step.
    """
    if not reason.strip():
        raise ReasonRequiredError(fields={"reason": "required"})
    member = lock(session, member_id)
    if status not in rules.STATUS_STEPS[member.status]:
        raise StatusRefusedError(status=member.status)
    before = member.status
    member.status = status
    member.status_reason = reason.strip()[:500]
    member.updated_at = now
    session.flush()
    audit.record(
        session,
        actor=actor,
        action="member.set_status",
        subject_type="member",
        subject_id=member_id,
        before={"status": before},
        after={"status": status},
        reason=reason,
        now=now,
    )


def reveal_phone(session: Session, member_id: UUID, *, reason: str, actor: Actor, now: datetime) -> str | None:
    """Return a phone number in the clear for staff, leaving a trace of who saw it and why.

    Raises:
        ReasonRequiredError: no reason was given.
        MemberNotFoundError: there is no such member.
    """
    if not reason.strip():
        raise ReasonRequiredError(fields={"reason": "required"})
    queries.require(session, member_id)
    phone = queries.phone_of(session, member_id)
    audit.record(
        session,
        actor=actor,
        action="member.reveal_phone",
        subject_type="member",
        subject_id=member_id,
        reason=reason,
        now=now,
    )
    return phone
