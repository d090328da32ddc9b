"""What a rule may say, which version holds, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from server.triggers.rules import Terms, TriggerKind, began_at, in_force
from server.triggers.sentence import sentence

AT = datetime(2026, 6, 15, tzinfo=UTC)


@dataclass(frozen=True)
class AVersion:
    code: str
    version: int
    enabled: bool
    created_at: datetime
    valid_from: datetime | None = None
    valid_until: datetime | None = None


def hours(number: float) -> datetime:
    return AT + timedelta(hours=number)


def test_the_version_that_held_gives_unless_the_rule_is_paused_since():
    first, second = AVersion("a", 1, True, hours(0)), AVersion("a", 2, True, hours(2))
    other = AVersion("b", 1, True, hours(0), valid_from=hours(1), valid_until=hours(3))
    assert in_force([second, first, other], hours(-1)) == []
    assert in_force([second, first, other], hours(1)) == [first, other]
    assert in_force([second, first, other], hours(3)) == [second]
    paused = AVersion("a", 3, False, hours(9))
    assert in_force([second, first, paused], hours(3)) == []
    # Published again, what happened in the pause still gives nothing.
    again = AVersion("a", 4, True, hours(12))
    assert in_force([again, second, first, paused], hours(10)) == []
    assert in_force([again, second, first, paused], hours(3)) == [second]


def test_a_rule_began_with_the_first_version_after_its_last_pause():
    one, pause, two, three = (AVersion("a", number, number != 2, hours(number)) for number in (1, 2, 3, 4))
    assert began_at([one]) == hours(1)
    assert began_at([three, one, two, pause]) == hours(3)
    assert began_at([one, pause]) is None


@pytest.mark.parametrize(
    ("kind", "terms", "wrong"),
    [
        (TriggerKind.WELCOME, Terms(("a",)), []),
        (TriggerKind.WELCOME, Terms(()), ["coupons"]),
        (TriggerKind.WELCOME, Terms(("a", "a")), ["coupons"]),
        (TriggerKind.WELCOME, Terms(tuple("abcdef")), ["coupons"]),
        (TriggerKind.WIN_BACK, Terms(("a",), lapse_days=1), []),
        (TriggerKind.WIN_BACK, Terms(("a",), lapse_days=0, back_days=366), ["back_days", "lapse_days"]),
        (TriggerKind.WIN_BACK, Terms(("a",), lapse_days=1096, back_days=-1), ["back_days", "lapse_days"]),
        (TriggerKind.ORDER, Terms(("a",), min_paid_fen=1), []),
        (TriggerKind.ORDER, Terms(("a",), min_paid_fen=0, stores=tuple(str(number) for number in range(51))), ["min_paid_fen", "stores"]),
        (TriggerKind.TIER_UP, Terms(("a",), tiers=("gold",)), []),
    ],
)
def test_what_makes_no_sense_is_named(kind, terms, wrong):
    assert sorted(terms.problems(kind)) == wrong


@pytest.mark.parametrize("kind", list(TriggerKind))
def test_a_version_keeps_what_its_kind_asks_for_and_reads_it_back(kind):
    whole = Terms(("a", "b"), ("gold",), 90, 10, 5_000, ("store",), ("S1",))
    kept = whole.document(kind)
    assert Terms.of_document(kept).document(kind) == kept
    assert kept["coupons"] == ["a", "b"]
    assert ("min_paid_fen" in kept) is (kind is TriggerKind.ORDER)


def test_a_rule_is_told_in_both_languages():
    names = {"c": "满100减20"}
    order = Terms(("c",), min_paid_fen=19_950, channels=("store",))
    assert sentence(TriggerKind.ORDER, order, "zh", coupons=names, places={"store": "门店"}) == (
        "在门店单笔订单商品实付满199.5元，送「满100减20」。每笔订单只送一次；订单取消、全额退款，或部分退款后不足该金额，未使用的券收回。"
    )
    assert sentence(TriggerKind.ORDER, order, "en").startswith(
        "For an order with ¥199.5 or more paid for goods at store: “c”. Once for each"
    )
    back = Terms(("c", "d"), lapse_days=90, back_days=30)
    assert sentence(TriggerKind.WIN_BACK, back, "zh", coupons=names) == (
        "会员连续90天没有付款订单，送「满100减20」、「d」。每次沉睡只送一次。规则启用时已沉睡90至120天的会员也会收到。"
    )
    assert sentence(TriggerKind.WIN_BACK, back, "en", coupons=names).endswith("away for 90 to 120 days when the rule begins gets it too.")
    assert sentence(TriggerKind.WELCOME, Terms(("c",)), "zh", coupons=names) == "会员首次登录入会，送「满100减20」。每人只送一次。"
    assert sentence(TriggerKind.TIER_UP, Terms(("c",), tiers=("gold", "black")), "zh", places={"gold": "金卡"}) == (
        "会员升级到金卡或black，送「c」。每次升级只送一次。"
    )
    assert sentence(TriggerKind.TIER_UP, Terms(("c",)), "en") == "For reaching any higher tier: “c”. Once for each upgrade."
    assert sentence(TriggerKind.TIER_UP, Terms(("c",)), "zh") == "会员升级到任一更高等级，送「c」。每次升级只送一次。"
    assert sentence(TriggerKind.WELCOME, Terms(("c",)), "en") == "For joining by the first log-in: “c”. Once for each person."
