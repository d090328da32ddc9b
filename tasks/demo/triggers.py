"""Automatic coupons of the demonstration: a welcome, coupons that orders earn, winning back, and what became of them.

The history is made by the very verbs that the news calls, each at the instant of its fact. When the events themselves are delivered later,
their coupons are there.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.coupons import queries as coupons
from server.coupons import service as coupon_service
from server.coupons.rules.terms import Kind, Limits, TemplateDraft, Validity
from server.coupons.rules.terms import Terms as CouponTerms
from server.flows import intake
from server.kernel.clock import end_of_day, start_of_day
from server.kernel.db import zone_of
from server.kernel.outbox import OutboxEvent
from server.kernel.pagination import PageRequest
from server.members import queries as members
from server.orders import purchases
from server.orders import queries as orders
from server.orders.drafts import OrderEvent
from server.triggers import queries, service
from server.triggers.rules import Terms, TriggerKind, lapse_days_to_do
from server.triggers.service import RuleDraft
from tasks.demo.notifications import send_waiting

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.triggers.queries import GiftView
    from tasks.demo import DemoContext

_WELCOME_DAYS, _ORDER_DAYS, _BACK_DAYS = 25, 24, 8
_LAPSE_DAYS, _REACH_DAYS = 30, 10
_REDEEMED_SHARE = 0.3
_MOST_ORDERS = 150
_FACTS = ("orders.paid", "orders.attached")


def _templates() -> list[TemplateDraft]:
    return [
        TemplateDraft(
            "welcome-15",
            CouponTerms(
                "新人见面礼 满99减15",
                Kind.AMOUNT_OFF,
                amount_off_fen=1500,
                threshold_fen=9900,
                exclusion_group="welcome",
                description="登录入会即送，每人一张。",
            ),
            Validity(days=30),
            Limits(stock=20_000),
            claim_centre=False,
        ),
        TemplateDraft(
            "next-20",
            CouponTerms(
                "下次用券 满100减20",
                Kind.AMOUNT_OFF,
                amount_off_fen=2000,
                threshold_fen=10000,
                exclusion_group="next",
                description="消费满200元返一张，下次使用。",
            ),
            Validity(days=30),
            Limits(per_member=None, budget_fen=200_000),
            claim_centre=False,
        ),
        TemplateDraft(
            "miss-you-30",
            CouponTerms(
                "好久不见 满150减30",
                Kind.AMOUNT_OFF,
                amount_off_fen=3000,
                threshold_fen=15000,
                exclusion_group="back",
                description="欢迎回来，全场通用。",
            ),
            Validity(days=14),
            Limits(stock=5, per_member=None),
            claim_centre=False,
        ),
    ]


def _rules() -> list[tuple[int, RuleDraft]]:
    return [
        (_WELCOME_DAYS, RuleDraft("welcome", TriggerKind.WELCOME, "新人见面礼", Terms(("welcome-15",)), "拉新活动")),
        (
            _ORDER_DAYS,
            RuleDraft("next-order", TriggerKind.ORDER, "满200送20", Terms(("next-20",), min_paid_fen=20_000), "提升复购"),
        ),
        (
            _BACK_DAYS,
            RuleDraft(
                "miss-you",
                TriggerKind.WIN_BACK,
                "好久不见",
                Terms(("miss-you-30",), lapse_days=_LAPSE_DAYS, back_days=_REACH_DAYS),
                "唤醒沉睡会员",
            ),
        ),
    ]


def load(session: Session, demo: DemoContext) -> None:
    """Write the rules, unless there are any, and let them have given since."""
    if queries.newest(session):
        return
    began = demo.now - timedelta(days=_WELCOME_DAYS + 1)
    for template in _templates():
        template_id = coupon_service.create_template(session, template, actor=demo.actor, now=began)
        coupon_service.publish_template(session, template_id, actor=demo.actor, now=began)
    for days, rule in _rules():
        service.save_rule(session, rule, actor=demo.staff("operations"), now=demo.now - timedelta(days=days))
    _welcome(session, demo)
    _orders(session, demo)
    _win_back(session, demo)
    _redeem(session, demo)
    _refund(session, demo)


def _welcome(session: Session, demo: DemoContext) -> None:
    for member_id in demo.members:
        joined_at = members.require(session, member_id).joined_at
        at = joined_at + timedelta(minutes=1)
        if at < demo.now and service.welcome(session, member_id, occurred_at=joined_at, now=at):
            send_waiting(session, demo, member_id, at)


def _orders(session: Session, demo: DemoContext) -> None:
    wanted = sa.select(OutboxEvent.aggregate_id).where(OutboxEvent.topic.in_(_FACTS), OutboxEvent.occurred_at <= demo.now).distinct()
    paid = []
    for order_id in session.scalars(wanted).all():
        order = purchases.purchase(session, order_id)
        if order is not None and order.paid_at is not None and order.paid_at >= demo.now - timedelta(days=_ORDER_DAYS):
            paid.append((order.paid_at, order_id))
    for paid_at, order_id in sorted(paid):
        at = paid_at + timedelta(minutes=1)
        if at < demo.now and service.settle_order(session, order_id, now=at):
            send_waiting(session, demo, _owner(session, order_id), at)


def _owner(session: Session, order_id: UUID) -> UUID:
    return queries.gifts_of_order(session, order_id)[-1].member_id


def _win_back(session: Session, demo: DemoContext) -> None:
    """Do each day what the job would have done on it; the last of them found the stock gone."""
    (rule,) = queries.newest(session, kind=TriggerKind.WIN_BACK)
    zone = zone_of(session)
    for number in range(_BACK_DAYS):
        at = rule.created_at + timedelta(days=number, hours=1)
        for day in lapse_days_to_do(rule.terms, rule.created_at, queries.done_until(session, rule.code), at, zone):
            for last in purchases.last_bought(session, start_of_day(day, zone), end_of_day(day, zone)):
                if service.win_back(session, rule, last, now=at):
                    send_waiting(session, demo, last.member_id, at)
            service.finish_day(session, rule.code, day, now=at)


def _redeem(session: Session, demo: DemoContext) -> None:
    for gift in _given(session):
        coupon = coupons.find(session, gift.coupon_id, now=demo.now) if gift.coupon_id else None
        if coupon is None or coupon.state != "issued" or demo.rng.random() >= _REDEEMED_SHARE:
            continue
        basket_fen = coupon.terms.threshold_fen + demo.rng.randrange(0, 20_000, 100)
        at = gift.given_at + (demo.now - gift.given_at) * demo.rng.uniform(0.2, 0.9)
        coupon_service.redeem(
            session,
            coupon.id,
            channel="store",
            external_no=f"auto-{coupon.code}",
            discount_fen=coupon.terms.amount_off_fen,
            sales_fen=basket_fen - coupon.terms.amount_off_fen,
            actor=demo.actor,
            now=at,
        )


def _refund(session: Session, demo: DemoContext) -> None:
    """Refund an order whose coupon was used, which stays and is listed, and one whose coupon was not."""
    at = demo.now - timedelta(hours=2)
    chosen: dict[bool, GiftView] = {}
    for gift in _given(session):
        if gift.order_id is not None and gift.coupon_id is not None:
            chosen[coupons.find(session, gift.coupon_id, now=at).state == "redeemed"] = gift
    for place, gift in enumerate(chosen.values()):
        order = orders.find(session, gift.order_id) if gift.order_id else None
        if order is not None:
            event = OrderEvent(event_id=f"auto-refund-{place}", kind="refunded", occurred_at=at, refund_id=f"auto-R-{place}")
            intake.record_event(session, order.channel, order.external_no, event, actor=demo.actor, now=at)
            service.settle_order(session, order.id, now=_later(at))
            send_waiting(session, demo, gift.member_id, _later(at))


def _later(at: datetime) -> datetime:
    return at + timedelta(minutes=1)


def _given(session: Session) -> list[GiftView]:
    return list(reversed(queries.gifts(session, PageRequest(_MOST_ORDERS), state="given").items))
