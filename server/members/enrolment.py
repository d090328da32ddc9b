"""How a person becomes a member, and how a channel's id is tied to exactly one of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.actors import Actor
from server.kernel.crypto import Place, vault_of
from server.kernel.db import insert_if_absent
from server.kernel.ids import uuid7
from server.kernel.outbox import publish
from server.members import events, queries, rules
from server.members.models import Member, MemberIdentity


def new_member(session: Session, *, joined_via: str, phone: str | None, invite_code: str | None, now: datetime) -> UUID | None:
    """Insert a member; None when another live member holds the phone number.

    Arguments:
        session: of an open transaction.
        joined_via: ``wechat``, ``till``, ``import``…
        phone: E.164 or None.
        invite_code: what the member was invited with.
        now: when they joined.
    """
    member_id = uuid7()
    values = {
        "id": member_id,
        "status": "active",
        "gender": "unknown",
        "interests": [],
        "invite_code": invite_code[:40] if invite_code else None,
        "joined_via": joined_via[:24],
        "joined_at": now,
        "updated_at": now,
        **phone_columns(session, member_id, phone, now),
    }
    return member_id if insert_if_absent(session, Member, values) else None


def phone_columns(session: Session, member_id: UUID, phone: str | None, now: datetime) -> dict[str, object]:
    """Return the columns that hold a phone number (or none) for one row."""
    if phone is None:
        return {"phone_sealed": None, "phone_index": None, "phone_tail_index": None, "phone_bound_at": None}
    vault = vault_of(session)
    return {
        "phone_sealed": vault.seal(phone, Place("members", "phone_sealed", member_id)),
        "phone_index": vault.index("phone", phone),
        "phone_tail_index": vault.index("phone_tail", rules.phone_tail(phone)),
        "phone_bound_at": now,
    }


def claim_identity(session: Session, member_id: UUID, channel: str, external_id: str, now: datetime) -> UUID:
    """Tie a channel's id to a member unless another one holds it already.

    A concurrent claim of the same id waits on the unique index until the first has ended.

    Returns:
        Who holds the id now: ``member_id`` or the member who was first.
    """
    vault = vault_of(session)
    identity_id = uuid7()
    index = vault.index(queries.kind_of_channel(channel), external_id)
    values = {
        "id": identity_id,
        "member_id": member_id,
        "channel": channel,
        "external_index": index,
        "external_sealed": vault.seal(external_id, Place("member_identities", "external_sealed", identity_id)),
        "created_at": now,
    }
    if insert_if_absent(session, MemberIdentity, values):
        return member_id
    holder = session.scalar(
        sa.select(MemberIdentity.member_id).where(MemberIdentity.external_index == index, MemberIdentity.channel == channel),
    )
    return holder if holder is not None else member_id


def forget_unborn(session: Session, member_id: UUID) -> None:
    """Take back a member inserted by this very transaction which turned out to exist already."""
    session.execute(sa.delete(MemberIdentity).where(MemberIdentity.member_id == member_id))
    session.execute(sa.delete(Member).where(Member.id == member_id))


def announce(session: Session, member_id: UUID, now: datetime) -> None:
    """Tell that a member joined."""
    publish(
        session,
        events.ENROLLED,
        key=f"{events.ENROLLED}:{member_id}",
        aggregate_type="member",
        aggregate_id=member_id,
        payload={"member_id": str(member_id)},
        now=now,
    )


def enrol_unclaimed(
    session: Session,
    *,
    phone: str | None,
    external_ids: Mapping[str, str] | None,
    actor: Actor,
    now: datetime,
) -> UUID:
    """Return the member known by a phone number or an outside id, enrolled now when there was none.

    The record is unclaimed until its person logs in through WeChat with that phone.

    Arguments:
        session: of an open transaction.
        phone: E.164, or None.
        external_ids: channel → id in that channel; ids another member holds stay theirs.
        actor: who brings the record; its kind becomes the way of joining.
        now: present instant.
    """
    known = queries.by_phone(session, phone) if phone else None
    for channel, external_id in (external_ids or {}).items():
        known = known or queries.by_external(session, channel, external_id)
    member_id = known
    if member_id is None:
        member_id = new_member(session, joined_via=actor.kind, phone=phone, invite_code=None, now=now)
        if member_id is None and phone is not None:
            # Somebody enrolled this phone between our look and our insert, and has committed since.
            member_id = queries.by_phone(session, phone)
        else:
            known = None
    if member_id is None:
        message = "a member could be neither found nor enrolled"
        raise AssertionError(message)
    for channel, external_id in (external_ids or {}).items():
        holder = claim_identity(session, member_id, channel, external_id, now)
        if holder != member_id and known is None and phone is None:
            forget_unborn(session, member_id)
            member_id = known = holder
    announce(session, member_id, now)
    return member_id
