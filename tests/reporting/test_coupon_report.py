"""The coupon report says what a plain count of the same history says."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from server.coupons import service
from server.coupons.funnel_queries import funnel
from server.coupons.rules.terms import Kind, Terms, Validity
from server.coupons.source_queries import SourceFigures, figures_of
from server.kernel.db import Base
from server.kernel.source import Source
from server.reporting.coupon_scope import MAX_DAYS, NO_STORE, UNKNOWN_STORE, Figures, Scope
from server.reporting.coupons import coupon_report
from tests.factories.coupons import STAFF, TILL, a_coupon, a_member, a_template, some_terms

NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)  # noon in Shanghai
ZONE = ZoneInfo("Asia/Shanghai")
TODAY = date(2026, 6, 15)
GIFT = Terms("赠杯", Kind.GIFT, threshold_fen=100, gift_sku="CUP", gift_quantity=1, gift_value_fen=900, exclusion_group="gift")

pytestmark = pytest.mark.requirement("CPN6", "RPT1")


def redeem(session, coupon, number, *, at=NOW, channel="till", store=None, discount=None, sales=None):
    order = {"channel": channel, "external_no": number}
    return service.redeem(session, coupon.id, **order, discount_fen=discount, sales_fen=sales, store=store, actor=TILL, now=at)


def report(session, *, first=TODAY - timedelta(days=29), last=TODAY, now=NOW, **more):
    return coupon_report(session, Scope(first, last, **more), now=now)


# --- A history, and a recount of it -----------------------------------------------------------------------------------


@dataclass
class Told:
    """One coupon of the history as a person with a notebook would have it."""

    template: str
    way: str
    issued: datetime
    until: datetime
    gift: int = 0
    state: str = "issued"
    used: datetime | None = None
    order: tuple[str, str] | None = None
    discount: int | None = None
    sales: int | None = None
    store: str | None = None
    returns: list[tuple[datetime, str]] = field(default_factory=list)
    id: object = None


def a_history(session, seed):
    rng = random.Random(seed)
    templates = {
        "amount": a_template(session, now=NOW - timedelta(days=90), per_member=None, terms=some_terms(threshold_fen=0)),
        "gift": a_template(session, now=NOW - timedelta(days=90), per_member=None, terms=GIFT),
        "short": a_template(session, now=NOW - timedelta(days=90), per_member=None, terms=some_terms(), validity=Validity(days=3)),
    }
    members = [a_member(session, now=NOW - timedelta(days=90)) for _ in range(3)]
    orders = [(rng.choice(["till", "mall"]), f"o{number}", rng.randrange(0, 30000)) for number in range(14)]
    known = {}
    for channel, number, _ in orders[:5]:  # of these an order is known that may tell the store
        known[channel, number] = rng.choice(["S1", "S2", None])
        an_order(session, channel, number, known[channel, number])
    told = []
    for number in range(90):
        name, way = rng.choice(list(templates)), rng.choice(["staff", "tiers", "house.special"])
        at = NOW - timedelta(days=rng.uniform(0.1, 70))
        coupon = service.issue(session, rng.choice(members), templates[name], source=Source(way, f"{seed}:{number}"), actor=STAFF, now=at)
        one = Told(str(templates[name]), way, at, coupon.valid_until, 900 if name == "gift" else 0, id=coupon.id)
        told.append(one)
        for turn in range(2):
            if rng.random() < 0.35:
                break
            later = at + (min(NOW, one.until) - at) * rng.uniform(0.05, 0.95)
            channel, external_no, payable = rng.choice(orders)
            one.discount, one.sales = rng.choice([None, 0, rng.randrange(5000)]), rng.choice([None, payable, payable, payable + 700])
            one.store = rng.choice([None, None, "", "S1", "S2"])
            redeem(session, coupon, external_no, at=later, channel=channel, store=one.store, discount=one.discount, sales=one.sales)
            one.state, one.used, one.order = "redeemed", later, (channel, external_no)
            if rng.random() < 0.6:
                break
            at = later + (NOW - later) * rng.random() * 0.9
            back = service.return_(session, coupon.id, refund_id=f"{number}:{turn}", actor=TILL, now=at)
            one.returns.append((at, channel))
            one.state, one.used, one.order = back.state, None, None
            if back.state == "expired":
                break
        if one.state == "issued" and one.until > NOW and rng.random() < 0.2:
            service.void(session, coupon.id, reason="wrong", actor=STAFF, now=NOW)
            one.state = "voided"
    if seed % 2:  # swept or not, what has ended is expired
        service.expire_due(session, NOW)
    for one in told:
        if one.state == "issued" and one.until <= NOW:
            one.state = "expired"
    return templates, told, known


def an_order(session, channel, number, store):
    orders = Base.metadata.tables["orders"]
    blank = {
        "state": "paid", "fingerprint": "f", "immediate": True, "goods_fen": 0, "discount_fen": 0, "shipping_fen": 0,
        "points_paid_fen": 0, "payable_fen": 0, "points_redeemed": 0, "placed_at": NOW, "taken_in_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    from server.kernel.ids import uuid7

    session.execute(
        sa.insert(orders).values(
            id=uuid7(), order_no=f"n{channel}{number}", channel=channel, external_no=number, store_code=store,
            version=0, refunded_fen=0, points_worked_out=False, points_earned=0, points_taken_back=0, **blank,
        )
    )  # fmt: skip


def parts(told):
    """Share each order's sales out: floors first, then a fen each to the largest remainders."""
    by_order = defaultdict(list)
    for one in told:
        if one.state == "redeemed":
            by_order[one.order].append(one)
    found = {}
    for coupons in by_order.values():
        coupons.sort(key=lambda one: one.id)
        sales = min([one.sales for one in coupons if one.sales is not None] or [0])
        weights = [(one.discount or 0) + one.gift for one in coupons]
        weights = weights if sum(weights) else [1] * len(coupons)
        exact = [(sales * weight // sum(weights), -(sales * weight % sum(weights)), place) for place, weight in enumerate(weights)]
        left = sales - sum(each[0] for each in exact)
        lucky = {place for _, _, place in sorted(exact, key=lambda each: each[1:])[:left]}
        for place, one in enumerate(coupons):
            found[id(one)] = exact[place][0] + (place in lucky)
    return found


def recount(told, known, scope, first, last):
    share = parts(told)
    total, cuts = Figures(), [defaultdict(Figures) for _ in range(4)]

    def within(instant):
        return first <= instant.astimezone(ZONE).date() <= last

    def store_of(one):
        code = one.store if one.store is not None else (known[one.order] or "") if one.order in known else None
        return UNKNOWN_STORE if code is None else code or NO_STORE

    def add(keys, **amounts):
        total.add(**amounts)
        for cut, key in zip(cuts, keys, strict=True):
            if key is not None:
                cut[key].add(**amounts)

    fates = {"issued": "held", "locked": "held", "redeemed": "redeemed_of_these", "expired": "expired", "voided": "voided"}
    for one in told:
        if (scope.template_id and str(scope.template_id) != one.template) or (scope.way and scope.way != one.way):
            continue
        if within(one.issued) and not scope.by_redemption:
            add((one.template, None, None, one.way), issued=1, **{fates[one.state]: 1})
        for at, channel in one.returns:
            if within(at) and scope.store is None and scope.channel in {None, channel}:
                add((one.template, None, channel, one.way), returned=1)
        if one.state == "redeemed" and within(one.used) and scope.channel in {None, one.order[0]} and scope.store in {None, store_of(one)}:
            add(
                (one.template, store_of(one), one.order[0], one.way),
                redeemed=1,
                untold=int(one.discount is None and not one.gift),
                cost_fen=(one.discount or 0) + one.gift,
                sales_fen=share[id(one)],
            )
    return total, [dict(cut) for cut in cuts]


@pytest.mark.parametrize("seed", range(4))
def test_every_figure_is_that_of_a_plain_recount_of_the_history(session, seed):
    templates, told, known = a_history(session, seed)
    filters = [
        {},
        {"template_id": templates["amount"]},
        {"way": "tiers"},
        {"channel": "mall"},
        {"store": "S1"},
        {"store": UNKNOWN_STORE},
        {"store": NO_STORE, "channel": "till"},
    ]
    for days, more in [(30, each) for each in filters] + [(1, {}), (7, {"way": "house.special"}), (100, {})]:
        scope = Scope(TODAY - timedelta(days=days - 1), TODAY, **more)
        found = coupon_report(session, scope, now=NOW)
        total, cuts = recount(told, known, scope, scope.first, scope.last)
        before, _ = recount(told, known, scope, scope.before, scope.first - timedelta(days=1))
        assert (found.total, found.before) == (total, before), more
        rows = [{row.key: row.figures for row in cut} for cut in (found.templates, found.stores, found.channels, found.ways)]
        assert rows == cuts, more
        assert total.issued == total.held + total.redeemed_of_these + total.expired + total.voided
        for day in found.days:
            one, _ = recount(told, known, scope, day.day, day.day)
            assert (day.issued, day.redeemed, day.cost_fen) == (one.issued, one.redeemed, one.cost_fen)
        assert sum(day.redeemed for day in found.days) == total.redeemed
    # The page of a template says the same as the report over all days.
    whole = coupon_report(session, Scope(TODAY - timedelta(days=99), TODAY), now=NOW)
    for row in whole.templates:
        name = next(template for template in templates.values() if str(template) == row.key)
        alone = funnel(session, name, now=NOW)
        of = row.figures
        assert (alone.issued, alone.redeemed, alone.expired, alone.voided) == (of.issued, of.redeemed, of.expired, of.voided)
        assert (alone.discount_fen, alone.sales_fen) == (of.cost_fen, of.sales_fen)
    # And the templates together sold what the orders came to.
    orders = {one.order: min(each.sales for each in told if each.state == "redeemed" and each.order == one.order and each.sales is not None)
              for one in told if one.state == "redeemed" and any(each.order == one.order and each.state == "redeemed" and each.sales is not None for each in told)}  # fmt: skip
    assert sum(row.figures.sales_fen for row in whole.templates) == sum(orders.values())


# --- Single rules -----------------------------------------------------------------------------------------------------


def test_coupons_of_one_order_share_its_sales_and_a_return_gives_its_part_back(session):
    member = a_member(session, now=NOW)
    dear, cheap, third = (a_coupon(session, member, now=NOW, code=code) for code in ("dear", "cheap", "third"))
    redeem(session, dear, "1", discount=2000, sales=10001)
    assert funnel(session, dear.template_id, now=NOW).sales_fen == 10001
    redeem(session, cheap, "1", discount=1000, sales=10001)
    redeem(session, third, "2", discount=1000, sales=500)
    assert [funnel(session, each.template_id, now=NOW).sales_fen for each in (dear, cheap, third)] == [6667, 3334, 500]
    assert report(session).total.sales_fen == 10501
    service.return_(session, dear.id, refund_id="r", actor=TILL, now=NOW)
    assert [funnel(session, each.template_id, now=NOW).sales_fen for each in (dear, cheap)] == [0, 10001]
    found = report(session)
    assert (found.total.sales_fen, found.total.returned, found.total.redeemed) == (10501, 1, 2)


def test_an_order_over_the_edge_of_the_range_is_shared_with_what_lies_outside(session):
    member = a_member(session, now=NOW)
    early, late = (a_coupon(session, member, now=NOW - timedelta(days=3), code=code) for code in ("early", "late"))
    redeem(session, early, "1", at=NOW - timedelta(days=1), discount=0, sales=101)
    redeem(session, late, "1", discount=0, sales=101)
    sales = [report(session, first=day, last=day).total.sales_fen for day in (TODAY - timedelta(days=1), TODAY)]
    assert sorted(sales) == [50, 51]
    assert report(session, first=TODAY).before.sales_fen == sales[0]


def test_a_till_that_redeems_one_by_one_tells_what_is_left_to_pay_and_the_least_counts(session):
    member = a_member(session, now=NOW)
    first, second = (a_coupon(session, member, now=NOW, code=code) for code in ("first", "second"))
    redeem(session, first, "1", discount=1000, sales=9000)
    redeem(session, second, "1", discount=1000, sales=8000)
    assert report(session).total.sales_fen == 8000


@pytest.mark.parametrize(
    ("at", "day"), [("2026-06-14T15:59:59.999999", 14), ("2026-06-14T16:00:00", 15), ("2026-06-15T15:59:59.999999", 15)]
)
def test_a_redemption_belongs_to_the_shops_own_day(session, at, day):
    instant = datetime.fromisoformat(at).replace(tzinfo=UTC)
    coupon = a_coupon(session, a_member(session, now=NOW - timedelta(days=9)), now=NOW - timedelta(days=9))
    redeem(session, coupon, "1", at=instant, discount=700)
    assert {
        each.day.day: each.cost_fen for each in report(session, first=date(2026, 6, 1), last=date(2026, 6, 20)).days if each.redeemed
    } == {day: 700}
    assert report(session, first=date(2026, 6, day), last=date(2026, 6, day)).total.redeemed == 1
    assert report(session, first=date(2026, 6, 29 - day), last=date(2026, 6, 29 - day)).total.redeemed == 0


def test_the_store_is_the_tills_else_the_orders_else_unknown(session):
    member = a_member(session, now=NOW)
    coupons = [a_coupon(session, member, now=NOW) for _ in range(4)]
    redeem(session, coupons[0], "1", store="S9", discount=1)
    redeem(session, coupons[1], "2", discount=2)  # the till told nothing, and no order came
    redeem(session, coupons[2], "3", discount=3)
    an_order(session, "till", "3", "S8")
    redeem(session, coupons[3], "4", discount=4)
    an_order(session, "till", "4", None)
    assert {row.key: row.figures.cost_fen for row in report(session).stores} == {"S9": 1, UNKNOWN_STORE: 2, "S8": 3, NO_STORE: 4}
    assert report(session, store="S8").total.cost_fen == 3


def test_an_order_that_names_a_redeemed_coupon_tells_the_store_its_till_did_not(session):
    coupon = a_coupon(session, a_member(session, now=NOW), now=NOW)
    redeem(session, coupon, "1")
    redeem(session, coupon, "1", store="S7")
    redeem(session, coupon, "1", store="S6")  # what was told stays
    assert [row.key for row in report(session).stores] == ["S7"]
    service.return_(session, coupon.id, refund_id="r", actor=TILL, now=NOW)
    redeem(session, coupon, "2")
    assert [row.key for row in report(session).stores] == [UNKNOWN_STORE]


def test_a_year_and_an_empty_shop(session):
    found = report(session, first=TODAY - timedelta(days=MAX_DAYS - 1))
    assert found.total == found.before == Figures()
    assert (found.templates, len(found.days), found.total.rate, found.total.sales_per_yuan) == ([], MAX_DAYS, None, None)


def test_a_rules_figures_share_an_orders_sales_as_the_report_does(session):
    member = a_member(session, now=NOW)
    template = a_template(session, now=NOW, per_member=None)
    for way in ("coupons.trigger/a", "coupons.trigger/b"):
        coupon = service.issue(session, member, template, source=Source(way, "1"), actor=STAFF, now=NOW)
        redeem(session, coupon, "N-1", discount=1000, sales=9000)
    found = figures_of(session, ["coupons.trigger/a", "coupons.trigger/b"])
    assert found == dict.fromkeys(("coupons.trigger/a", "coupons.trigger/b"), SourceFigures(1, 1000, 4500))
    assert sum(row.figures.sales_fen for row in report(session).ways) == 9000
