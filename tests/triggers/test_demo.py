"""The demonstration's automatic coupons tell a story, and loading them twice tells it once."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from server.kernel.actors import SystemActor
from server.kernel.outbox import Event, OutboxEvent
from server.notifications import queries as notifications
from server.notifications.queries import MessageFilter
from server.orders.drafts import MemberRef
from server.triggers import queries
from tasks.demo import DemoContext, staff
from tasks.demo.triggers import load
from tasks.jobs import triggers as jobs
from tests.conftest import START
from tests.factories.members import a_member
from tests.factories.triggers import a_sale_of, sold


def test_every_rule_has_given_something_was_refused_taken_back_and_stayed(core, session):
    people = [a_member(session, now=START - timedelta(days=2 * number, hours=1)) for number in range(30)]
    for number, member_id in enumerate(people):
        ref = MemberRef(member_id=member_id)
        for at in (START - timedelta(days=1 + number % 20), START - timedelta(days=34 + number % 5))[number % 2 :]:
            sold(session, replace(a_sale_of(30_000, now=at, channel="till", receiver=None), member=ref), now=at)
    demo = DemoContext(START, random.Random(1), SystemActor("demo"), Path(), core, members=people)
    staff.load(session, demo)
    load(session, demo)
    told = queries.totals(session)
    assert set(told) == {"welcome", "next-order", "miss-you"}
    assert told["welcome"].given > 5
    assert (told["next-order"].kept, told["next-order"].revoked) == (1, 1)
    assert told["miss-you"].refused > 0
    load(session, demo)
    for row in session.query(OutboxEvent).filter(OutboxEvent.topic.in_(("members.enrolled", "orders.paid", "orders.refunded"))):
        event = Event(row.id, row.key, row.topic, row.aggregate_type, row.aggregate_id, row.version, row.payload, row.occurred_at)
        handler = jobs.on_member_enrolled if row.topic == "members.enrolled" else jobs.on_order_changed
        handler(session, event, core)
    assert queries.totals(session) == told
    assert notifications.count(session, MessageFilter(template="coupon_received")) > 5
