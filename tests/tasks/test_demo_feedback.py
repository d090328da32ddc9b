"""The demonstration's tickets."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from server.feedback import desk_queries
from server.feedback.desk_queries import QueueFilter
from server.kernel.actors import SystemActor
from server.kernel.pagination import PageRequest
from server.staff import service as staff
from tasks.demo import DemoContext, feedback
from tests.factories.feedback import a_caller

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.clock import MovableClock


def a_demo(core: Core, clock: MovableClock) -> DemoContext:
    clock.move(-timedelta(days=60))
    people = [a_caller(core, f"openid-{number}").member_id for number in range(5)]
    clock.move(timedelta(days=60))
    actor = SystemActor("demo")
    staff_id = core.db.run(
        lambda session: staff.create(
            session,
            email="desk@example.com",
            name="周子涵",
            password="a long enough pass phrase 77",
            roles=["service"],
            actor=actor,
            reason="test",
            now=clock.now(),
        )
    )
    return DemoContext(
        now=clock.now(),
        rng=random.Random(7),
        actor=actor,
        sample_dir=Path(),
        core=core,
        members=people,
        facts={"staff.service": staff_id},
    )


def test_reviews_become_tickets_in_every_state_and_only_once(core: Core, clock: MovableClock) -> None:
    demo = a_demo(core, clock)
    for _ in range(2):
        core.db.run(lambda session: feedback.load(session, demo))
    with core.db.reading() as session:
        tickets = desk_queries.queue(session, QueueFilter(), PageRequest(limit=100)).items
        figures = desk_queries.figures(session, demo.now - timedelta(days=31), demo.now + timedelta(seconds=1))
        assert len(desk_queries.canned_replies(session)) == len(feedback.CANNED)
    assert 60 <= len(tickets) <= 70
    assert {ticket.state for ticket in tickets} == {"open", "assigned", "working", "answered", "closed", "reopened"}
    assert all(demo.now - timedelta(days=32) < ticket.opened_at <= ticket.updated_at <= demo.now for ticket in tickets)
    assert figures.breached
    assert figures.kept > figures.breached
    assert len(figures.ratings) > 2


def test_without_members_nothing_is_loaded(core: Core, clock: MovableClock) -> None:
    demo = a_demo(core, clock)
    demo.members.clear()
    core.db.run(lambda session: feedback.load(session, demo))
    with core.db.reading() as session:
        assert not desk_queries.canned_replies(session)
