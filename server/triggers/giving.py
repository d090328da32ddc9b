"""Giving a rule's coupons for one happening, and taking one back. The gift's row is what makes each of them once only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.coupons import gift_queries
from server.coupons import queries as coupon_queries
from server.coupons import service as coupons
from server.coupons.errors import CouponNotAvailableError
from server.coupons.rules.states import CouponState
from server.kernel.actors import SystemActor
from server.kernel.db import insert_if_absent, update_where
from server.kernel.errors import DomainError
from server.kernel.ids import uuid7
from server.kernel.source import Source
from server.kernel.text import N_
from server.members import queries as members
from server.notifications import service as notifications
from server.notifications.coupon_templates import CouponReceived, CouponRevoked
from server.rosters import queries as rosters
from server.triggers.models import CouponTriggerGift
from server.triggers.queries import namespace_of
from server.triggers.rules import GiftState

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.coupons.queries import CouponView, TemplateView
    from server.triggers.queries import GiftView, RuleView

ACTOR = SystemActor("coupons.trigger")
ORDER_GONE, ORDER_SHRUNK, OTHER_BUYER, GIVEN_TWICE = "order_gone", "order_below_minimum", "order_of_another", "given_twice"
USED_BEFORE, NOT_ACTIVE = "used_before", "member_not_active"
# Said in the life of the coupon and in the audit trail.
WHY: dict[str, str] = {
    ORDER_GONE: N_("The order that earned it was called off or refunded"),
    ORDER_SHRUNK: N_("So much was refunded that the order no longer earns it"),
    OTHER_BUYER: N_("The order that earned it belongs to another member"),
    GIVEN_TWICE: N_("Given once for each person"),
}
_UNDER_WAY = "under_way"
_LEFT = "deleted"
_IN_USE = frozenset({CouponState.LOCKED.value, CouponState.REDEEMED.value})


@dataclass(frozen=True, slots=True)
class Occasion:
    """One happening.

    Arguments:
        member_id: who gets something for it.
        key: names it, whoever tells it and however often; at most 64 characters.
        occurred_at: when it happened, as it is told to the member.
        slot: what a member gets once only.
        order_id: the order that earns it.
        obstacle: why nothing may be given although it happened, or None.
    """

    member_id: UUID
    key: str
    occurred_at: datetime
    slot: str | None = None
    order_id: UUID | None = None
    obstacle: str | None = None


def give(session: Session, rule: RuleView, occasion: Occasion, *, now: datetime) -> int:
    """Give a rule's coupons for a happening, each once.

    One that cannot be had (sold out, budget used up, template paused) is written down with its reason and holds up none of the others.
    Who has left the membership gets nothing, and nothing is written down.

    Arguments:
        session: of an open transaction.
        rule: the version that gives.
        occasion: what happened.
        now: present instant.

    Returns:
        How many coupons were given.
    """
    member = members.find(session, occasion.member_id)
    if member is None or member.status == _LEFT:
        return 0  # nobody to give to, and nothing for staff to look at
    if rule.terms.segments and not rosters.memberships(session, occasion.member_id, rule.terms.segments):
        return 0  # not whom the rule is for
    obstacle = occasion.obstacle or (NOT_ACTIVE if member.status != "active" else None)
    given: list[CouponView] = []
    # Templates are never deleted, and their codes never change.
    found = (coupon_queries.template_by_code(session, code) for code in rule.terms.coupons)
    templates = [template for template in found if template is not None]
    coupons.hold_templates(session, [template.id for template in templates])
    for template in templates:
        coupon = _give_one(session, rule, occasion, template, obstacle, now)
        if coupon is not None:
            given.append(coupon)
    if given:
        first = min(given, key=lambda coupon: coupon.valid_until)
        message = CouponReceived(first.name, len(given), rule.name, first.valid_until)
        key = f"coupon_received:{rule.code}:{occasion.key}"
        notifications.request(session, occasion.member_id, message, key=key, now=now, occurred_at=occasion.occurred_at)
    return len(given)


def _give_one(
    session: Session, rule: RuleView, occasion: Occasion, template: TemplateView, obstacle: str | None, now: datetime
) -> CouponView | None:
    gift_id = uuid7()
    values = {
        "id": gift_id,
        "rule_id": rule.id,
        "rule_code": rule.code,
        "business_key": occasion.key,
        "template_id": template.id,
        "member_id": occasion.member_id,
        "slot": occasion.slot,
        "order_id": occasion.order_id,
        "state": GiftState.REFUSED.value,
        "problem": obstacle or _UNDER_WAY,
        "coupon_id": None,
        "given_at": now,
        "ended_at": None,
    }
    # First of all: whoever inserts this row gives, and anybody else waits here and then finds it.
    if not insert_if_absent(session, CouponTriggerGift, values) or obstacle is not None:
        return None
    source = Source(namespace_of(rule.code), f"{occasion.key}:{template.id.hex}")
    coupon: CouponView | None = None
    try:
        with session.begin_nested():
            coupon = coupons.issue(session, occasion.member_id, template.id, source=source, actor=ACTOR, now=now, reason=rule.name)
    except DomainError as refusal:
        changes: dict[str, Any] = {"problem": refusal.code[:40]}
    else:
        changes = {"state": GiftState.GIVEN.value, "problem": None, "coupon_id": coupon.id}
    update_where(session, sa.update(CouponTriggerGift).where(CouponTriggerGift.id == gift_id).values(**changes))
    return coupon


def in_use(session: Session, gift: GiftView, *, now: datetime) -> bool:
    """Tell whether a gift's coupon is redeemed or kept for an order."""
    if gift.coupon_id is None:
        return False
    return coupon_queries.find(session, gift_queries.in_place_of(session, gift.coupon_id), now=now).state in _IN_USE


def take_back(session: Session, gift: GiftView, why: str, *, tell: bool = True, now: datetime) -> GiftState:
    """Take a gift's coupon back, unless it is in use already: then it stays, and the gift says so.

    Arguments:
        session: of an open transaction that keeps others from this gift.
        gift: one that is given.
        why: a code of ``WHY``.
        tell: let the member know.
        now: present instant.

    Returns:
        What became of it.
    """
    if gift.coupon_id is None:
        return GiftState(gift.state)
    coupon, state = _void(session, gift.coupon_id, why, now)
    if coupon.state == CouponState.GIVEN:
        # A friend accepted it meanwhile: what the order earned is theirs now.
        coupon, state = _void(session, gift.coupon_id, why, now)
    update_where(
        session,
        sa.update(CouponTriggerGift)
        .where(CouponTriggerGift.id == gift.id, CouponTriggerGift.state == GiftState.GIVEN.value)
        .values(state=state.value, problem=why, ended_at=now),
    )
    if state is GiftState.REVOKED and tell:
        notifications.request(session, coupon.member_id, CouponRevoked(coupon.name, now), key=f"coupon_revoked:{coupon.id}", now=now)
    return state


def _void(session: Session, coupon_id: UUID, why: str, now: datetime) -> tuple[CouponView, GiftState]:
    """Void a coupon, or the one a friend has in its place; return it as it is then, and what became of the gift."""
    held = gift_queries.in_place_of(session, coupon_id)
    before = coupon_queries.find(session, held, now=now)
    state = GiftState.OVER if before.state == CouponState.VOIDED else GiftState.REVOKED
    if state is GiftState.REVOKED:
        try:
            with session.begin_nested():
                coupons.void(session, held, reason=WHY[why], actor=ACTOR, now=now)
        except CouponNotAvailableError as refusal:
            state = GiftState.KEPT if refusal.fields.get("state") in _IN_USE else GiftState.OVER
    return coupon_queries.find(session, held, now=now), state
