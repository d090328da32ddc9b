"""Whom a rule chooses: every fact by both ends of its range, groups, turning round, and the same answer in ranges of any size."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest
import sqlalchemy as sa

from server.coupons import service as coupons
from server.flows import intake
from server.kernel.amounts import Points
from server.kernel.db import Base
from server.kernel.source import Source
from server.orders.drafts import MemberRef
from server.points import service as points
from server.segments import queries
from server.segments.rules import Fact, Group, Rule
from server.tiers import service as tiers
from tests.conftest import START
from tests.factories.coupons import STAFF, a_coupon, a_member, a_template
from tests.factories.orders import SHOP, a_draft, a_line, an_event, told
from tests.factories.segments import a_segment, all_of, at_least, at_most, beyond, build, one_of, within

pytestmark = [pytest.mark.committing, pytest.mark.requirement("CMP1")]
DAY = timedelta(days=1)


def people(core, number, **changes):
    """Enrol some members; ``changes`` gives column → a value for each."""

    def work(session):
        made = [a_member(session, now=START - DAY * 10) for _ in range(number)]
        table = Base.metadata.tables["members"]
        for place, member_id in enumerate(made):
            values = {name: each[place] for name, each in changes.items()}
            if values:
                session.execute(sa.update(table).where(table.c.id == member_id).values(**values))
        return made

    return core.db.run(work)


def buys(core, member_id, fen, at, **fields):
    def work(session):
        draft = a_draft(now=at, member=MemberRef(member_id=member_id), lines=(a_line(amount_fen=fen),), **fields)
        draft = replace(draft, placed_at=at, paid_at=at)
        return draft, intake.take_in_order(session, draft, actor=SHOP, now=at)

    return core.db.run(work)[0]


def who(core, rule, *, among):
    """Return the places of the members a rule chooses, and check that a build in small ranges chooses the same."""
    with core.db.reading() as session:
        found = queries.preview(session, rule, now=core.clock.now(), zone=core.db.zone)
        code = f"s{len(queries.newest(session))}"
    core.db.run(lambda session: a_segment(session, rule, now=core.clock.now(), code=code))
    built = build(core, code, size=2)
    assert len(built) == found.size == len(found.sample)
    assert set(built) == set(found.sample)
    return [place for place, member_id in enumerate(among) if member_id in built]


def test_what_the_record_says(core):
    some = people(
        core,
        4,
        gender=["female", "male", "unknown", "female"],
        city=["上海", None, "北京", "上海"],
        birthday_calendar=["solar", None, "lunar", "solar"],
        birthday_month=[6, None, 12, 7],
        birthday_day=[1, None, 1, 1],
        joined_via=["wechat", "store", "wechat", "import"],
        status=["active", "active", "active", "frozen"],
    )
    for rule, expected in (
        (all_of(one_of(Fact.GENDER, "female")), [0]),
        (all_of(one_of(Fact.GENDER, "female", negated=True)), [1, 2]),
        (all_of(one_of(Fact.CITY, "上海", "北京")), [0, 2]),
        (all_of(one_of(Fact.CITY, "上海", negated=True)), [1, 2]),
        (all_of(one_of(Fact.BIRTHDAY_MONTH, "6", "7")), [0]),
        (all_of(one_of(Fact.BIRTHDAY_MONTH, "6", negated=True)), [1, 2]),
        (all_of(one_of(Fact.JOINED_VIA, "wechat")), [0, 2]),
        (all_of(one_of(Fact.TIER, "none-such")), []),
    ):
        assert who(core, rule, among=some) == expected, rule


def test_days_are_business_days_and_both_ends_belong_where_they_are_told_to(core):
    midnight = START.replace(hour=16) - DAY  # of the fifteenth, in Shanghai
    joined = [midnight, midnight - timedelta(microseconds=1), midnight - DAY, midnight - DAY - timedelta(microseconds=1)]
    some = people(core, 4, joined_at=joined)
    assert who(core, all_of(within(Fact.JOINED, 0)), among=some) == [0]
    assert who(core, all_of(within(Fact.JOINED, 1)), among=some) == [0, 1, 2]
    assert who(core, all_of(beyond(Fact.JOINED, 1)), among=some) == [3]
    assert who(core, all_of(beyond(Fact.JOINED, 0, negated=True)), among=some) == [0]


def test_what_was_bought(core):
    some = people(core, 4)
    buys(core, some[0], 10_000, START - DAY * 40)
    buys(core, some[0], 5_000, START - DAY * 2, store="S-1")
    gone = buys(core, some[1], 9_000, START - DAY)
    core.db.run(lambda s: told(s, gone, an_event("cancelled", START), now=START))
    part = buys(core, some[2], 8_000, START - DAY * 29, channel="mall")
    core.db.run(lambda s: told(s, part, an_event("refunded", START, refund_id="r", refund_fen=3_000), now=START))
    for rule, expected in (
        (at_least(Fact.ORDERS, 1), [0, 2]),
        (at_least(Fact.ORDERS, 2), [0]),
        (at_least(Fact.ORDERS, 1, days=3), [0]),
        (at_least(Fact.ORDERS, 1, days=2), []),
        (at_most(Fact.ORDERS, 0), [1, 3]),
        (at_most(Fact.ORDERS, 0, days=30), [1, 3]),
        (at_most(Fact.ORDERS, 0, days=29), [1, 2, 3]),
        (at_least(Fact.PAID, 15_000), [0]),
        (at_least(Fact.PAID, 5_000), [0, 2]),
        (at_least(Fact.PAID, 5_001), [0]),
        (at_most(Fact.PAID, 5_000), [1, 2, 3]),
        (within(Fact.LAST_ORDER, 2), [0]),
        (beyond(Fact.LAST_ORDER, 28), [2]),
        (within(Fact.LAST_ORDER, 2, negated=True), [1, 2, 3]),
        (one_of(Fact.STORE, "S-1"), [0]),
        (one_of(Fact.STORE, "S-1", days=2), []),
        (one_of(Fact.CHANNEL, "mall"), [2]),
        (one_of(Fact.CHANNEL, "mall", negated=True), [0, 1, 3]),
    ):
        assert who(core, all_of(rule), among=some) == expected, rule


def test_points_growth_and_coupons(core):
    some = people(core, 3)
    template = core.db.run(lambda s: a_template(s, now=START, code="held-one", per_member=None))

    def gives(session):
        points.accrue(session, some[0], Points(100), source=Source("test", "seg"), reason="test", actor=STAFF, now=START)
        for number in range(2):
            coupons.issue(session, some[1], template, source=Source("test", f"seg-{number}"), actor=STAFF, now=START)
        a_coupon(session, some[2], now=START)

    core.db.run(gives)
    for rule, expected in (
        (at_least(Fact.POINTS, 100), [0]),
        (at_least(Fact.POINTS, 101), []),
        (at_most(Fact.POINTS, 0), [1, 2]),
        (at_most(Fact.GROWTH, 0), [0, 1, 2]),
        (at_least(Fact.GROWTH, 1), []),
        (at_least(Fact.COUPONS, 2), [1]),
        (at_most(Fact.COUPONS, 0), [0]),
        (one_of(Fact.COUPON, "held-one"), [1]),
        (one_of(Fact.COUPON, "held-one", negated=True), [0, 2]),
    ):
        assert who(core, all_of(rule), among=some) == expected, rule


def test_who_was_given_no_tier_is_in_the_lowest(core):
    some = people(core, 1)
    core.db.run(tiers.ensure_default_tiers)
    assert who(core, all_of(one_of(Fact.TIER, "standard")), among=some) == [0]
    assert who(core, all_of(one_of(Fact.TIER, "standard", negated=True)), among=some) == []


@pytest.mark.parametrize("join", ["all", "any"])
def test_groups_are_joined_and_turned_round_as_written(core, join):
    """Every combination of three yes-or-no facts, told by Python and by the statement."""
    flags = list(product((False, True), repeat=3))
    some = people(
        core,
        8,
        gender=["female" if a else "male" for a, _, _ in flags],
        city=["上海" if b else None for _, b, _ in flags],
        joined_via=["wechat" if c else "store" for _, _, c in flags],
    )
    a, b, c = one_of(Fact.GENDER, "female"), one_of(Fact.CITY, "上海"), one_of(Fact.JOINED_VIA, "wechat")
    both = all if join == "all" else any
    for inner, turned in product(("all", "any"), (False, True)):
        rule = Rule((Group((a, replace(b, negated=True)), inner, turned), Group((c,))), join)
        of = all if inner == "all" else any
        expected = [place for place, (x, y, z) in enumerate(flags) if both((of((x, not y)) is not turned, z))]
        assert who(core, rule, among=some) == expected
