"""Forgetting a member: every domain erases its own rows, all in one transaction; the books stay, without a name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from server.campaigns import service as campaigns
from server.cards import service as cards
from server.coupons import service as coupons
from server.feedback import service as feedback
from server.files import service as files
from server.files.storage import Storage
from server.kernel import idempotency
from server.kernel.actors import Actor, MemberActor
from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.members import deletion, deletion_queries
from server.members import queries as member_queries
from server.notifications import service as notifications
from server.orders import queries as order_queries
from server.orders import service as orders
from server.referrals import service as referrals
from server.rewards import queries as reward_queries
from server.rewards import service as rewards
from server.risk import service as risk
from server.rosters import service as rosters
from server.screening import service as screening
from server.wechat import followers, session_keys
from server.wechat import service as wechat


class _Forgetter(Protocol):
    def __call__(self, session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> Any: ...


# Every domain that keeps something personal in rows of its own. Points and tiers keep a member's number and nothing else, and
# what is append-only (entries, consents, the trail) is written without personal data in the first place.
FORGETTERS: dict[str, _Forgetter] = {
    "rosters": rosters.forget_member,
    "screening": screening.forget_member,
    "cards": cards.forget_member,
    "risk": risk.forget_member,
    "referrals": referrals.forget_member,
    "notifications": notifications.forget_member,
    "rewards": rewards.forget_member,
    "coupons": coupons.forget_member,
    "orders": orders.forget_member,
    "feedback": feedback.forget_member,
    "campaigns": campaigns.forget_member,
}

HELD_BY_ORDERS = "orders"


def erase(session: Session, storage: Storage, deletion_id: UUID, *, actor: Actor, now: datetime) -> str | None:
    """Carry out one round of a deletion whose time has come.

    Parcels under way still need their receiver: while orders are paid or shipped, or redeemed goods still to be sent, it waits, but never
    beyond the last day.

    Arguments:
        session: of a transaction of its own.
        storage: where the pictures lie; they go before the commit, so that a round broken off is done again and none stays behind.
        deletion_id: from ``deletion_queries.due``.
        actor: who carries it out.
        now: present instant.

    Returns:
        ``held``, or the deletion's state now: ``erased`` after the first round, ``done`` after the second. None when nothing was due.
    """
    found = deletion.lock_due(session, deletion_id, now=now)
    if found is None:
        return None
    records = deletion_queries.records_of(session, found.member_id)
    last_day = business_date(now, zone_of(session)) >= found.deadline_on
    parcels = order_queries.under_way(session, records) or reward_queries.under_way(session, records)
    if found.state == "waiting" and not last_day and parcels:
        deletion.hold(session, deletion_id, HELD_BY_ORDERS, now=now)
        return "held"
    _forget(session, storage, records, actor=actor, now=now)
    return deletion.note_erased(session, deletion_id, actor=actor, now=now).state


def _forget(session: Session, storage: Storage, records: Sequence[UUID], *, actor: Actor, now: datetime) -> None:
    # The log-ins say whose pushes and stored answers to look for, so they are read before they go.
    openids = deletion_queries.openid_indexes(session, list(records))
    wechat.forget_pushes(session, openids)
    session_keys.forget(session, openids)
    followers.forget_followers(session, member_queries.union_indexes(session, list(records)))
    deletion.erase_records(session, records, now=now)
    for member_id in records:
        for forget in FORGETTERS.values():
            forget(session, member_id, actor=actor, now=now)
        member = MemberActor(member_id)
        idempotency.forget_caller(session, f"{member.kind}:{member.ref}")
        files.forget_member(session, storage, member_id)
