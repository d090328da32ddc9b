"""Looking up and enrolling many unclaimed members at once by their ids in a channel: what ``enrol_unclaimed`` does, a table at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.kernel.crypto import Place, vault_of
from server.kernel.db import insert_all_absent, insert_rows, one_of
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent
from server.members import events, queries
from server.members.enrolment import phone_columns
from server.members.models import Member, MemberIdentity
from server.members.rules import LIVE_STATUSES

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


class _TakenMeanwhileError(Exception):
    """Another transaction tied one of the ids to a member since we looked."""


def by_externals(session: Session, channel: str, external_ids: Collection[str]) -> dict[str, UUID]:
    """Return the members known under ids in a channel, by id, held until the transaction ends (see ``queries.resolve``).

    Arguments:
        session: any.
        channel: of the ids.
        external_ids: at most a thousand.
    """
    vault, kind = vault_of(session), queries.kind_of_channel(channel)
    by_index = {vault.index(kind, external_id): external_id for external_id in external_ids}
    rows = session.execute(
        sa.select(MemberIdentity.external_index, MemberIdentity.member_id).where(
            one_of(session, MemberIdentity.external_index, by_index), MemberIdentity.channel == channel
        )
    ).all()
    standing = queries.resolve_many(session, {member_id for _, member_id in rows})
    return {by_index[index]: standing[member_id] for index, member_id in rows if member_id in standing}


def by_phones(session: Session, phones: Collection[str]) -> dict[str, UUID]:
    """Return the live members who hold phone numbers in E.164, by number.

    Arguments:
        session: any.
        phones: at most a thousand.
    """
    vault = vault_of(session)
    by_index = {vault.index("phone", phone): phone for phone in phones}
    rows = session.execute(sa.select(Member.phone_index, Member.id).where(one_of(session, Member.phone_index, by_index))).all()
    return {by_index[index]: member_id for index, member_id in rows if index is not None}


def standing(session: Session, member_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Hold members and return for each who stands for it today, without those who have left.

    Arguments:
        session: any.
        member_ids: at most a thousand.
    """
    found = queries.resolve_many(session, member_ids)
    live = set(
        session.scalars(sa.select(Member.id).where(one_of(session, Member.id, set(found.values())), Member.status.in_(LIVE_STATUSES)))
    )
    return {member_id: home for member_id, home in found.items() if home in live}


def enrol_many(session: Session, channel: str, external_ids: Collection[str], *, actor: Actor, now: datetime) -> dict[str, UUID]:
    """Enrol unclaimed members for ids nobody holds, each table written once.

    Arguments:
        session: of an open transaction.
        channel: of the ids.
        external_ids: unknown as yet, at most a thousand.
        actor: who brings the records; its kind becomes the way of joining.
        now: present instant.

    Returns:
        The new members by id; empty when another transaction took one of the ids meanwhile, so that each is to be looked at by itself.
    """
    if not external_ids:
        return {}
    vault, kind = vault_of(session), queries.kind_of_channel(channel)
    made = {external_id: uuid7() for external_id in external_ids}
    fresh: dict[str, object] = {
        "status": "active",
        "gender": "unknown",
        "interests": [],
        "invite_code": None,
        "joined_via": actor.kind[:24],
    }
    stamps = {"joined_at": now, "updated_at": now}
    members = [{"id": member_id, **fresh, **stamps, **phone_columns(session, member_id, None, now)} for member_id in made.values()]
    identities = []
    for external_id, member_id in made.items():
        identity_id = uuid7()
        identities.append(
            {
                "id": identity_id,
                "member_id": member_id,
                "channel": channel,
                "external_index": vault.index(kind, external_id),
                "external_sealed": vault.seal(external_id, Place("member_identities", "external_sealed", identity_id)),
                "created_at": now,
            }
        )
    try:
        with session.begin_nested():
            # Not COPY: columns that are left out get what the model gives them.
            insert_all_absent(session, Member, members)
            _insert_all(session, identities)
    except _TakenMeanwhileError:
        return {}
    insert_rows(session, OutboxEvent, [_news(member_id, now) for member_id in made.values()])
    return made


def _insert_all(session: Session, identities: list[dict[str, object]]) -> None:
    if insert_all_absent(session, MemberIdentity, identities) != len(identities):
        raise _TakenMeanwhileError


def _news(member_id: UUID, now: datetime) -> dict[str, object]:
    return {
        "id": uuid7(),
        "key": f"{events.ENROLLED}:{member_id}",
        "topic": events.ENROLLED,
        "aggregate_type": "member",
        "aggregate_id": member_id,
        "version": 0,
        "payload": {"member_id": str(member_id)},
        "occurred_at": now,
        "expanded_at": None,
    }
