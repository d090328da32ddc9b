"""The sentence on a coupon says what the terms say, in both languages."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from server.coupons.rules.hours import Window
from server.coupons.rules.sentence import offer, sentence
from server.coupons.rules.terms import Kind, Scope, Terms, Validity
from tests.factories.coupons import percent_terms, some_terms

ZONE = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("terms", "zh", "en"),
    [
        (some_terms(), "满100元减20元", "¥20 off on ¥100 or more"),
        (some_terms(threshold_fen=0, amount_off_fen=990), "立减9.9元", "¥9.9 off"),
        (percent_terms(), "8折", "20% off"),
        (percent_terms(percent_off=15, threshold_fen=5000), "满50元享8.5折", "15% off on ¥50 or more"),
        (Terms("包邮", Kind.FREE_SHIPPING), "包邮", "free shipping"),
        (
            Terms("档", Kind.STEPS, steps=((10000, 1000), (20000, 3000))),
            "满100元减10元，满200元减30元",
            "¥10 off on ¥100 or more, ¥30 off on ¥200 or more",
        ),
        (
            Terms("赠", Kind.GIFT, threshold_fen=9900, gift_sku="CUP-1", gift_quantity=2),
            "满99元赠CUP-1×2",
            "2 × CUP-1 as a gift on ¥99 or more",
        ),
        (Terms("换", Kind.EXCHANGE, threshold_fen=9900), "满99元可兑换指定商品一件", "one of the named goods free on ¥99 or more"),
    ],
)
def test_the_offer_is_told_in_a_few_words(terms, zh, en):
    assert offer(terms, "zh") == zh
    assert offer(terms, "en") == en


def test_the_whole_sentence_tells_scope_blackouts_and_days():
    terms = percent_terms(
        cap_fen=5000,
        scope=Scope(categories=("茶叶",), excluded_products=("GIFT-1",), stores=("静安店",), tiers=("金卡",)),
        blackouts=((date(2026, 10, 1), date(2026, 10, 7)),),
        combinable=False,
    )
    assert sentence(terms, "zh", validity=Validity(days=30), zone=ZONE) == (
        "8折，最高优惠50元，限茶叶，GIFT-1除外，限门店静安店，限会员等级金卡，2026年10月1日至2026年10月7日不可用，"
        "不可与其他优惠券同时使用，领取后30天内有效。"
    )
    assert sentence(terms, "en") == (
        "20% off; at most ¥50; for 茶叶 only; not for GIFT-1; in stores 静安店; for tiers 金卡; not from 2026-10-01 to 2026-10-07; "
        "not together with other coupons."
    )


def test_hours_and_the_first_order_are_told():
    terms = some_terms(hours=(Window(1320, 120, (5, 6)), Window(600, 840, (1, 2, 3)), Window(0, 1440)), first_order_only=True)
    assert sentence(terms, "zh") == "满100元减20元，限周五、周六22:00至次日02:00、周一至周三10:00至14:00、每天00:00至24:00使用，仅限首单。"
    assert sentence(terms, "en") == (
        "¥20 off on ¥100 or more; only Fri and Sat 22:00 to 02:00 the next day, Mon to Wed 10:00 to 14:00, daily 00:00 to 24:00; "
        "on the first order only."
    )


@pytest.mark.parametrize(
    ("validity", "zh", "en"),
    [
        (Validity(days=1), "领取当天有效", "valid on the day it is claimed"),
        (
            Validity(days=7, starts_after_days=1),
            "领取1天后生效，生效后7天内有效",
            "valid for 7 days, beginning 1 day after it is claimed",
        ),
        (
            Validity(datetime(2026, 6, 1, tzinfo=ZONE), datetime(2026, 6, 30, 16, tzinfo=UTC)),
            "2026年6月1日至2026年6月30日有效",
            "valid from 2026-06-01 to 2026-06-30",
        ),
        (Validity(), "有效期未定", "validity not set"),
    ],
)
def test_the_days_are_told_in_the_shops_zone(validity, zh, en):
    assert sentence(some_terms(), "zh", validity=validity, zone=ZONE).endswith(zh + "。")
    assert sentence(some_terms(), "en", validity=validity, zone=ZONE).endswith(en + ".")
