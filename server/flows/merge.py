"""Joining two records of one person: every domain moves its own rows, all in one transaction, and the journal says what moved."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from server.campaigns import service as campaigns
from server.cards import service as cards
from server.coupons import service as coupons
from server.feedback import service as feedback
from server.files import service as files
from server.kernel.actors import Actor
from server.members import merge_queries
from server.members import queries as member_queries
from server.members import service as members
from server.members.errors import MergeNeedsStaffError, MergeRefusedError
from server.notifications import service as notifications
from server.orders import service as orders
from server.points import occasions
from server.points import service as points
from server.referrals import service as referrals
from server.rewards import service as rewards
from server.risk import service as risk
from server.rosters import service as rosters
from server.screening import service as screening
from server.tiers import service as tiers
from server.triggers import service as triggers


class _Mover(Protocol):
    def __call__(self, session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> Any: ...


# Every domain that owns rows of members, in the order of the ladder from below.
MOVERS: dict[str, _Mover] = {
    "files": files.merge_members,
    "risk": risk.merge_members,
    "rosters": rosters.merge_members,
    "screening": screening.merge_members,
    "cards": cards.merge_members,
    "points": points.merge_members,
    "points_for_events": occasions.merge,
    "notifications": notifications.merge_members,
    "referrals": referrals.merge_members,
    "tiers": tiers.merge_members,
    "coupons": coupons.merge_members,
    "rewards": rewards.merge_members,
    "orders": orders.merge_members,
    "feedback": feedback.merge_members,
    "campaigns": campaigns.merge_members,
    "triggers": triggers.merge_members,
}


def merge(session: Session, from_id: UUID, into_id: UUID, *, reason: str, actor: Actor, now: datetime) -> members.MergeView:
    """Join one member record into another.

    Arguments:
        session: of an open transaction.
        from_id: the record that ends; its id keeps pointing at the survivor.
        into_id: the record that stays.
        reason: why, kept in the journal and the audit trail.
        actor: who joins them.
        now: present instant.

    Raises:
        MergeRefusedError: the same record twice, or one of them is not live.
    """
    members.lock_pair(session, from_id, into_id)
    carried: dict[str, Any] = {}
    for domain, move in MOVERS.items():
        moved = move(session, from_id, into_id, now=now)
        if moved:
            carried[domain] = moved
    return members.merge_members(session, from_id, into_id, reason=reason, carried=carried, actor=actor, now=now)


def bind_phone(session: Session, member_id: UUID, phone_e164: str, *, actor: Actor, now: datetime) -> members.Bound:
    """Bind a verified phone number, joining the record that holds it when nobody logs in to that record.

    The older record survives and takes over the log-ins, so the caller's tokens go on working.

    Arguments:
        session: of an open transaction.
        member_id: who proved to hold the number.
        phone_e164: the number.
        actor: the member.
        now: present instant.

    Raises:
        MergeNeedsStaffError: the other record logs in from the same WeChat app.
        MergeRefusedError: the other record was changed at this very moment; asking again finds it as it is now.
    """
    holder = member_queries.by_phone(session, phone_e164)
    if holder is None or holder == member_id:
        return _bound(session, member_id, phone_e164, actor=actor, now=now)
    # Locked before it is decided: of several who bind one number at once, the second must see whom the first made of it.
    members.lock_pair(session, member_id, holder)
    if member_queries.by_phone(session, phone_e164) != holder:
        raise MergeRefusedError
    direction = merge_queries.automatic_merge(session, member_id, holder)
    if direction is None:
        raise MergeNeedsStaffError
    joined = merge(session, *direction, reason="phone", actor=actor, now=now)
    bound = _bound(session, joined.into_id, phone_e164, actor=actor, now=now)
    return members.Bound(bound.member_id, bound.phone_masked, joined)


def _bound(session: Session, member_id: UUID, phone_e164: str, *, actor: Actor, now: datetime) -> members.Bound:
    # The number the member had so far is remembered too: whoever gives theirs to a friend does not become two people.
    referrals.note_phone(session, member_id, now=now)
    bound = members.bind_phone(session, member_id, phone_e164, actor=actor, now=now)
    # A number that is on the block list holds whoever binds it, from now on.
    risk.note_phone(session, member_id, now=now)
    return bound
