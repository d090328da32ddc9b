"""Events may come before their order: they wait for it, and the end is the one that any other order of news would have made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import permutations
from threading import Barrier

import pytest
import sqlalchemy as sa

from server.flows import intake
from server.flows.history import CREATED, HistoryIntake
from server.kernel.pagination import PageRequest
from server.orders import pending, queries
from server.orders.errors import EventConflictError, OrderInvalidError
from server.orders.models import OrderEventRow, OrderPendingEvent
from server.points import proofs
from server.points import queries as points
from server.points import service as points_service
from tasks.jobs import orders as jobs
from tests.conftest import START
from tests.factories.orders import SHOP, SYSTEM, a_draft, a_till_draft, an_event, an_order, told

NOW = START


def reported(session, draft, event, *, now=NOW):
    return intake.report_event(session, draft.channel, draft.external_no, event, actor=SHOP, now=now)


def waiting(session):
    return pending.waiting(session, PageRequest()).items


def seen(session, draft):
    order = queries.by_external(session, draft.channel, draft.external_no)
    events = sorted((event.event_id, event.kind, event.actor) for event in order.events if not event.event_id.startswith("own:"))
    balance = points.balance(session, order.member_id, now=NOW)
    parcels = [(parcel.tracking_no, parcel.promised_at) for parcel in order.shipments]
    exceptions = sorted((found.rule, found.state) for found in order.exceptions)
    return order.state, order.refunded_fen, events, (balance.available, balance.pending), parcels, exceptions


def the_events():
    return [
        an_event("shipped", NOW + timedelta(hours=1), event_id="s", carrier="shunfeng", tracking_no="SF1"),
        an_event("delivered", NOW + timedelta(days=2), event_id="d"),
        an_event("refunded", NOW + timedelta(days=3), event_id="r", refund_id="R", refund_fen=2_500),
    ]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_every_order_of_a_sale_and_its_events_ends_alike(core, order):
    ends = []
    for news in (order, (0, 1, 2, 3)):
        with core.db._session(core.db.engine) as session:
            points_service.ensure_default_rules(session, actor=SYSTEM, now=NOW)
            draft = a_draft(now=NOW, external_no="P-1")
            events = the_events()
            for place in news:
                if place == 0:
                    taken = an_order(session, draft, now=NOW)
                    assert taken.state == queries.find(session, taken.order_id).state
                else:
                    reported(session, draft, events[place - 1])
            assert waiting(session) == []
            assert proofs.prove(session) == []
            ends.append(seen(session, draft))
            session.rollback()
    assert ends[0] == ends[1]
    assert ends[0][0] == "delivered"


def test_an_early_event_waits_once_and_other_content_is_refused(session):
    draft = a_draft(now=NOW)
    event = an_event("shipped", NOW, event_id="s", tracking_no="SF1")
    assert reported(session, draft, event) == (None, True)
    assert reported(session, draft, event) == (None, False)
    with pytest.raises(EventConflictError):
        reported(session, draft, an_event("delivered", NOW, event_id="s"))
    for channel, number in (("sh op", "1"), ("shop", ""), ("shop", "x" * 81)):
        with pytest.raises(OrderInvalidError):
            intake.report_event(session, channel, number, event, actor=SHOP, now=NOW)
    (found,) = waiting(session)
    assert (found.event, found.actor.ref, found.received_at) == (event, SHOP.ref, NOW)
    assert pending.waiting(session, PageRequest(), channel="other").items == []


def test_an_event_that_the_order_refuses_becomes_an_exception(session):
    from server.orders.drafts import RefundLine

    draft = a_draft(now=NOW)
    reported(session, draft, an_event("refunded", NOW, event_id="bad", lines=(RefundLine(99, 1),)))
    reported(session, draft, an_event("shipped", NOW, event_id="good"))
    taken = an_order(session, draft, now=NOW)
    assert (taken.state, taken.exceptions) == ("shipped", ["event_refused"])
    (found,) = queries.find(session, taken.order_id).exceptions
    assert (found.key, found.detail) == ("bad", {"kind": "refunded", "code": "order_invalid"})


def test_a_history_takes_over_what_waits(session):
    points_service.ensure_default_rules(session, actor=SYSTEM, now=NOW)
    drafts = [a_till_draft(now=NOW, external_no=f"H-{number}") for number in range(2)]
    reported(session, drafts[1], an_event("refunded", NOW, event_id="r"))
    outcomes = HistoryIntake(SHOP).take_in(session, drafts, now=NOW)
    assert {outcome.result for outcome in outcomes} == {CREATED}
    states = [queries.by_external(session, draft.channel, draft.external_no).state for draft in drafts]
    assert (states, waiting(session)) == (["completed", "refunded"], [])


@pytest.mark.committing
def test_events_and_their_orders_at_the_same_moment_lose_nothing(core):
    """Neither may see the other: what was left behind is found by the next minute's look."""
    core.db.run(lambda s: points_service.ensure_default_rules(s, actor=SYSTEM, now=NOW))
    drafts = [a_draft(now=NOW, external_no=f"N-{number}") for number in range(12)]
    start = Barrier(6)

    def work(place):
        start.wait()
        for draft in drafts:
            event = an_event("shipped", NOW, event_id=f"s{place % 2}", tracking_no="SF1")
            if place < 2:
                core.db.run(lambda s, draft=draft: an_order(s, draft, now=NOW), attempts=20)
            else:
                core.db.run(lambda s, draft=draft, event=event: reported(s, draft, event), attempts=20)

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(work, place) for place in range(6)]:
            done.result(120)
    jobs.apply_pending(core, NOW)
    with core.db.reading() as session:
        assert waiting(session) == []
        kinds = dict.fromkeys(("placed", "paid", "shipped"), 0)
        for kind in session.scalars(sa.select(OrderEventRow.kind)):
            kinds[kind] += 1
        assert kinds == {"placed": 12, "paid": 12, "shipped": 24}
        assert proofs.prove(session) == []


@pytest.mark.committing
def test_what_was_left_behind_is_applied_and_what_never_comes_is_forgotten(core, clock):
    draft, never = a_draft(now=NOW), a_draft(now=NOW)
    core.db.run(lambda s: reported(s, never, an_event("shipped", NOW)))
    core.db.run(lambda s: an_order(s, draft, now=NOW))
    core.db.run(lambda s: pending.park(s, draft.channel, draft.external_no, an_event("shipped", NOW), actor=SHOP, now=NOW))
    assert jobs.apply_pending(core, NOW) == 1
    with core.db.reading() as session:
        assert queries.by_external(session, draft.channel, draft.external_no).state == "shipped"
        assert len(waiting(session)) == 1
    clock.move(pending.KEEP + timedelta(seconds=1))
    assert jobs.apply_pending(core, NOW) == 1
    assert jobs.apply_pending(core, NOW) == 0
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(OrderPendingEvent)) == 0


def test_a_parcel_is_promised_by_its_sender_else_by_the_channel_else_by_the_shop(session):
    by_policy, by_channel = a_draft(now=NOW), a_draft(now=NOW, promised_at=NOW + timedelta(days=9))
    for draft in (by_policy, by_channel):
        an_order(session, draft, now=NOW)
        told(session, draft, an_event("shipped", NOW, tracking_no="SF1"), now=NOW)
    (parcel,) = queries.by_external(session, by_policy.channel, by_policy.external_no).shipments
    # Shipped at noon of 15 June: the end of the fifth day after it, in the shop's zone.
    assert parcel.promised_at.isoformat() == "2026-06-20T16:00:00+00:00"
    (parcel,) = queries.by_external(session, by_channel.channel, by_channel.external_no).shipments
    assert parcel.promised_at == NOW + timedelta(days=9)
    words = [(timedelta(hours=2), timedelta(days=3)), (timedelta(hours=4), timedelta(days=7)), (timedelta(hours=3), timedelta(days=5))]
    for place, (at, promise) in enumerate(words):
        event = an_event("shipped", NOW + at, event_id=f"p{place}", tracking_no="SF1", promised_at=NOW + promise)
        told(session, by_channel, event, now=NOW)
    (parcel,) = queries.by_external(session, by_channel.channel, by_channel.external_no).shipments
    assert parcel.promised_at == NOW + timedelta(days=7)


def test_a_promise_is_part_of_what_was_said(session):
    from server.orders.errors import OrderConflictError

    draft = a_draft(now=NOW, external_no="Q-1")
    an_order(session, draft, now=NOW)
    with pytest.raises(OrderConflictError):
        an_order(session, a_draft(now=NOW, external_no="Q-1", promised_at=NOW), now=NOW)
