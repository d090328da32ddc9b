"""The verbs of referrals. Callers own the transaction; who looks at orders and gives points is ``flows/referral``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.clock import business_date
from server.kernel.crypto import vault_of
from server.kernel.db import insert_if_absent, update_where, zone_of
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from server.members import queries as members
from server.referrals import queries, rules
from server.referrals.errors import ReasonMissingError, ReferralDecidedError, ReferralNotFoundError
from server.referrals.models import Referral, ReferralCode, ReferralMark, ReferralPolicyVersion
from server.referrals.rules import ReferralPolicy

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

_ATTEMPTS = 5


def change_policy(session: Session, policy: ReferralPolicy, *, actor: Actor, now: datetime) -> int:
    """Declare a new policy from now on; return its version.

    Raises:
        InvalidError: naming the fields that make no sense.
    """
    wrong = rules.wrong_fields(policy)
    if wrong:
        raise InvalidError(fields=wrong)
    version, before = queries.policy(session)
    values = asdict(policy)
    session.execute(sa.insert(ReferralPolicyVersion).values(version=version + 1, **values, created_at=now, created_by=actor.ref[:80]))
    audit.record(
        session,
        actor=actor,
        action="referral_policy.change",
        subject_type="referral_policy",
        subject_id=str(version + 1),
        before=asdict(before),
        after=values,
        now=now,
    )
    return version + 1


def ensure_code(session: Session, member_id: UUID, *, now: datetime) -> str:
    """Return a member's code, made now when they had none. Two calls at once give one code."""
    for _ in range(_ATTEMPTS):
        held = queries.code_of(session, member_id)
        if held is not None:
            return held
        values = {"id": uuid7(), "member_id": member_id, "active_slot": member_id, "code": rules.new_code(), "created_at": now}
        if insert_if_absent(session, ReferralCode, values):
            return str(values["code"])
    raise ReferralNotFoundError


def note_device(session: Session, member_id: UUID, device: str, *, now: datetime) -> None:
    """Remember, as a blind index, that a member logged in from a device."""
    _note(session, member_id, "device", vault_of(session).index("device", device), now)


def note_phone(session: Session, member_id: UUID, *, now: datetime) -> None:
    """Remember, as a blind index, the phone number a member has now: it may leave them, and still be theirs."""
    phone = members.phone_of(session, member_id)
    if phone is not None:
        _note(session, member_id, "phone", vault_of(session).index("phone", phone), now)


def _note(session: Session, member_id: UUID, kind: str, mark: str, now: datetime) -> None:
    known = sa.select(ReferralMark.id).where(ReferralMark.member_id == member_id, ReferralMark.kind == kind, ReferralMark.mark == mark)
    if session.scalar(known) is None:
        values = {"id": uuid7(), "member_id": member_id, "kind": kind, "mark": mark, "seen_at": now}
        insert_if_absent(session, ReferralMark, values)


def bind(session: Session, inviter_id: UUID, friend_id: UUID, code: str, loop: str | None, *, now: datetime) -> UUID | None:
    """Write down who invited a new member; once, when the membership begins.

    Arguments:
        session: of the log-in's transaction.
        inviter_id: whose code it was.
        friend_id: the new member.
        code: as it was given.
        loop: why it cannot be rewarded, when that is clear already.
        now: present instant.

    Returns:
        The referral, or None when the friend was bound before.
    """
    version, policy = queries.policy(session)
    day = business_date(now, zone_of(session))
    state, reason = (rules.REFUSED, loop) if loop is not None else (rules.WAITING, None)
    if loop is None and queries.joined_on(session, inviter_id, day) >= policy.daily_cap:
        state, reason = rules.HELD, rules.VELOCITY
    referral_id = uuid7()
    values = {
        "id": referral_id,
        "inviter_id": inviter_id,
        "friend_id": friend_id,
        "friend_slot": friend_id,
        "code": rules.normalised_code(code),
        "state": state,
        "reason": reason,
        "joined_at": now,
        "joined_on": day,
        "look_at": now if state == rules.WAITING else None,
        "order_id": None,
        "policy_version": version,
        "inviter_points": 0,
        "friend_points": 0,
    }
    return referral_id if insert_if_absent(session, Referral, values) else None


def hold_waiting(session: Session, referral_id: UUID) -> queries.ReferralView | None:
    """Lock a referral and return it; None when it does not wait any more."""
    statement = sa.select(Referral.id).where(Referral.id == referral_id, Referral.state == rules.WAITING)
    held = session.scalar(statement.with_for_update())
    return queries.find(session, referral_id) if held is not None else None


def settle(session: Session, referral_id: UUID, verdict: rules.Verdict) -> None:
    """Write down what follows for a referral that is held and gets no reward now."""
    values = {"state": verdict.state, "reason": verdict.reason, "look_at": verdict.look_at}
    update_where(session, sa.update(Referral).where(Referral.id == referral_id, Referral.state == rules.WAITING).values(**values))


def note_rewarded(
    session: Session,
    referral_id: UUID,
    order_id: UUID,
    *,
    inviter: tuple[int, UUID | None],
    friend: tuple[int, UUID | None],
    version: int,
    now: datetime,
) -> None:
    """Write down that both sides of a held referral were rewarded: (points, entry) of each."""
    update_where(
        session,
        sa.update(Referral)
        .where(Referral.id == referral_id, Referral.state == rules.WAITING)
        .values(
            state=rules.REWARDED,
            reason=None,
            look_at=None,
            order_id=order_id,
            policy_version=version,
            inviter_points=inviter[0],
            inviter_entry_id=inviter[1],
            friend_points=friend[0],
            friend_entry_id=friend[1],
            rewarded_at=now,
        ),
    )


def decide(session: Session, referral_id: UUID, *, release: bool, reason: str, actor: Actor, now: datetime) -> None:
    """Let staff release or refuse a referral that is held. A released one waits for the friend's order like any other.

    Arguments:
        session: of the edge's transaction.
        referral_id: which one.
        release: False refuses it for good.
        reason: in the staff's own words.
        actor: who decides.
        now: present instant.

    Raises:
        ReasonMissingError: no reason.
        ReferralNotFoundError: there is none.
        ReferralDecidedError: it is not held.
    """
    if not reason.strip():
        raise ReasonMissingError(fields={"reason": ReasonMissingError.message})
    before = queries.find(session, referral_id)
    if before is None:
        raise ReferralNotFoundError
    values = {
        "state": rules.WAITING if release else rules.REFUSED,
        "reason": None if release else rules.BY_STAFF,
        "look_at": now if release else None,
        "decided_at": now,
        "decided_by": str(getattr(actor, "name", "") or actor.ref)[:120],
        "decided_why": reason.strip()[:500],
    }
    if not update_where(session, sa.update(Referral).where(Referral.id == referral_id, Referral.state == rules.HELD).values(**values)):
        raise ReferralDecidedError
    audit.record(
        session,
        actor=actor,
        action="referral.release" if release else "referral.refuse",
        subject_type="referral",
        subject_id=referral_id,
        before={"state": before.state, "reason": before.reason},
        after={"state": values["state"]},
        reason=reason,
        now=now,
    )


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> dict[str, int]:
    """Give one member's codes, marks and referrals to another; of two that are one person's friend, one goes on.

    A reward that was given stays, and keeps the survivor from a second one. Called before the records themselves are joined, while the
    ending one still has its phone number.

    Returns:
        What moved, for the merge journal.
    """
    note_phone(session, from_id, now=now)
    _merge_codes(session, from_id, into_id)
    for mark in session.scalars(sa.select(ReferralMark).where(ReferralMark.member_id == from_id)).all():
        _note(session, into_id, mark.kind, mark.mark, mark.seen_at)
    session.execute(sa.delete(ReferralMark).where(ReferralMark.member_id == from_id).execution_options(synchronize_session=False))
    _merge_friends(session, from_id, into_id)
    moved = update_where(session, sa.update(Referral).where(Referral.inviter_id == from_id).values(inviter_id=into_id))
    moved += update_where(session, sa.update(Referral).where(Referral.friend_id == from_id).values(friend_id=into_id))
    # Who turned out to have invited themselves is refused at once, also while staff look at it.
    update_where(
        session,
        sa.update(Referral)
        .where(Referral.inviter_id == into_id, Referral.friend_id == into_id, Referral.state.in_((rules.WAITING, rules.HELD)))
        .values(state=rules.REFUSED, reason=rules.SELF, look_at=None),
    )
    return {"referrals": moved} if moved else {}


def _merge_codes(session: Session, from_id: UUID, into_id: UUID) -> None:
    slot = {"active_slot": None} if queries.code_of(session, into_id) is not None else {"active_slot": into_id}
    update_where(session, sa.update(ReferralCode).where(ReferralCode.active_slot == from_id).values(**slot))
    update_where(session, sa.update(ReferralCode).where(ReferralCode.member_id == from_id).values(member_id=into_id))


def _merge_friends(session: Session, from_id: UUID, into_id: UUID) -> None:
    rows = session.scalars(
        sa.select(Referral).where(Referral.friend_slot.in_([from_id, into_id])).execution_options(populate_existing=True)
    ).all()
    # What was rewarded goes on, otherwise what came first.
    ranked = sorted(rows, key=lambda row: (row.state != rules.REWARDED, row.joined_at, row.id))
    for row in ranked[1:]:
        row.friend_slot = None
        if row.state in {rules.WAITING, rules.HELD}:
            row.state, row.reason, row.look_at = rules.REFUSED, rules.MERGED, None
    session.flush()
    if ranked:
        ranked[0].friend_slot = into_id
        session.flush()


def forget_member(session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> int:  # noqa: ARG001 - the agreed signature
    """Delete a leaving member's codes, devices and phone numbers; return how many. Who invited whom stays, without a name."""
    gone = 0
    theirs = sa.or_(Referral.inviter_id == member_id, Referral.friend_id == member_id)
    update_where(session, sa.update(Referral).where(theirs, Referral.decided_why.is_not(None)).values(decided_why=None))
    for model in (ReferralCode, ReferralMark):
        deleted = session.execute(sa.delete(model).where(model.member_id == member_id).execution_options(synchronize_session=False))
        gone += int(getattr(deleted, "rowcount", 0))
    return gone
