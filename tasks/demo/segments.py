"""Segments of the demonstration: three that a shop begins with, their lists built, and a coupon for the members of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.coupons import queries as coupons
from server.coupons import service as coupon_service
from server.coupons.rules.terms import Kind, Limits, Scope, TemplateDraft, Validity
from server.coupons.rules.terms import Terms as CouponTerms
from server.segments import queries, service
from server.segments.rules import Condition, Fact, Group, Rule, Test

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

_LAPSED = Rule((Group((Condition(Fact.ORDERS, Test.AT_LEAST, number=1), Condition(Fact.LAST_ORDER, Test.BEYOND, number=14))),))
_REGULARS = Rule((Group((Condition(Fact.PAID, Test.AT_LEAST, number=50_000, days=90), Condition(Fact.ORDERS, Test.AT_LEAST, number=3))),))
_NEW = Rule((Group((Condition(Fact.JOINED, Test.WITHIN, number=30), Condition(Fact.ORDERS, Test.AT_MOST, number=0))),))
SEGMENTS = (
    ("regulars", "90天高消费老客", _REGULARS, "门店常客，季度维护"),
    ("lapsed", "沉睡老客", _LAPSED, "唤醒活动的人群"),
    ("newcomers", "新会员未下单", _NEW, "促首单"),
)
_COUPON = "regulars-30"


def load(session: Session, demo: DemoContext) -> None:
    """Write the segments, build their lists, and publish the coupon; loading them twice changes nothing."""
    known = queries.names(session)
    for code, name, rule, reason in SEGMENTS:
        if code not in known:
            service.save(session, service.SegmentDraft(code, name, rule, reason), actor=demo.actor, now=demo.now)
        while service.build_step(session, code, now=demo.now):
            pass
    if coupons.template_by_code(session, _COUPON) is None:
        terms = CouponTerms(
            "老客专享 满200减30",
            Kind.AMOUNT_OFF,
            amount_off_fen=3000,
            threshold_fen=20_000,
            scope=Scope(segments=("regulars",)),
            description="仅限受邀会员领取。",
        )
        draft = TemplateDraft(_COUPON, terms, Validity(days=14), Limits(stock=2000))
        template_id = coupon_service.create_template(session, draft, actor=demo.actor, now=demo.now)
        coupon_service.publish_template(session, template_id, actor=demo.actor, now=demo.now)
