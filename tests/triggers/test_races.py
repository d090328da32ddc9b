"""Many workers at once, kills half-way, and news that overtakes: exactly one coupon, or none."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from server.flows import merge
from server.triggers import giving, service
from server.triggers.rules import TriggerKind
from tasks.jobs import triggers as jobs
from tests.conftest import START
from tests.coupons.test_races import at_once, wide
from tests.factories.members import a_member
from tests.factories.orders import an_event, told
from tests.factories.triggers import STAFF, a_sale_of, a_trigger, coupons, gifts, sold, states

NOW = START
pytestmark = [pytest.mark.committing, pytest.mark.requirement("CPN3")]


def an_order_rule(core, **more):
    return core.db.run(lambda s: a_trigger(s, TriggerKind.ORDER, now=NOW - timedelta(days=1), **more))


def settle(order_id, at=NOW):
    return lambda session: service.settle_order(session, order_id, now=at)


def found(core, what):
    with core.db.reading() as session:
        return what(session)


def test_an_order_settled_by_many_at_once_gives_one(core, settings):
    core = wide(core, settings, 8)
    an_order_rule(core)
    order_id = core.db.run(lambda s: sold(s, a_sale_of(25_000, now=NOW), now=NOW))
    assert sorted(at_once(core, [settle(order_id)] * 8, 8)) == [0] * 7 + [1]
    assert found(core, coupons) == ["issued"]
    core.close()


def test_a_welcome_told_to_many_at_once_gives_one(core, settings):
    core = wide(core, settings, 8)
    core.db.run(lambda s: a_trigger(s, TriggerKind.WELCOME, now=NOW - timedelta(days=1)))
    member_id = core.db.run(lambda s: a_member(s, now=NOW))
    given = at_once(core, [lambda s: service.welcome(s, member_id, occurred_at=NOW, now=NOW)] * 8, 8)
    assert sorted(given) == [0] * 7 + [1]
    assert found(core, coupons) == ["issued"]
    core.close()


def test_orders_of_many_members_at_once_never_outrun_the_stock(core, settings):
    core = wide(core, settings, 8)
    an_order_rule(core, stock=5)
    drafts = [a_sale_of(25_000, now=NOW, buyer=f"b{place}") for place in range(16)]
    ids = [core.db.run(lambda s, draft=draft: sold(s, draft, now=NOW)) for draft in drafts]
    given = at_once(core, [settle(order_id) for order_id in ids], 8)
    assert sum(given) == 5
    assert sorted(found(core, states)).count(("refused", "sold_out")) == 11
    core.close()


def test_a_refund_that_comes_while_the_payment_is_handled_leaves_no_coupon(core, settings):
    """The payment's handler has read the order as paid; the refund is taken in and handled before it commits."""
    core = wide(core, settings, 4)
    an_order_rule(core)
    drafts = [a_sale_of(25_000, now=NOW, buyer=f"b{place}") for place in range(6)]
    ids = [core.db.run(lambda s, draft=draft: sold(s, draft, now=NOW)) for draft in drafts]
    give, read, may_go_on = giving.give, threading.Event(), threading.Event()

    def pausing(session, rule, occasion, *, now):
        read.set()
        may_go_on.wait(0.4)
        return give(session, rule, occasion, now=now)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setattr(giving, "give", pausing)
        for draft, order_id in zip(drafts, ids, strict=True):
            read.clear()
            paying = pool.submit(core.db.run, settle(order_id), attempts=20)
            assert read.wait(10)

            def refunded(draft=draft, order_id=order_id):
                core.db.run(lambda s: told(s, draft, an_event("refunded", NOW, refund_id="r"), now=NOW), attempts=20)
                core.db.run(settle(order_id), attempts=20)

            going_back = pool.submit(refunded)
            paying.result(20)
            going_back.result(20)
    assert found(core, states) == [("revoked", "order_gone")] * 6
    assert found(core, coupons) == ["voided"] * 6
    core.close()


def test_a_kill_before_the_commit_leaves_nothing_and_the_next_attempt_gives_one(core, monkeypatch):
    an_order_rule(core, packs=2)
    order_id = core.db.run(lambda s: sold(s, a_sale_of(25_000, now=NOW), now=NOW))
    issue, calls = giving.coupons.issue, []

    def dying(*arguments, **named):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return issue(*arguments, **named)

    monkeypatch.setattr(giving.coupons, "issue", dying)
    with pytest.raises(KeyboardInterrupt):
        core.db.run(settle(order_id))
    assert found(core, coupons) == []
    assert found(core, gifts) == []
    monkeypatch.undo()
    assert core.db.run(settle(order_id)) == 2
    assert core.db.run(settle(order_id)) == 0


def test_merges_among_welcomes_leave_one_for_each_person(core, settings):
    core = wide(core, settings, 8)
    core.db.run(lambda s: a_trigger(s, TriggerKind.WELCOME, now=NOW - timedelta(days=1)))
    pairs = [core.db.run(lambda s: (a_member(s, now=NOW), a_member(s, now=NOW))) for _ in range(6)]

    def greet(member_id):
        return lambda s: service.welcome(s, member_id, occurred_at=NOW, now=NOW)

    def join(one, two):
        return lambda s: merge.merge(s, one, two, reason="same person", actor=STAFF, now=NOW)

    works = [work for one, two in pairs for work in (greet(one), join(one, two), greet(two))]
    at_once(core, works, 6)
    live = found(core, lambda s: [gift.member_id for gift in gifts(s, state="given")])
    assert sorted(live) == sorted(two for _, two in pairs)
    assert found(core, coupons).count("issued") == 6
    core.close()


def test_two_runs_of_winning_back_at_once_give_each_member_one(core, settings):
    core = wide(core, settings, 4)
    core.db.run(lambda s: a_trigger(s, TriggerKind.WIN_BACK, now=NOW, back_days=3))
    for place in range(12):
        at = NOW - timedelta(days=90 + place % 4)
        core.db.run(lambda s, at=at, place=place: sold(s, a_sale_of(5_000, now=at, buyer=f"b{place}"), now=at))
    gate = threading.Barrier(3)

    def run(_number):
        gate.wait()
        return jobs.win_back(core, NOW)

    with ThreadPoolExecutor(3) as pool:
        given = list(pool.map(run, range(3)))
    assert sum(given) == 12
    assert found(core, coupons) == ["issued"] * 12
    core.close()
