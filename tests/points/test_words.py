"""Rules and traces in words: what members and staff read, in both languages."""

from __future__ import annotations

import pytest

from server.kernel.ids import uuid7
from server.points.rules import (
    EarningContext,
    EarningLine,
    Given,
    MultiplierRule,
    PerAmountRule,
    Rounding,
    RuleRef,
    Scope,
    order_points,
    read_rule,
    sentence,
    why_entry,
    why_line,
)

REF = RuleRef(uuid7(), "r", 1)
NAMES = {"purchase": "消费积分", "day": "会员日", "tea": "茶"}


@pytest.mark.parametrize(
    ("kind", "document", "zh", "en"),
    [
        (
            "per_amount",
            {"fen_per_point": 100, "except_stores": ["A"], "max_points_per_day": 100},
            "每消费1元得1分，门店A除外，每天最多100分。",
            "1 point for every ¥1; not in stores A; at most 100 points a day.",
        ),
        (
            "per_amount",
            {"fen_per_point": 250, "channels": ["till"], "min_order_fen": 9900, "rounding": "half_up", "by_line": True, "stacks": True,
             "max_points_per_member": 5, "max_points_in_all": 9, "use_tier_multiplier": False, "use_campaigns": False},
            "每消费2.5元得1分，限渠道till，订单满99元，按行四舍五入，每人累计最多5分，总预算9分，不计等级倍数，不参加积分倍数活动，在其他规则之外另加。",
            ("1 point for every ¥2.5; on channels till; orders of ¥99 or more; rounded half up for each line; at most 5 points for each member in "
            "all; at most 9 points for all members together; the tier does not multiply; campaigns do not multiply; on top of other rules."),
        ),
        (
            "multiplier",
            {"percent": 150, "weekdays": [3], "month_days": [8], "tiers": ["gold"], "compounds": True},
            "每周三、每月8日积分1.5倍，限会员等级gold，与其他倍数相乘。",
            "1.5 times the points on Wednesdays and on day 8 of the month; for tiers gold; multiplies on top of other campaigns.",
        ),
        (
            "event",
            {"event": "ticket_rated", "points": 5, "max_times_per_day": 2, "pending_days": 3},
            "评价客服答复得5分，每天最多2次，3天后到账。",
            "5 points for rating an answer; at most 2 times a day; available after 3 days.",
        ),
        ("event", {"event": "sign_up", "points": 50}, "注册成为会员得50分，每人一次。", "50 points for joining; once for each member."),
        (
            "check_in",
            {"points": 2, "streak_bonus": {"7": 10}, "cycle_days": 30},
            "每天签到得2分，连续7天另加10分，每30天重新开始。",
            "2 points a day for checking in; 10 more after 7 days in a row; starts again after 30 days.",
        ),
    ],
)  # fmt: skip
def test_a_rule_is_told_in_one_sentence(kind, document, zh, en):
    rule = read_rule(kind, document, REF)
    assert (sentence(rule, "zh"), sentence(rule, "en")) == (zh, en)


def earned(*basis, **more):
    rules = [
        PerAmountRule(
            RuleRef(uuid7(), "purchase", 2), 100, rounding=Rounding.HALF_UP, max_points_in_all=50, scope=Scope(except_skus=frozenset("c"))
        ),
        MultiplierRule(RuleRef(uuid7(), "day", 1), 300, scope=Scope(skus=frozenset("a"))),
    ]
    lines = [EarningLine(number, sku, None, fen) for number, (sku, fen) in enumerate(zip("abcd", basis, strict=False), start=1)]
    return order_points(EarningContext(lines, rules, 125, **more)).details


def test_an_entry_says_why_so_many_and_each_line_why_so_many_or_none():
    details = earned(1000, 1000, 1000, 0)
    assert why_entry(details, "zh", NAMES) == [
        "第3行：不在「消费积分」范围内",
        "第4行：没有实付金额，不计积分",
        "「消费积分」第1、2行实付20元，每1元1分，等级1.25倍，第1行「会员日」3倍，按单四舍五入：50分",
    ]
    assert why_entry(details, "en", {})[2] == (
        "“purchase”: ¥20 paid for lines 1, 2, 1 point for every ¥1, 1.25 times by tier, 3 times by “day” on line 1, "
        "rounded half up for each order: 50 points"
    )
    assert why_line(details, 2, 12, "zh", NAMES) == ["「消费积分」每1元1分，等级1.25倍，按单四舍五入"]
    assert why_line(details, 3, 0, "en", NAMES) == ["left out by “消费积分”"]
    capped = earned(1000, 2000, given=Given(in_all={"purchase": 50}))
    assert why_entry(capped, "zh", NAMES)[0].endswith("：0分，本应得63分，已达活动总预算50分")
    assert why_line(capped, 1, 0, "en", NAMES) == ["“消费积分”: the campaign's budget of 50 points was reached"]
    assert why_line(earned(10), 1, 0, "zh", NAMES) == ["「消费积分」不足1分"]


def test_what_older_entries_and_other_kinds_left_is_read_too():
    old = {
        "rule": "purchase",
        "version": 1,
        "basis_fen": 100,
        "fen_per_point": 1,
        "lines": [1],
        "points": 5,
        "why": "daily_cap",
        "before_cap": 9,
        "cap": 5,
    }
    assert why_entry({"why": [old]}, "en", {}) == [
        "“purchase”: ¥1 paid for line 1, 1 point for every ¥0.01: 5 points; 9 before the day's cap of 5 points was reached"
    ]
    assert why_entry({"why": [{"rule": "c", "version": 1, "streak_days": 7, "points": 12}]}, "zh", {"c": "签到"}) == [
        "「签到」连续签到第7天：12分"
    ]
    assert why_entry({"why": [{"rule": "e", "version": 1, "event": "first_order", "points": 1}]}, "en", {}) == [
        "“e”: the first order: 1 point"
    ]
    assert why_entry({"policy": "negative", "owed": 8}, "zh", {}) == ["余额不足，8分记为欠分"]
    assert why_entry(None, "zh", {}) == []
