"""Winning back: who has not bought for so many days, once for each absence, and no day is lost by a standstill."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from server.flows import merge
from server.kernel.errors import ConflictError
from server.members.models import Member
from server.orders import purchases
from server.triggers import queries, service
from server.triggers.rules import Terms, TriggerKind, lapse_days_to_do
from tasks.jobs import triggers as jobs
from tests.conftest import START
from tests.factories.orders import an_event, told
from tests.factories.triggers import STAFF, a_sale_of, a_trigger, coupons, gifts, sold, states

NOW = START
ZONE = ZoneInfo("Asia/Shanghai")
pytestmark = [pytest.mark.committing, pytest.mark.requirement("CPN2")]


def days(number: float) -> timedelta:
    return timedelta(days=number)


def a_rule(core, **more):
    return core.db.run(lambda s: a_trigger(s, TriggerKind.WIN_BACK, now=core.clock.now(), **{"code": "back", **more}))


def bought(core, at, buyer="b1"):
    """Let a member have bought at an instant; return the sale."""
    draft = a_sale_of(5_000, now=at + timedelta(minutes=4), buyer=buyer, channel="till", receiver=None)
    core.db.run(lambda s: sold(s, draft, now=max(at, NOW - days(400))))
    return draft


def run(core):
    return jobs.win_back(core, core.clock.now())


def all_of(core, what, *arguments):
    with core.db.reading() as session:
        return what(session, *arguments)


def test_who_has_not_bought_for_so_many_days_gets_one_coupon_for_that_absence(core, clock):
    a_rule(core)
    bought(core, NOW - days(90), "away")
    bought(core, NOW - days(89), "tomorrow")
    bought(core, NOW - days(91), "earlier")
    assert run(core) == 1
    assert run(core) == 0
    clock.move(days(1))
    assert run(core) == 1
    assert run(core) == 0
    assert states_of(core) == [("given", None)] * 2
    # Coming back and staying away again is another absence.
    bought(core, clock.now(), "away")
    clock.move(days(90))
    assert run(core) == 1
    assert len(all_of(core, coupons)) == 3


def states_of(core):
    return all_of(core, states)


def test_days_the_product_stood_still_are_made_up_for_and_who_bought_meanwhile_gets_nothing(core, clock):
    a_rule(core)
    assert run(core) == 0
    for number in range(1, 21):
        bought(core, NOW - days(90) + days(number), f"b{number}")
    bought(core, NOW + days(12), "b7")
    clock.move(days(20))
    assert run(core) == 19
    assert run(core) == 0


def test_who_had_been_away_longer_when_the_rule_began_gets_one_as_far_back_as_it_says(core, clock):
    for number in (90, 95, 120, 121):
        bought(core, NOW - days(number), f"b{number}")
    a_rule(core, back_days=30)
    assert run(core) == 3
    clock.move(days(3))
    assert run(core) == 0


def test_a_pause_gives_nothing_and_the_days_of_it_are_not_made_up_for(core, clock):
    template = a_rule(core)
    run(core)
    a_rule(core, template=template, enabled=False)
    bought(core, NOW - days(85))
    clock.move(days(10))
    assert run(core) == 0
    a_rule(core, template=template)
    bought(core, NOW - days(80), "b2")
    assert run(core) == 1
    assert len(all_of(core, coupons)) == 1


def test_a_rule_out_of_its_window_rests(core, clock):
    a_rule(core, valid_from=NOW + days(1), valid_until=NOW + days(2))
    for number in (90, 89, 88, 87):
        bought(core, NOW - days(number), f"b{number}")
    given = []
    for _ in range(4):
        given.append(run(core))
        clock.move(days(1))
    assert given == [0, 1, 0, 0]


def test_an_order_called_off_counts_for_nothing(core):
    a_rule(core)
    bought(core, NOW - days(90))
    later = bought(core, NOW - days(3))
    core.db.run(lambda s: told(s, later, an_event("cancelled", NOW), now=NOW))
    assert run(core) == 1


def test_a_run_that_is_killed_goes_on_where_it_was(core, clock, monkeypatch):
    a_rule(core, stock=100)
    run(core)
    for number in range(30):
        bought(core, NOW - days(89), f"b{number}")
    clock.move(days(1))
    whole, calls = service.win_back, []

    def dying(session, rule, last, *, now):
        calls.append(last)
        given = whole(session, rule, last, now=now)
        if len(calls) == 12:
            raise KeyboardInterrupt  # a kill: the transaction is never committed
        return given

    monkeypatch.setattr(service, "win_back", dying)
    with pytest.raises(KeyboardInterrupt):
        run(core)
    assert len(all_of(core, coupons)) == 11
    assert all_of(core, queries.done_until, "back") == date(2026, 3, 17)
    assert run(core) == 19
    assert len(all_of(core, coupons)) == 30
    assert all_of(core, queries.done_until, "back") == date(2026, 3, 18)


def test_a_run_does_a_bounded_number_and_the_next_one_the_rest(core, monkeypatch):
    a_rule(core, back_days=5)
    for number in range(7):
        bought(core, NOW - days(90 + number % 3), f"b{number}")
    monkeypatch.setattr(jobs, "MOST_IN_A_RUN", 3)
    monkeypatch.setattr(jobs, "_PAGE", 2)
    assert [run(core) for _ in range(4)] == [3, 3, 1, 0]
    assert all_of(core, queries.done_until, "back") == date(2026, 3, 17)


def test_one_members_trouble_is_nobody_elses_and_the_day_is_looked_through_again(core, clock, monkeypatch):
    a_rule(core, back_days=1)
    for number in range(4):
        bought(core, NOW - days(91 - number // 3), f"b{number}")
    whole, failed = service.win_back, []

    def troubled(session, rule, last, *, now):
        if not failed:
            failed.append(last)
            raise ConflictError
        return whole(session, rule, last, now=now)

    monkeypatch.setattr(service, "win_back", troubled)
    assert run(core) == 3
    assert all_of(core, queries.done_until, "back") is None
    assert run(core) == 1
    assert all_of(core, queries.done_until, "back") == date(2026, 3, 17)


def test_what_is_sold_out_is_a_refusal_and_the_day_is_done(core):
    a_rule(core, stock=1)
    for number in range(3):
        bought(core, NOW - days(90), f"b{number}")
    assert run(core) == 1
    assert states_of(core).count(("refused", "sold_out")) == 2
    assert run(core) == 0


def test_two_rules_with_other_days_give_each_for_itself(core, clock):
    a_rule(core)
    a_rule(core, code="back-180", lapse_days=180)
    bought(core, NOW - days(90))
    assert run(core) == 1
    clock.move(days(90))
    assert run(core) == 1
    assert {gift.rule_code for gift in all_of(core, gifts)} == {"back", "back-180"}


def test_a_merge_moves_the_gift_and_the_absence_gives_nothing_again(core):
    a_rule(core)
    draft, other = bought(core, NOW - days(90), "one"), bought(core, NOW - days(200), "two")
    assert run(core) == 1
    one, two = (buyer(core, each) for each in (draft, other))
    core.db.run(lambda s: merge.merge(s, one, two, reason="same person", actor=STAFF, now=NOW))
    assert run(core) == 0
    assert [gift.member_id for gift in all_of(core, gifts)] == [two]


def buyer(core, draft):
    from server.orders import queries as orders

    return all_of(core, orders.by_external, draft.channel, draft.external_no).member_id


def test_the_day_of_a_purchase_is_the_shops_day(core):
    """23:59 and 0:01 in Shanghai are one UTC day and two business days."""
    a_rule(core)
    midnight = datetime(2026, 3, 16, 16, 0, tzinfo=UTC)  # the beginning of 17 March, ninety days before 15 June
    for number, at in enumerate((midnight - timedelta(minutes=1), midnight, midnight + days(1) - timedelta(minutes=1))):
        bought(core, at, f"b{number}")
    assert run(core) == 2


def test_days_to_do_follow_the_zone_and_never_begin_before_the_rule_asks():
    terms = Terms(("t",), lapse_days=90, back_days=2)
    late = datetime(2026, 6, 15, 15, 59, tzinfo=UTC)
    assert lapse_days_to_do(terms, late, None, late, ZONE) == [date(2026, 3, 15), date(2026, 3, 16), date(2026, 3, 17)]
    assert lapse_days_to_do(terms, late, date(2026, 3, 16), late + timedelta(minutes=2), ZONE) == [date(2026, 3, 17), date(2026, 3, 18)]
    assert lapse_days_to_do(terms, late, date(2026, 3, 17), late, ZONE) == []
    new_york = ZoneInfo("America/New_York")
    # Across the change to summer time a day has 23 hours and is still one day.
    change = datetime(2026, 3, 8, 12, 0, tzinfo=UTC)
    assert len(lapse_days_to_do(Terms(("t",), lapse_days=1), change - days(1), None, change + days(1), new_york)) == 3


def test_the_newest_order_of_each_member_is_found_page_by_page(core):
    for number in range(5):
        bought(core, NOW - days(90), f"b{number}")
        bought(core, NOW - days(90) + timedelta(hours=1), f"b{number}")
    since, until = NOW - days(91), NOW - days(89)
    first = all_of(core, lambda s: purchases.last_bought(s, since, until, limit=3))
    rest = all_of(core, lambda s: purchases.last_bought(s, since, until, after=first[-1].member_id, limit=3))
    assert len({one.member_id for one in [*first, *rest]}) == len([*first, *rest]) == 5
    assert all(one.paid_at == NOW - days(90) + timedelta(hours=1) for one in first)


def test_who_has_left_or_is_frozen_gets_nothing_and_only_the_frozen_are_listed(core):
    a_rule(core)
    frozen, left = (buyer(core, bought(core, NOW - days(90), name)) for name in ("frozen", "left"))

    def change(session):
        for member_id, status in ((frozen, "frozen"), (left, "deleted")):
            session.execute(sa.update(Member).where(Member.id == member_id).values(status=status))

    core.db.run(change)
    assert run(core) == 0
    assert [(gift.member_id, gift.problem) for gift in all_of(core, gifts)] == [(frozen, "member_not_active")]
    assert all_of(core, queries.done_until, "back") == date(2026, 3, 17)
