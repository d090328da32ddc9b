"""What an offline till tells later ends as if it had been told at once, in every order, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest

from server.cards import queries as cards
from server.flows import tills
from server.flows.merge import merge
from server.kernel.amounts import Points
from server.kernel.clock import business_date
from server.kernel.source import Source
from server.orders import policies, queries
from server.orders.drafts import MemberRef
from server.orders.errors import CapturedInFutureError, CapturedNeedsCardError, CapturedTooLongAgoError, OfflineRedemptionRefusedError
from server.points import queries as points
from server.points import service as points_service
from server.points.rulebook import RuleDraft
from server.tiers import service as tiers
from tests.conftest import START
from tests.factories.members import a_member
from tests.factories.orders import SHOP, SYSTEM, a_line, a_till_draft, an_order

NOW = START
ZONE = ZoneInfo("Asia/Shanghai")
SALE = NOW - timedelta(days=2)
BEFORE = NOW - timedelta(days=30)


def per_amount(session, *, at, **document):
    rule = RuleDraft("purchase", "per_amount", "Purchase", {"fen_per_point": 100, **document})
    return points_service.save_rule(session, rule, actor=SYSTEM, now=at)


@pytest.fixture
def brand(session):
    """A rule of a month ago with a daily cap, and a twice as generous one since yesterday."""
    tiers.ensure_default_tiers(session)
    per_amount(session, at=BEFORE, max_points_per_day=150)
    per_amount(session, at=NOW - timedelta(days=1), fen_per_point=50)
    return session


def captured(session, member, at, **fields):
    card = cards.of_member(session, member).card_no
    return a_till_draft(now=at, member=MemberRef(card_no=card), captured_at=at, **fields)


def test_replayed_sales_earn_by_the_rules_and_the_day_of_the_till_in_every_order(brand):
    ends = set()
    for turn in permutations(range(3)):
        member = a_member(brand, now=BEFORE)
        sales = [captured(brand, member, SALE + timedelta(minutes=n), lines=(a_line(amount_fen=(n + 1) * 4_000),)) for n in range(3)]
        for n in turn:
            an_order(brand, sales[n], now=NOW)
            # A tier reached meanwhile, as it is by the growth of what was replayed, multiplies nothing of the past.
            if n == turn[0]:
                tiers.assign(brand, member, "gold", reason="test", actor=SYSTEM, now=NOW)
        again = an_order(brand, sales[0], now=NOW + timedelta(days=30))
        assert again.created is False
        earned = points.earned_on(brand, member, business_date(SALE, ZONE))
        ends.add((points.balance(brand, member, now=NOW).available, tuple(earned.items())))
        assert points.earned_on(brand, member, business_date(NOW, ZONE)) == {}
    assert ends == {(150, (("purchase", 150),))}
    online = a_till_draft(now=NOW, member=MemberRef(member_id=a_member(brand, now=BEFORE)))
    an_order(brand, online, now=NOW)
    assert queries.by_external(brand, "till", online.external_no).points_earned == 200


def test_a_sale_sent_before_the_line_broke_and_replayed_is_the_same(brand):
    member = a_member(brand, now=BEFORE)
    late = captured(brand, member, NOW - timedelta(minutes=1))
    first = an_order(brand, replace(late, captured_at=None), now=NOW)
    assert an_order(brand, late, now=NOW + timedelta(hours=1)).order_id == first.order_id


def test_what_cannot_have_been_captured_is_refused_and_nothing_is_written(brand):
    member = a_member(brand, now=BEFORE)
    for at, error in ((NOW + timedelta(minutes=6), CapturedInFutureError), (NOW - timedelta(days=8), CapturedTooLongAgoError)):
        with pytest.raises(error):
            an_order(brand, captured(brand, member, at), now=NOW)
        with pytest.raises(error):
            accrued(brand, member, captured_at=at)
    with pytest.raises(OfflineRedemptionRefusedError):
        an_order(brand, captured(brand, member, SALE, points_redeemed=1), now=NOW)
    with pytest.raises(CapturedNeedsCardError):
        an_order(brand, a_till_draft(now=SALE, member=MemberRef(phone="13800138000"), captured_at=SALE), now=NOW)
    assert points.balance(brand, member, now=NOW).available == 0
    policies.change(brand, policies.OrderPolicies(offline_days=9), actor=SYSTEM, now=NOW)
    an_order(brand, captured(brand, member, NOW - timedelta(days=8)), now=NOW)
    assert points.balance(brand, member, now=NOW).available == 100


def accrued(session, member, *, captured_at, now=NOW, source="a"):
    card = cards.of_member(session, member).card_no
    return tills.accrue(
        session,
        card,
        Points(7),
        source=Source("till", source),
        reason="Tea",
        available_at=None,
        captured_at=captured_at,
        actor=SHOP,
        now=now,
    )


def test_a_captured_accrual_stands_under_the_day_of_the_till_once_also_after_a_merge(brand):
    member, survivor = a_member(brand, now=BEFORE), a_member(brand, now=BEFORE)
    first = accrued(brand, member, captured_at=SALE)
    totals = points.daily_totals(brand, business_date(NOW, ZONE), 3)
    assert [(day.day, day.issued) for day in totals if day.issued] == [(business_date(SALE, ZONE), 7)]
    card = cards.of_member(brand, member).card_no
    merge(brand, member, survivor, reason="test", actor=SYSTEM, now=NOW)
    again = tills.accrue(
        brand,
        card,
        Points(7),
        source=Source("till", "a"),
        reason="Tea",
        available_at=None,
        captured_at=SALE,
        actor=SHOP,
        now=NOW + timedelta(days=30),
    )
    assert (again.id, again.replayed) == (first.id, True)
    assert points.balance(brand, survivor, now=NOW).available == 7
