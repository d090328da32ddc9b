"""An order's sales are shared out among its coupons, whoever redeems and returns them, and at whatever moment."""

from __future__ import annotations

import random
from functools import partial

import pytest
import sqlalchemy as sa
from hypothesis import example, given
from hypothesis import strategies as st

from server.coupons import service
from server.coupons.models import CouponRedemption
from server.coupons.rules.apportion import order_sales_fen, shares_fen
from server.coupons.rules.ways_in import WAYS, words
from tests.conftest import START
from tests.coupons.test_races import at_once
from tests.factories.coupons import TILL, a_coupon, a_member

pytestmark = pytest.mark.requirement("CPN6")

NOW = START


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**7), min_size=1, max_size=8))
@example(10_001, [0, 0, 0])
@example(10_001, [2000, 1000])
def test_the_parts_add_up_to_the_sale_and_none_is_a_fen_from_its_exact_share(sales, costs):
    parts = shares_fen(sales, costs)
    whole = sum(costs)
    assert sum(parts) == sales
    for cost, part in zip(costs, parts, strict=True):
        exact = sales * cost / whole if whole else sales / len(costs)
        assert abs(part - exact) <= 1
    if not whole:
        assert max(parts) - min(parts) <= 1


def test_the_least_that_was_told_is_what_the_order_came_to():
    assert [order_sales_fen(told) for told in ([9000, None, 8000], [None], [], [0, 5])] == [8000, 0, 0, 0]


def test_a_way_in_that_nobody_put_into_words_is_shown_as_it_is():
    assert (words("claim"), words("house.special")) == (WAYS["claim"], "house.special")


def redeem(coupon, cost, session):
    return service.redeem(session, coupon, channel="till", external_no="1", discount_fen=cost, sales_fen=10_000, actor=TILL, now=NOW)


def give_back(coupon, session):
    return service.return_(session, coupon, refund_id="r", actor=TILL, now=NOW)


def uses(session):
    return session.execute(
        sa.select(CouponRedemption.coupon_id, CouponRedemption.cost_fen, CouponRedemption.part_fen).order_by(CouponRedemption.coupon_id)
    ).all()


def right(rows):
    return [row.part_fen for row in rows] == shares_fen(10_000, [row.cost_fen for row in rows])


def test_a_freed_place_is_taken_and_shares_like_any_other(session):
    member = a_member(session, now=NOW)
    coupons = [a_coupon(session, member, now=NOW).id for _ in range(3)]
    redeem(coupons[0], 100, session)
    redeem(coupons[1], 300, session)
    give_back(coupons[0], session)
    assert [row.part_fen for row in uses(session)] == [10_000]
    redeem(coupons[2], 100, session)
    assert right(uses(session))
    assert [row.part_fen for row in uses(session)] == [7500, 2500]


@pytest.mark.committing
@pytest.mark.parametrize("turn", range(6))
def test_coupons_redeemed_and_returned_at_once_on_one_order_share_it_to_the_fen(core, turn):
    member = core.db.run(lambda session: a_member(session, now=NOW))
    coupons = core.db.run(lambda session: [a_coupon(session, member, now=NOW).id for _ in range(8)])
    for coupon in coupons[:3]:
        core.db.run(partial(redeem, coupon, 100))
    works = [partial(give_back, coupon) for coupon in coupons[:3]] + [
        partial(redeem, coupon, 100 * n) for n, coupon in enumerate(coupons[3:])
    ]
    random.Random(turn).shuffle(works)
    at_once(core, works, 8)
    with core.db.reading() as session:
        rows = uses(session)
    assert sorted(row.coupon_id for row in rows) == sorted(coupons[3:])
    assert right(rows)
