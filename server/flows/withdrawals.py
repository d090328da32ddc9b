"""Deleting what a member withdrew in WeChat: the duty that follows from a push, each domain erasing its part in one transaction.

Invariants: a push is carried out once; what a parcel under way still needs is held and deleted when it is no longer needed; whoever
closed their WeChat account is logged out, loses everything that came through WeChat at once, and leaves the membership by the same
way, with the same days to think, as a member who asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from server.audit import service as audit
from server.files import service as files
from server.files.storage import Storage
from server.kernel.actors import SystemActor
from server.kernel.text import N_
from server.members import deletion, deletion_queries, withdrawals
from server.members import queries as members
from server.members import service as member_service
from server.rewards import service as rewards
from server.screening import service as screening
from server.screening.rules import Subject
from server.wechat import queries as wechat
from server.wechat import session_keys, withdrawn

NICKNAME, AVATAR, PHONE, ADDRESS, PICTURES, MEMBERSHIP = "nickname", "avatar", "phone", "address", "pictures", "membership"
DUTIES: dict[str, str] = {
    NICKNAME: N_("Nickname"),
    AVATAR: N_("Avatar"),
    PHONE: N_("Phone number"),
    ADDRESS: N_("Receivers of finished redemptions"),
    PICTURES: N_("Uploaded pictures"),
    MEMBERSHIP: N_("Membership: deletion asked for"),
}
# WeChat's code → what is deleted here. Of the other codes the product keeps nothing.
_OF_CODE: dict[str, tuple[str, ...]] = {
    "2": (ADDRESS,),
    "6": (NICKNAME, AVATAR),
    "8": (PHONE,),
    "14": (PICTURES, AVATAR),
    "15": (PICTURES,),
    "19": (NICKNAME,),
    "20": (AVATAR,),
}
_ACTOR = SystemActor("wechat.push")
_CLOSED = N_("The WeChat account was closed.")


def duties_of(event: str, codes: Iterable[str]) -> list[str]:
    """Return what has to be deleted, in a fixed order."""
    if event == withdrawn.CANCELLED:
        return list(DUTIES)
    wanted = {NICKNAME, AVATAR} if event == withdrawn.MODIFIED else {duty for code in codes for duty in _OF_CODE.get(code, ())}
    return [duty for duty in DUTIES if duty in wanted]


def carry_out(session: Session, storage: Storage, push_id: UUID, *, appid: str, now: datetime) -> bool:
    """Carry out the duty that a push brought, once.

    Arguments:
        session: of an open transaction.
        storage: where the pictures lie; they go before the commit, so that what was broken off is done again.
        push_id: a stored push of ``withdrawn.EVENTS``.
        appid: the app whose openids are known here.
        now: present instant.

    Returns:
        False when there was nothing to do: carried out before, about nobody we know, or forgotten meanwhile.
    """
    push = wechat.find_push(session, push_id)
    if push is None or push.content.get("AppID", appid) != appid:
        return False
    key_index = session_keys.index_of(session, push.openid)
    member_id = members.by_openid(session, push.openid, appid)
    if member_id is None:
        session_keys.forget(session, [key_index])
        return False
    codes = withdrawn.codes_of(push.content) if push.event == withdrawn.REVOKED else []
    duties = duties_of(push.event, codes)
    withdrawal_id = withdrawals.note(
        session, member_id, push_key=push.key, event=push.event, codes=codes, duties=duties, occurred_at=push.occurred_at, now=now
    )
    if withdrawal_id is None:
        return False
    # After the member's lock, as a log-in takes them.
    session_keys.forget(session, [key_index])
    held = _delete(session, storage, member_id, duties, occurred_at=push.occurred_at, now=now)
    withdrawals.settle(session, withdrawal_id, held, now=now)
    audit.record(
        session,
        actor=_ACTOR,
        action="member.withdraw_data",
        subject_type="member",
        subject_id=member_id,
        after={"event": push.event, "codes": codes, "deleted": [duty for duty in duties if duty not in held], "held": held},
        now=now,
    )
    return True


def carry_out_held(session: Session, storage: Storage, withdrawal_id: UUID, *, now: datetime) -> bool:
    """Delete what was held by something under way, when it no longer is; return whether everything is deleted now."""
    found = withdrawals.lock_due(session, withdrawal_id, now=now)
    if found is None:
        return False
    member_id = members.resolve(session, found.member_id) or found.member_id
    held = _delete(session, storage, member_id, found.held, occurred_at=found.occurred_at, now=now)
    withdrawals.settle(session, withdrawal_id, held, now=now)
    if not held:
        audit.record(
            session,
            actor=_ACTOR,
            action="member.withdraw_data",
            subject_type="member",
            subject_id=member_id,
            after={"event": found.event, "deleted": found.held, "held": []},
            now=now,
        )
    return not held


def _delete(
    session: Session, storage: Storage, member_id: UUID, duties: Sequence[str], *, occurred_at: datetime, now: datetime
) -> list[str]:
    """Delete what some duties say and return those that something under way holds."""
    records = deletion_queries.records_of(session, member_id)
    held = []
    profile = [duty for duty in duties if duty in {NICKNAME, AVATAR, PHONE}]
    if profile:
        picture = withdrawals.blank(session, member_id, names=profile, given_until=occurred_at, now=now)
        if picture is not None:
            files.forget_uploads(session, storage, [picture])
    if NICKNAME in duties:
        for one in records:
            # One that still waits for the content review would come back when it is let pass.
            screening.drop_open(session, Subject.NICKNAME, one, now=now)
    if PICTURES in duties:
        for one in records:
            files.forget_member(session, storage, one)
    if ADDRESS in duties:
        needed = [rewards.forget_receivers(session, one) for one in records]
        held += [ADDRESS] if any(needed) else []
    if MEMBERSHIP in duties:
        member_service.log_out(session, member_id, session_id=None, now=now)
        deletion.request_deletion(session, member_id, reason=_CLOSED, actor=_ACTOR, now=now)
    return held
