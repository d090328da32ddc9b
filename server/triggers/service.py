"""What gives coupons by itself, and what takes them back. Every verb may be called any number of times, in any order of the news."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.kernel.clock import business_date
from server.kernel.db import insert_if_absent, update_where, zone_of
from server.members import queries as members
from server.orders import purchases
from server.orders import service as orders
from server.risk import service as risk
from server.risk.rules import Way
from server.tiers import queries as tiers
from server.triggers import giving, queries
from server.triggers.giving import Occasion
from server.triggers.models import CouponTriggerGift, CouponTriggerMark
from server.triggers.rulebook import RuleDraft, draft_of, save_rule, set_enabled
from server.triggers.rules import EarningOrder, GiftState, TriggerKind, earns, in_force

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.orders.purchases import LastPurchase, Purchase
    from server.triggers.queries import GiftView, RuleView

__all__ = [
    "RuleDraft",
    "draft_of",
    "finish_day",
    "merge_members",
    "reach_tier",
    "save_rule",
    "set_enabled",
    "settle_order",
    "welcome",
    "win_back",
]

# Who came by themselves; a record that a till or an import made knows nothing of it.
_JOINED_THEMSELVES = "wechat"
_ONCE = "once"
_ATTACHED = "-attached"


def welcome(session: Session, enrolled_id: UUID, *, occurred_at: datetime, now: datetime) -> int:
    """Give what there is for joining to somebody who joined by logging in, once in their life.

    Arguments:
        session: of a transaction of its own.
        enrolled_id: the record that was made; a merge may have ended it meanwhile, and then the survivor gets it.
        occurred_at: when they joined; the rules that held then give.
        now: present instant.

    Returns:
        How many coupons were given; none to who is held by risk control.
    """
    rules = queries.holding(session, TriggerKind.WELCOME, occurred_at)
    enrolled = members.find(session, enrolled_id) if rules else None
    if enrolled is None or enrolled.joined_via != _JOINED_THEMSELVES:
        return 0
    member_id = members.resolve(session, enrolled_id, hold=True)
    if member_id is None:
        return 0
    occasion = Occasion(member_id, enrolled_id.hex, occurred_at, slot=_ONCE)
    if all(queries.has_slot(session, rule.code, member_id, _ONCE) for rule in rules):
        return 0
    if risk.ask(session, member_id, Way.WELCOME, now=now, once_key=f"welcome:{enrolled_id}") is not None:
        # Nothing is written down here, so that after a release the same call gives it.
        return 0
    return _give_once(session, rules, occasion, now)


def reach_tier(session: Session, change_id: UUID, *, now: datetime) -> int:
    """Give what there is for a tier that growth reached, once for each period that begins with it.

    Arguments:
        session: of a transaction of its own.
        change_id: of the tier's change; one that was no upgrade by growth gives nothing.
        now: present instant.

    Returns:
        How many coupons were given.
    """
    reached = tiers.upgrade(session, change_id)
    if reached is None:
        return 0
    rules = queries.holding(session, TriggerKind.TIER_UP, reached.occurred_at)
    rules = [rule for rule in rules if not rule.terms.tiers or reached.tier_code in rule.terms.tiers]
    member_id = members.resolve(session, reached.member_id, hold=True) if rules else None
    if member_id is None:
        return 0
    slot = f"{reached.tier_code}:{business_date(reached.occurred_at, zone_of(session))}"
    occasion = Occasion(member_id, change_id.hex, reached.occurred_at, slot=slot)
    return _give_once(session, rules, occasion, now)


def _give_once(session: Session, rules: list[RuleView], occasion: Occasion, now: datetime) -> int:
    slot = occasion.slot or occasion.key
    free = [rule for rule in rules if not queries.has_slot(session, rule.code, occasion.member_id, slot)]
    return sum(giving.give(session, rule, occasion, now=now) for rule in free)


def settle_order(session: Session, order_id: UUID, *, now: datetime) -> int:
    """Bring the coupons an order earns to what the order asks for, as it stands now.

    Arguments:
        session: of a transaction of its own.
        order_id: the order whose news came: paid, called off, refunded or given to a member.
        now: present instant.

    Returns:
        How many coupons were given.

    Raises:
        OrderNotFoundError: there is no such order.
    """
    versions = queries.versions(session, kind=TriggerKind.ORDER)
    if not versions:
        return 0
    # The member before the order, as intake and receipts do; the order's row makes all news of one order follow each other.
    buyer = purchases.buyer_of(session, order_id)
    if buyer is not None:
        members.resolve(session, buyer, hold=True)
    orders.hold(session, order_id)
    order = purchases.purchase(session, order_id)
    if order is None:
        return 0
    owner = members.resolve(session, order.member_id, hold=True) if order.member_id is not None else None
    facts = EarningOrder(order.channel, order.store, order.paid_at, order.goods_left_fen, order.gone)
    before = queries.gifts_of_order(session, order_id)
    _take_back(session, before, facts, owner, now)
    if owner is None or order.paid_at is None:
        return 0
    given = 0
    for rule in in_force(versions, order.paid_at):
        if earns(rule.terms, facts):
            given += _give_for(session, rule, order, owner, now)
    return given


def _take_back(session: Session, gifts: list[GiftView], order: EarningOrder, owner: UUID | None, now: datetime) -> None:
    live = [gift for gift in gifts if gift.state == GiftState.GIVEN]
    rules = queries.by_ids(session, [gift.rule_id for gift in live])
    for gift in live:
        if order.gone:
            why = giving.ORDER_GONE
        elif members.resolve(session, gift.member_id) != owner:
            why = giving.OTHER_BUYER
        elif order.goods_left_fen < rules[gift.rule_id].terms.min_paid_fen:
            # Of the version that gave: what staff changed since takes nothing from anybody.
            why = giving.ORDER_SHRUNK
        else:
            continue
        giving.take_back(session, gift, why, now=now)


def _give_for(session: Session, rule: RuleView, order: Purchase, owner: UUID, now: datetime) -> int:
    # One that was given to its buyer later may have earned for another record before.
    key = order.id.hex if order.attached_at is None else f"{order.id.hex}{_ATTACHED}"
    gifts = [gift for gift in queries.gifts_of_order(session, order.id) if gift.rule_code == rule.code]
    if any(gift.business_key == key for gift in gifts):
        return 0
    # An order earns one coupon in all: what the other record has used is not given again.
    used = any(gift.state == GiftState.KEPT for gift in gifts)
    occasion = Occasion(owner, key, order.paid_at or now, order_id=order.id, obstacle=giving.USED_BEFORE if used else None)
    return giving.give(session, rule, occasion, now=now)


def win_back(session: Session, rule: RuleView, last: LastPurchase, *, now: datetime) -> int:
    """Give a rule's coupons to a member who has not bought since an order, once for that order.

    Arguments:
        session: of a transaction of its own.
        rule: the version that holds now.
        last: their newest paid order.
        now: present instant.

    Returns:
        How many coupons were given.
    """
    member_id = members.resolve(session, last.member_id, hold=True)
    if member_id is None:
        return 0
    occasion = Occasion(member_id, last.order_id.hex, now)
    return giving.give(session, rule, occasion, now=now)


def finish_day(session: Session, code: str, day: date, *, now: datetime) -> None:
    """Note that everybody whose newest order lies on a day, or before it, had what a rule gives for staying away."""
    if insert_if_absent(session, CouponTriggerMark, {"rule_code": code, "done_until": day, "updated_at": now}):
        return
    behind = (CouponTriggerMark.rule_code == code, CouponTriggerMark.done_until < day)
    update_where(session, sa.update(CouponTriggerMark).where(*behind).values(done_until=day, updated_at=now))


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> int:
    """Move the gifts of a record that was joined into another; what both had once only is taken back once, as far as it is there.

    Arguments:
        session: of the merge's transaction, which holds both records and has moved their coupons.
        from_id: the record that ends.
        into_id: the record that stays.
        now: present instant.

    Returns:
        How many gifts were moved.
    """
    mine, theirs = _slots(session, into_id), _slots(session, from_id)
    for slot in sorted(mine.keys() & theirs.keys()):
        _keep_one(session, mine[slot], theirs[slot], now)
    owner = CouponTriggerGift.member_id
    return update_where(session, sa.update(CouponTriggerGift).where(owner == from_id).values(member_id=into_id))


def _slots(session: Session, member_id: UUID) -> dict[tuple[str, str], list[GiftView]]:
    rows = session.execute(
        sa.select(CouponTriggerGift.slot, *queries.GIFT_COLUMNS)
        .where(CouponTriggerGift.member_id == member_id, CouponTriggerGift.slot.is_not(None))
        .order_by(CouponTriggerGift.id)
    )
    found: dict[tuple[str, str], list[GiftView]] = {}
    for slot, *columns in rows:
        gift = queries.GiftView(*columns)
        found.setdefault((gift.rule_code, slot), []).append(gift)
    return found


def _keep_one(session: Session, mine: list[GiftView], theirs: list[GiftView], now: datetime) -> None:
    """Of two gifts of one slot let the survivor's stay; the other one where the survivor's was refused, or only the other is in use."""
    had = any(gift.state != GiftState.REFUSED for gift in mine)
    kept, lost = (mine, theirs) if had else (theirs, mine)
    update_where(session, sa.update(CouponTriggerGift).where(CouponTriggerGift.id.in_([gift.id for gift in lost])).values(slot=None))
    for gift in lost:
        if gift.state != GiftState.GIVEN:
            continue
        twin = next((one for one in kept if one.template_id == gift.template_id and one.state == GiftState.GIVEN), None)
        spare = twin is not None and giving.in_use(session, gift, now=now) and not giving.in_use(session, twin, now=now)
        giving.take_back(session, twin if twin is not None and spare else gift, giving.GIVEN_TWICE, tell=False, now=now)
