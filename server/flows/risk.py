"""Risk control across domains: claims of coupons are counted by device afterwards, and what a release lets through is given at once.

A claim is the hottest path there is, so nothing is counted in it. Within a minute the devices that claimed too much are found here, their
members are held, and the list tells staff, who void what was farmed in the members' wallets, or release.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from server.coupons.models import Coupon
from server.coupons.queries import CLAIM_NAMESPACE
from server.flows import referral
from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.members import queries as members
from server.risk import queries, rules, service
from server.risk.models import RiskMark
from server.triggers import service as triggers

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

# Members of one device that are held in one run; the next run, a minute later, goes on with the others.
_MOST = 200


def watch_claims(session: Session, *, now: datetime) -> int:
    """Hold the members of devices that claimed more coupons than the rule lets through; any number of times.

    Arguments:
        session: of the job's transaction.
        now: present instant.

    Returns:
        How many members are held newly.
    """
    version, known = queries.velocity_rules(session)
    held = 0
    for rule in known:
        if rule.enabled and rule.way is rules.Way.CLAIM:
            for mark in _busy_devices(session, rule, now):
                held += _hold_users(session, rule, version, mark, now)
    return held


def give_now(session: Session, refusal_id: UUID, *, now: datetime) -> int:
    """Give what a released refusal kept back and what comes by itself otherwise: a welcome pack, the reward of an invitation.

    Idempotent: what was given meanwhile is not given again.

    Arguments:
        session: of the edge's transaction.
        refusal_id: a refusal that was released.
        now: present instant.

    Returns:
        How many were given; 0 when there is nothing to give, or its own rules say no now.
    """
    found = queries.find_refusal(session, refusal_id)
    if found is None or found.released_at is None or found.once_key is None:
        return 0
    kind, key, *_ = found.once_key.split(":")
    if kind == rules.Way.REFERRAL:
        return int(referral.settle(session, UUID(key), now=now) == "rewarded")
    joined = members.find(session, UUID(key))
    return triggers.welcome(session, UUID(key), occurred_at=joined.joined_at, now=now) if joined is not None else 0


def release(session: Session, refusal_id: UUID, *, until: datetime | None, give: bool, reason: str, actor: Actor, now: datetime) -> int:
    """Release a refusal and, when asked to, give at once what it kept back; return how many were given.

    Arguments:
        session: of the edge's transaction.
        refusal_id: which one.
        until: how long the member goes through; None for good.
        give: give a welcome pack or an invitation's reward now, instead of leaving the invitation to its job.
        reason: in the staff's own words.
        actor: who releases.
        now: present instant.

    Raises:
        RefusalReleasedError: it was released before; see ``server.risk.service.release`` for the others.
    """
    service.release(session, refusal_id, until=until, reason=reason, actor=actor, now=now)
    return give_now(session, refusal_id, now=now) if give else 0


def _busy_devices(session: Session, rule: rules.VelocityRule, now: datetime) -> list[str]:
    since = rules.since(rule, now)
    statement = (
        sa.select(RiskMark.mark)
        .join(Coupon, Coupon.member_id == RiskMark.member_id)
        .where(
            RiskMark.kind == rules.Kind.DEVICE.value,
            _is_latest(),
            Coupon.source_namespace == CLAIM_NAMESPACE,
            # The day narrows it down by an index; the instant makes it exact.
            Coupon.issued_day >= business_date(since, zone_of(session)),
            Coupon.issued_at > since,
        )
        .group_by(RiskMark.mark)
        .having(sa.func.count() > rule.most)
    )
    return list(session.scalars(statement))


def _is_latest() -> sa.ColumnElement[bool]:
    newer = aliased(RiskMark)
    later = sa.or_(newer.seen_at > RiskMark.seen_at, sa.and_(newer.seen_at == RiskMark.seen_at, newer.id > RiskMark.id))
    return ~sa.exists().where(newer.member_id == RiskMark.member_id, newer.kind == RiskMark.kind, later)


def _hold_users(session: Session, rule: rules.VelocityRule, version: int, mark: str, now: datetime) -> int:
    scope, until = str(rules.SCOPE_OF[rule.way]), now + timedelta(days=rule.days)
    known = queries.held_by_rule(session, scope, rule.code, now)
    users = session.scalars(sa.select(RiskMark.member_id).where(RiskMark.mark == mark, _is_latest()).order_by(RiskMark.member_id))
    made = 0
    for member_id in [one for one in users if one not in known][:_MOST]:
        if not service.hold_member(session, member_id, scope, rule.code, until=until, now=now):
            continue
        refused = service.Refusal(rule.way, f"rule:{rule.code}", rule=rule.code, version=version, mark=mark)
        service.note_refused(session, member_id, refused, now=now)
        made += 1
    return made
