"""Which templates coupons can be made from, field by field; how long a coupon holds; what terms become as a snapshot."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from server.coupons.rules import hours
from server.coupons.rules.hours import Window
from server.coupons.rules.terms import Kind, Limits, Scope, TemplateDraft, Terms, Validity, problems
from tests.factories.coupons import percent_terms, some_terms

ZONE = ZoneInfo("Asia/Shanghai")
DAY = datetime(2026, 6, 1, tzinfo=UTC)
DRAFT = TemplateDraft("summer", some_terms(), Validity(days=7))


def test_a_template_that_is_right_has_no_problem():
    assert problems(DRAFT) == {}


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (some_terms(name=" "), "name"),
        (some_terms(name="名" * 61), "name"),
        (some_terms(amount_off_fen=0), "amount_off_fen"),
        (percent_terms(amount_off_fen=1), "amount_off_fen"),
        (percent_terms(percent_off=100), "percent_off"),
        (percent_terms(percent_off=0), "percent_off"),
        (some_terms(percent_off=5), "percent_off"),
        (Terms("换", Kind.EXCHANGE), "products"),
        (some_terms(cap_fen=100), "cap_fen"),
        (percent_terms(cap_fen=0), "cap_fen"),
        (some_terms(amount_off_fen=2000, threshold_fen=1999), "threshold_fen"),
        (some_terms(threshold_fen=-1), "threshold_fen"),
        (some_terms(blackouts=((date(2026, 10, 7), date(2026, 10, 1)),)), "blackouts"),
        (some_terms(exclusion_group=""), "exclusion_group"),
        (some_terms(return_grace_days=-1), "return_grace_days"),
        (some_terms(steps=((100, 10),)), "steps"),
        (Terms("档", Kind.STEPS), "steps"),
        (Terms("档", Kind.STEPS, steps=((10000, 3000), (20000, 3000))), "steps"),
        (Terms("档", Kind.STEPS, steps=((100, 101),)), "steps"),
        (Terms("档", Kind.STEPS, steps=((100, 10),), threshold_fen=100), "threshold_fen"),
        (some_terms(gift_sku="CUP-1"), "gift_sku"),
        (Terms("赠", Kind.GIFT, gift_quantity=1, gift_value_fen=1), "gift_sku"),
        (Terms("赠", Kind.GIFT, gift_sku="CUP-1", gift_value_fen=1), "gift_quantity"),
        (Terms("赠", Kind.GIFT, gift_sku="CUP-1", gift_quantity=1), "gift_value_fen"),
        (Terms("赠", Kind.GIFT, gift_sku="CUP-1", gift_quantity=1, gift_value_fen=1, cap_fen=1), "cap_fen"),
        (some_terms(hours=(Window(60, 60),)), "hours"),
    ],
)
def test_terms_that_make_no_sense_are_named(terms, field):
    assert set(problems(replace(DRAFT, terms=terms))) == {field}


@pytest.mark.parametrize(
    ("validity", "field"),
    [
        (Validity(), "valid_until"),
        (Validity(valid_from=DAY), "valid_until"),
        (Validity(DAY, DAY), "valid_until"),
        (Validity(DAY, None, days=3), "days"),
        (Validity(days=0), "days"),
        (Validity(days=3651), "days"),
        (Validity(days=3, starts_after_days=-1), "starts_after_days"),
    ],
)
def test_a_validity_that_makes_no_sense_is_named(validity, field):
    assert set(problems(replace(DRAFT, validity=validity))) == {field}


@pytest.mark.parametrize(
    ("limits", "terms", "field"),
    [
        (Limits(stock=0), some_terms(), "stock"),
        (Limits(daily_stock=-1), some_terms(), "daily_stock"),
        (Limits(per_member=0), some_terms(), "per_member"),
        (Limits(per_member_daily=10**9 + 1), some_terms(), "per_member_daily"),
        (Limits(budget_fen=10**6), Terms("包邮", Kind.FREE_SHIPPING), "cap_fen"),
        (Limits(budget_fen=1999), some_terms(amount_off_fen=2000), "budget_fen"),
        (Limits(claim_from=DAY, claim_until=DAY), some_terms(), "claim_until"),
    ],
)
def test_limits_that_make_no_sense_are_named(limits, terms, field):
    assert set(problems(replace(DRAFT, limits=limits, terms=terms))) == {field}


@pytest.mark.parametrize("code", ["", "Summer", "-x", "x" * 64, "a b", "茶"])
def test_a_code_is_short_and_plain(code):
    assert set(problems(replace(DRAFT, code=code))) == {"code"}


def test_a_window_without_days_needs_both_its_ends():
    with pytest.raises(ValueError, match="both ends"):
        Validity(valid_from=DAY).window(DAY, ZONE)
    assert Validity(DAY, datetime(2026, 7, 1, tzinfo=UTC)).window(DAY, ZONE) == (DAY, datetime(2026, 7, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("validity", "begins", "ends"),
    [
        # Issued on 31 May at 23:30 in Shanghai, which is 15:30 UTC.
        (Validity(days=1), datetime(2026, 5, 31, 15, 30, tzinfo=UTC), datetime(2026, 5, 31, 16, tzinfo=UTC)),
        (Validity(days=2, starts_after_days=1), datetime(2026, 5, 31, 16, tzinfo=UTC), datetime(2026, 6, 2, 16, tzinfo=UTC)),
    ],
)
def test_days_are_business_days_of_the_shop(validity, begins, ends):
    assert validity.window(datetime(2026, 5, 31, 15, 30, tzinfo=UTC), ZONE) == (begins, ends)


def test_a_snapshot_reads_back_as_the_same_terms_and_lives_with_fields_it_does_not_know():
    terms = percent_terms(
        cap_fen=900,
        scope=Scope(("a",), ("茶",), ("b",), ("c",), ("s",), ("till",), ("gold",)),
        blackouts=((date(2026, 1, 1), date(2026, 1, 2)),),
        steps=((10000, 1000), (20000, 3000)),
        hours=(Window(1320, 120, (5, 6)), Window(0, 1440)),
        first_order_only=True,
    )
    document = terms.to_document() | {"added_later": 1}
    assert Terms.of_document(document) == terms
    assert Terms.of_document(document).canonical() == terms.canonical()


def test_a_snapshot_from_before_steps_gifts_and_hours_reads_back():
    names = ("products", "categories", "excluded_products", "excluded_categories", "stores", "channels", "tiers")
    scope: dict[str, list[str]] = {name: [] for name in names}
    old = {
        "name": "满100减20",
        "kind": "amount_off",
        "amount_off_fen": 2000,
        "percent_off": 0,
        "cap_fen": None,
        "threshold_fen": 10000,
        "scope": scope,
        "blackouts": [],
        "exclusion_group": "goods",
        "combinable": True,
        "priority": 100,
        "return_grace_days": 0,
        "description": "",
    }
    assert Terms.of_document(old) == some_terms()


@pytest.mark.parametrize(
    ("written", "window", "within", "outside"),
    [
        ("10:00-14:00", Window(600, 840), (1, 600), (1, 840)),
        ("5-6 22:00-02:00", Window(1320, 120, (5, 6)), (7, 119), (5, 119)),
        ("7,1 23:00-01:00", Window(1380, 60, (1, 7)), (1, 59), (3, 1380)),
        ("00:00-24:00", Window(0, 1440), (4, 1439), None),
        ("1 10:00-10:00", None, None, None),
        ("9:75-10:00", None, None, None),
    ],
)
def test_hours_are_read_written_and_held_across_midnight(written, window, within, outside):
    read = hours.read(written)
    assert read == window
    if read is not None:
        assert hours.read(hours.write(read)) == read
        assert read.holds(*within)
        assert outside is None or not read.holds(*outside)


@pytest.mark.parametrize(
    ("scope", "sku", "category", "covered"),
    [
        (Scope(), "a", None, True),
        (Scope(products=("a",)), "a", None, True),
        (Scope(products=("a",)), "b", "茶", False),
        (Scope(categories=("茶",)), "b", "茶", True),
        (Scope(categories=("茶",)), "b", None, False),
        (Scope(products=("a",), excluded_products=("a",)), "a", "茶", False),
        (Scope(excluded_categories=("茶",)), "a", "茶", False),
        (Scope(excluded_categories=("茶",)), "a", None, True),
    ],
)
def test_excluded_goods_win_over_included_ones(scope, sku, category, covered):
    assert scope.places([(sku, category)]) == ((0,) if covered else ())
