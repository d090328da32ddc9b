"""Growth out of orders, the gift for an upgrade, and everything a member is entitled to: what tiers need of the domains beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.campaigns import queries as campaigns
from server.coupons import queries as coupon_queries
from server.coupons import service as coupons
from server.kernel.actors import SystemActor
from server.kernel.amounts import Points
from server.kernel.clock import business_date
from server.kernel.db import insert_if_absent, zone_of
from server.kernel.errors import DomainError
from server.kernel.ids import uuid7
from server.kernel.source import Source
from server.kernel.text import N_
from server.members import queries as members
from server.orders.models import Order, OrderLine
from server.points import service as points
from server.tiers import queries as tiers
from server.tiers import service as tiers_service
from server.tiers.models import GrowthOrder, TierGift
from server.tiers.qualifying import HISTORY_DAYS
from server.tiers.service import OrderFacts

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_ACTOR = SystemActor("tiers")
_NAMESPACE = "tiers"
GIFT_REASON = N_("Gift for reaching a new tier")
# Templates shown on the benefits page.
_MOST_COUPONS = 20


def settle_order(session: Session, order_id: UUID, *, now: datetime) -> int:
    """Bring an order's growth to what its facts ask for; any number of times and in any order of its news.

    Returns:
        How many entries were written; none while it is unpaid, or nobody's we know.
    """
    return tiers_service.settle_orders(session, _facts(session, Order.id == order_id), now=now)


def hand_over(session: Session, order_id: UUID, from_id: UUID, *, now: datetime) -> None:
    """Move what an order has brought from the record that had it to the member it belongs to now.

    Arguments:
        session: of the transaction that gave the order to the member.
        order_id: the order.
        from_id: the record that had it.
        now: present instant.
    """
    for facts in _facts(session, Order.id == order_id):
        tiers_service.hand_over_order(session, facts, from_id, now=now)


def build(session: Session, now: datetime, limit: int = 500) -> int:
    """Work out the growth of stored orders that have none yet: a history that was taken in without news, or news that was lost.

    Arguments:
        session: of a transaction of its own.
        now: present instant.
        limit: orders at most, the first to be paid first.

    Returns:
        How many orders were worked out; none while no rule is published.
    """
    if not tiers.rule_holds(session):
        return 0
    seen = sa.select(GrowthOrder.order_id).where(GrowthOrder.order_id == Order.id).exists()
    wanted = (
        sa.select(Order.id).where(Order.member_id.is_not(None), Order.paid_at.is_not(None), sa.not_(seen)).order_by(Order.id).limit(limit)
    )
    ids = list(session.scalars(wanted))
    if not ids:
        return 0
    facts = _facts(session, Order.id.in_(ids))
    tiers_service.settle_orders(session, facts, now=now)
    return len(ids)


def _facts(session: Session, wanted: sa.ColumnElement[bool]) -> list[OrderFacts]:
    paid = sa.func.coalesce(sa.func.sum(OrderLine.paid_fen), 0).label("paid_fen")
    back = sa.func.coalesce(sa.func.sum(OrderLine.refunded_fen), 0).label("refunded_fen")
    columns: tuple[Any, ...] = (Order.id, Order.order_no, Order.member_id, Order.paid_at, Order.taken_in_at, Order.state)
    rows = session.execute(
        sa.select(*columns, paid, back)
        .outerjoin(OrderLine, OrderLine.order_id == Order.id)
        .where(wanted, Order.member_id.is_not(None), Order.paid_at.is_not(None))
        .group_by(*columns)
        .order_by(Order.paid_at, Order.id)
    )
    return [
        OrderFacts(
            order_id=row.id,
            order_no=row.order_no,
            member_id=row.member_id,
            paid_at=row.paid_at,
            paid_fen=int(row.paid_fen),
            refunded_fen=int(row.refunded_fen),
            whole=row.state in {"cancelled", "refunded"},
            history=row.taken_in_at - row.paid_at > timedelta(days=HISTORY_DAYS),
        )
        for row in rows
    ]


def give_upgrade_gift(session: Session, change_id: UUID, *, now: datetime) -> bool:
    """Give a member what the tier they reached gives, once for each period that begins with it.

    A coupon that cannot be had (sold out, paused) is noted and does not hold up the points.

    Arguments:
        session: of a transaction of its own.
        change_id: the upgrade.
        now: present instant.

    Returns:
        False when the change was no upgrade by growth, the tier gives nothing, or the member had it.
    """
    reached = tiers.upgrade(session, change_id)
    if reached is None or not (reached.perks.upgrade_points or reached.perks.upgrade_coupon):
        return False
    member_id = members.resolve(session, reached.member_id)
    member = members.find(session, member_id) if member_id is not None else None
    if member is None or member_id is None or member.status != "active":
        return False
    day = business_date(reached.occurred_at, zone_of(session))
    gift_id = uuid7()
    values = {
        "id": gift_id,
        "member_id": member_id,
        "tier_id": reached.tier_id,
        "reached_on": day,
        "change_id": change_id,
        "points": reached.perks.upgrade_points,
        "entry_id": None,
        "coupon_id": None,
        "coupon_problem": None,
        "given_at": now,
    }
    # First of all: whoever inserts this row gives, and anybody else waits here and then finds it.
    if not insert_if_absent(session, TierGift, values):
        return False
    source = Source(_NAMESPACE, f"gift:{change_id}")
    entry_id = None
    if reached.perks.upgrade_points:
        entry_id = points.accrue(
            session,
            member_id,
            Points(reached.perks.upgrade_points),
            source=source,
            reason=GIFT_REASON,
            actor=_ACTOR,
            now=now,
            expires_at=tiers.points_until(session, reached.perks, business_date(now, zone_of(session))),
            details={"why": [{"policy": "tier_gift", "tier": reached.tier_name, "points": reached.perks.upgrade_points}]},
        ).id
    coupon_id, problem = _coupon(session, member_id, reached.perks.upgrade_coupon, source, now)
    session.execute(
        sa.update(TierGift)
        .where(TierGift.id == gift_id)
        .values(entry_id=entry_id, coupon_id=coupon_id, coupon_problem=problem)
        .execution_options(synchronize_session=False)
    )
    return True


def _coupon(session: Session, member_id: UUID, code: str | None, source: Source, now: datetime) -> tuple[UUID | None, str | None]:
    if code is None:
        return None, None
    template = coupon_queries.template_by_code(session, code)
    if template is None:
        return None, "coupon_template_not_found"
    try:
        with session.begin_nested():
            issued = coupons.issue(session, member_id, template.id, source=source, actor=_ACTOR, now=now, reason=GIFT_REASON)
    except DomainError as refusal:
        return None, refusal.code[:40]
    return issued.id, None


@dataclass(frozen=True, slots=True)
class Entitlement:
    """One thing a member is entitled to now, and why.

    Arguments:
        kind: as ``tiers.queries.Benefit``, and ``birthday_points`` (``value``), ``birthday_coupon`` and ``exclusive_coupon``
            (``text`` is the coupon's name).
        text: a msgid, a name, or the staff's own words.
        value: a number, where the kind has one.
        why: ``tier`` (this tier has it), ``everyone`` (every member has it) or ``assigned`` (the tier itself was given by hand).
    """

    kind: str
    text: str
    value: int | None
    why: str


def entitlements(session: Session, member_id: UUID, *, now: datetime) -> Sequence[Entitlement]:
    """Return everything a member is entitled to now, each with its reason."""
    tier = tiers.of_member(session, member_id)
    by_hand = "assigned" if tiers.given_by_hand(session, member_id) else "tier"
    lowest = tiers.definitions(session)[:1]
    everyone = {text for one in lowest for text in one.benefits}
    found = []
    for one in tiers.benefits(session, member_id):
        text = one.text
        if one.kind == "upgrade_coupon":
            template = coupon_queries.template_by_code(session, one.text)
            if template is None:
                continue
            text = template.name
        found.append(Entitlement(one.kind, text, one.value, "everyone" if one.kind == "text" and text in everyone else by_hand))
    policy = campaigns.birthday_policy(session)
    if policy.enabled and policy.points_for(tier.code):
        found.append(
            Entitlement("birthday_points", "", policy.points_for(tier.code), by_hand if tier.code in policy.points_by_tier else "everyone")
        )
    if policy.enabled and policy.coupon_code is not None:
        template = coupon_queries.template_by_code(session, policy.coupon_code)
        if template is not None:
            found.append(Entitlement("birthday_coupon", template.name, None, "everyone"))
    offers = coupon_queries.claimable(session, member_id, now, tier=tier.code)
    exclusive = [one for one in offers if tier.code in one.template.draft.terms.scope.tiers]
    found += [Entitlement("exclusive_coupon", one.template.name, None, by_hand) for one in exclusive[:_MOST_COUPONS]]
    return found
