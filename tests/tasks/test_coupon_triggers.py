"""Automatic coupons by way of the outbox: relay and worker as in the product, with the subscriptions of the product."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from server.kernel.outbox import OutboxDelivery
from server.orders.drafts import MemberRef
from server.triggers.rules import TriggerKind
from tasks import deliveries
from tasks.queues import EVENTS
from tasks.relay import Relay
from tasks.subscriptions import SUBSCRIPTIONS, by_name
from tests.conftest import START
from tests.factories.members import a_member
from tests.factories.orders import an_event, told
from tests.factories.tiers import a_rule
from tests.factories.triggers import a_sale_of, a_trigger, coupons, gifts, sold

NOW = START
BEFORE = NOW - timedelta(days=1)
pytestmark = [pytest.mark.committing, pytest.mark.requirement("CPN2")]


@pytest.fixture
def work(core, redis):
    """Give what lets the relay and the workers do all there is to do, chains of news too."""
    names = [one.name for table in SUBSCRIPTIONS.values() for one in table if one.queue is EVENTS and not one.alone]

    def work():
        for _ in range(5):
            while Relay(core, redis, SUBSCRIPTIONS).turn():
                pass
            waiting = sa.select(OutboxDelivery.id).where(OutboxDelivery.state != "done", OutboxDelivery.subscription.in_(names))
            with core.db.reading() as session:
                ids = list(session.scalars(waiting))
            if not ids:
                return
            deliveries.run(core, ids, by_name())

    return work


def of(core, what, *arguments):
    with core.db.reading() as session:
        return what(session, *arguments)


def test_joining_a_tier_and_an_order_give_and_the_refund_takes_the_orders_coupon_back(core, work):
    def rules(session):
        a_rule(session, now=BEFORE)
        a_trigger(session, TriggerKind.WELCOME, now=BEFORE, code="welcome")
        a_trigger(session, TriggerKind.TIER_UP, now=BEFORE, code="tier", tiers=("silver",))
        a_trigger(session, TriggerKind.ORDER, now=BEFORE, code="order")

    core.db.run(rules)
    member_id = core.db.run(lambda s: a_member(s, now=NOW))
    work()
    assert [gift.rule_code for gift in of(core, gifts)] == ["welcome"]
    draft = replace(a_sale_of(150_000, now=NOW), member=MemberRef(member_id=member_id))
    core.db.run(lambda s: sold(s, draft, now=NOW))
    work()
    assert {gift.rule_code: gift.state for gift in of(core, gifts)} == {"welcome": "given", "tier": "given", "order": "given"}
    core.db.run(lambda s: told(s, draft, an_event("refunded", NOW, refund_id="r"), now=NOW))
    work()
    assert {gift.rule_code: gift.state for gift in of(core, gifts)} == {"welcome": "given", "tier": "given", "order": "revoked"}
    assert sorted(of(core, coupons, member_id)) == ["issued", "issued", "voided"]


def test_a_refund_that_is_told_before_the_payment_was_handled_leaves_no_coupon(core, work):
    core.db.run(lambda s: a_trigger(s, TriggerKind.ORDER, now=BEFORE))
    draft = a_sale_of(25_000, now=NOW)
    core.db.run(lambda s: sold(s, draft, now=NOW))
    core.db.run(lambda s: told(s, draft, an_event("refunded", NOW, refund_id="r"), now=NOW))
    work()
    assert of(core, gifts) == []
