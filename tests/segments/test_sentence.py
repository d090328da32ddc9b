"""A rule reads as a sentence in both languages."""

from __future__ import annotations

import pytest

from server.segments.rules import Fact, Group, Rule
from server.segments.sentence import sentence
from tests.factories.segments import all_of, at_least, at_most, beyond, one_of, within

NAMES = {"gold": "金卡", "S-1": "静安店"}


@pytest.mark.parametrize(
    ("rule", "zh", "en"),
    [
        (all_of(one_of(Fact.TIER, "gold", "x")), "等级是金卡或x的会员。", "Members with tier 金卡 or x."),
        (
            all_of(at_least(Fact.PAID, 50_000, days=90), beyond(Fact.LAST_ORDER, 30)),
            "近90天实付金额至少500元且最近一次付款在30天以前的会员。",
            "Members with amount paid at least ¥500 in the last 90 days and the newest payment more than 30 days ago.",
        ),
        (
            Rule(
                (
                    Group((one_of(Fact.BIRTHDAY_MONTH, "6", "7"), within(Fact.JOINED, 7)), "any"),
                    Group((one_of(Fact.STORE, "S-1"),), negated=True),
                )
            ),
            "（生日月份是6月或7月或入会在7天内），且不满足「在静安店买过」的会员。",
            "Members with (birthday month June or July or joining within 7 days), and not (something bought at 静安店).",
        ),
        (
            Rule((Group((at_most(Fact.ORDERS, 3, negated=True),)), Group((one_of(Fact.GENDER, "female", negated=True),))), "any"),
            "付款订单多于3笔，或性别不是女的会员。",
            "Members with paid orders more than 3, or gender other than female.",
        ),
        (
            all_of(
                one_of(Fact.CHANNEL, "mall", negated=True, days=5),
                at_least(Fact.COUPONS, 2, negated=True),
                within(Fact.JOINED, 3, negated=True),
            ),
            "近5天没有在mall买过且持有优惠券少于2张且入会不在3天内的会员。",
            "Members with nothing bought at mall in the last 5 days and coupons held less than 2 and joining not within 3 days.",
        ),
    ],
)
def test_it_says_what_the_rule_says(rule, zh, en):
    assert sentence(rule, "zh", NAMES) == zh
    assert sentence(rule, "en", NAMES) == en
