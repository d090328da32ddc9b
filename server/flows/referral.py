"""Inviting friends: who came by whose code, and the reward of both once the friend's first purchase is final."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.kernel.actors import SystemActor
from server.kernel.amounts import Points
from server.kernel.clock import business_date, end_of_day
from server.kernel.db import update_where, zone_of
from server.kernel.source import Source
from server.kernel.text import N_
from server.members import queries as members
from server.orders import rules as order_rules
from server.orders.models import Order, OrderException
from server.points import service as points
from server.referrals import queries, rules, service
from server.referrals.models import Referral
from server.referrals.rules import LoopFacts, Purchase, ReferralPolicy, Verdict
from server.risk import queries as risk_queries
from server.risk import rules as risk_rules
from server.risk import service as risk

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

NAMESPACE = "referrals"
INVITER_REASON = N_("Reward for inviting a friend")
FRIEND_REASON = N_("Welcome gift of a friend's invitation")
_ACTOR = SystemActor("referrals")


def welcome(session: Session, member_id: UUID, *, is_new: bool, invite_code: str | None, device: str | None, now: datetime) -> None:
    """Remember the device of a log-in, and bind a membership that just began to who invited it.

    Arguments:
        session: of the log-in's transaction.
        member_id: who logged in.
        is_new: the membership began with this log-in; nobody is bound later.
        invite_code: what the new member was invited with; an unknown one is passed over.
        device: what the client calls the device, if it tells.
        now: present instant.
    """
    if device:
        service.note_device(session, member_id, device, now=now)
    if not is_new or not invite_code or not queries.policy(session)[1].enabled:
        return
    found = queries.inviter_of(session, invite_code)
    inviter = members.resolve(session, found, hold=True) if found is not None else None
    if inviter is None or members.require(session, inviter).status != "active":
        return
    # One friend of an inviter at a time, so that the day's count is right.
    points.open_account(session, inviter, now=now)
    service.bind(session, inviter, member_id, invite_code, rules.loop_of(_loop_facts(session, inviter, member_id, None)), now=now)


def reward_due(session: Session, now: datetime, limit: int = 20) -> int:
    """Look at referrals that wait and whose time has come, and reward both sides of those whose order is final.

    Arguments:
        session: of the job's transaction.
        now: present instant.
        limit: at most so many; each locks two accounts.

    Returns:
        How many were looked at.
    """
    _, policy = queries.policy(session)
    _postpone(session, policy, now)
    due = session.scalars(
        sa.select(Referral.id)
        .where(Referral.state == rules.WAITING, Referral.look_at <= now)
        .order_by(Referral.look_at, Referral.id)
        .limit(limit)
    ).all()
    for referral_id in due:
        settle(session, referral_id, now=now)
    return len(due)


def settle(session: Session, referral_id: UUID, *, now: datetime) -> str | None:
    """Bring one referral to what the facts ask for; any number of times.

    Returns:
        Its state afterwards, None when it does not wait.
    """
    seen = queries.find(session, referral_id)
    if seen is None:
        return None
    # In one order for everybody: of two who invited each other, two jobs must not wait for one another.
    pair = sorted({seen.inviter_id, seen.friend_id})
    for member_id in pair:
        members.resolve(session, member_id, hold=True)
    for member_id in pair:
        points.open_account(session, member_id, now=now)
    held = service.hold_waiting(session, referral_id)
    if held is None or (held.inviter_id, held.friend_id) != (seen.inviter_id, seen.friend_id):
        return None
    version, policy = queries.policy(session)
    verdict = _verdict(session, held, policy, now)
    if verdict.state != rules.REWARDED or verdict.order_id is None:
        service.settle(session, referral_id, verdict)
        return verdict.state
    if _refused_by_risk(session, held, now):
        # It goes on waiting, so that a release needs nothing but to look again.
        service.settle(session, held.id, Verdict(rules.WAITING, look_at=now + rules.LOOK_AGAIN))
        return rules.WAITING
    given = {
        side: _give(session, held.id, side, member_id, count, reason, policy, now)
        for side, member_id, count, reason in (
            ("inviter", held.inviter_id, policy.inviter_points, INVITER_REASON),
            ("friend", held.friend_id, policy.friend_points, FRIEND_REASON),
        )
    }
    service.note_rewarded(session, held.id, verdict.order_id, inviter=given["inviter"], friend=given["friend"], version=version, now=now)
    return rules.REWARDED


def _postpone(session: Session, policy: ReferralPolicy, now: datetime) -> None:
    # Most friends have not bought yet: they are put off in one statement, and never looked at one by one.
    bought = sa.select(Order.id).where(Order.member_id == Referral.friend_id, Order.paid_at.is_not(None)).exists()
    update_where(
        session,
        sa.update(Referral)
        .where(
            Referral.state == rules.WAITING,
            Referral.look_at <= now,
            Referral.joined_at >= now - timedelta(days=policy.window_days),
            sa.not_(bought),
        )
        .values(look_at=now + rules.LOOK_AGAIN),
    )


def _refused_by_risk(session: Session, held: queries.ReferralView, now: datetime) -> bool:
    key, scope = f"referral:{held.id}", risk_rules.Scope.REFERRALS.value
    hold = risk_queries.hold_of(session, held.inviter_id, scope, now)
    if hold is not None and not risk_queries.has_pass(session, held.inviter_id, scope, now):
        rule = None if hold.entry_id is not None else hold.cause.partition(":")[2]
        refusal = risk.Refusal(risk_rules.Way.REFERRAL, hold.cause, hold.entry_id, rule)
        risk.note_refused(session, held.inviter_id, refusal, now=now, once_key=f"{key}:inviter")
        return True
    # The inviter's devices are no measure: whoever invites many friends is what the programme is for.
    return risk.ask(session, held.friend_id, risk_rules.Way.REFERRAL, now=now, once_key=key) is not None


def _verdict(session: Session, held: queries.ReferralView, policy: ReferralPolicy, now: datetime) -> Verdict:
    statuses = {members.require(session, member_id).status for member_id in (held.inviter_id, held.friend_id)}
    if "deleted" in statuses:
        return Verdict(rules.EXPIRED)
    if statuses != {"active"}:
        return Verdict(rules.WAITING, look_at=now + rules.LOOK_AGAIN)
    loop = rules.loop_of(_loop_facts(session, held.inviter_id, held.friend_id, held.joined_at))
    rewarded = queries.rewarded_count(session, held.inviter_id)
    return rules.verdict(_purchases(session, held.friend_id), loop, joined_at=held.joined_at, rewarded=rewarded, policy=policy, now=now)


def _loop_facts(session: Session, inviter_id: UUID, friend_id: UUID, joined_at: datetime | None) -> LoopFacts:
    return LoopFacts(
        same_member=inviter_id == friend_id,
        same_phone=queries.share_a_mark(session, "phone", inviter_id, friend_id),
        same_device=queries.share_a_mark(session, "device", inviter_id, friend_id),
        circle=queries.in_a_circle(session, inviter_id, friend_id),
        known_before=joined_at is not None and _known_before(session, friend_id, joined_at),
    )


def _known_before(session: Session, friend_id: UUID, joined_at: datetime) -> bool:
    """Tell whether the friend was a member, or bought, before the invitation: a merge may have shown it."""
    friend = members.require(session, friend_id)
    if friend.joined_via == "wechat" and friend.joined_at < joined_at:
        return True
    # A receipt that was claimed since is the purchase of somebody who was no member then.
    earlier = sa.select(Order.id).where(Order.member_id == friend_id, Order.paid_at < joined_at, Order.attached_at.is_(None)).limit(1)
    return session.scalar(earlier) is not None


def _purchases(session: Session, friend_id: UUID) -> list[Purchase]:
    open_ = sa.select(OrderException.id).where(OrderException.order_id == Order.id, OrderException.state == "open").exists()
    rows = session.execute(
        sa.select(
            Order.id,
            Order.state,
            Order.immediate,
            Order.paid_at,
            Order.shipped_at,
            Order.delivered_at,
            Order.payable_fen,
            Order.refunded_fen,
            open_.label("exceptions_open"),
        ).where(Order.member_id == friend_id, Order.paid_at.is_not(None), Order.attached_at.is_(None))
    )
    return [
        Purchase(
            row.id,
            row.paid_at,
            row.payable_fen - row.refunded_fen,
            row.state in {order_rules.CANCELLED, order_rules.REFUNDED},
            _leaves_at(order_rules.Facts(row.paid_at, row.shipped_at, row.delivered_at), row.immediate, row.exceptions_open),
        )
        for row in rows
    ]


def _leaves_at(facts: order_rules.Facts, immediate: bool, exceptions_open: bool) -> datetime | None:
    if immediate and facts.paid_at is not None:
        # Points of a till sale are there at once, but goods can be brought back just as long.
        return facts.paid_at + order_rules.UNLOCK_AFTER_DELIVERY
    leaves_at = order_rules.points_available_at(facts, immediate=False, exceptions_open=exceptions_open)
    return None if leaves_at == order_rules.UNKNOWN_INSTANT else leaves_at


def _give(
    session: Session, referral_id: UUID, side: str, member_id: UUID, count: int, reason: str, policy: ReferralPolicy, now: datetime
) -> tuple[int, UUID | None]:
    if not count:
        return 0, None
    zone = zone_of(session)
    until = None
    if policy.points_days is not None:
        until = end_of_day(business_date(now, zone) + timedelta(days=policy.points_days), zone)
    source = Source(NAMESPACE, f"{side}:{referral_id}")
    why = {"policy": side, "points": count}
    entry = points.accrue(
        session,
        member_id,
        Points(count),
        source=source,
        reason=reason,
        actor=_ACTOR,
        now=now,
        expires_at=until,
        details={"why": [why]},
    )
    return count, entry.id
