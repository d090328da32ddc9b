"""The demonstration's rewards tell a story, and loading them twice tells it once; a leaving member's parcels are waited for."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from server.files import queries as files
from server.kernel.actors import SystemActor
from server.kernel.amounts import Points
from server.kernel.pagination import PageRequest
from server.members import deletion
from server.points import queries as points
from server.points import service
from server.rewards import queries
from server.rewards import service as rewards
from tasks.demo import DemoContext
from tasks.demo.rewards import load
from tasks.jobs import privacy as job
from tests.conftest import START
from tests.factories.feedback import a_caller
from tests.factories.points import a_member, a_source
from tests.factories.rewards import STAFF, a_redemption, a_reward


def test_the_demo_loads_once_and_has_something_in_every_state(core, session):
    members = [a_member(session, now=START, points=2000) for _ in range(30)]
    demo = DemoContext(START, random.Random(1), SystemActor("demo"), Path(), core, members=members)
    load(session, demo)
    first = queries.list_rewards(session, PageRequest(50))
    made = queries.list_redemptions(session, PageRequest(100))
    load(session, demo)
    assert queries.list_rewards(session, PageRequest(50)) == first
    assert queries.list_redemptions(session, PageRequest(100)) == made
    assert {each.draft.kind.value for each in first.items} >= {"goods", "service"}
    assert len(files.views(session, [each.draft.picture_id for each in first.items])) == len(first.items)
    assert {each.state for each in made.items} >= {"placed", "fulfilled", "cancelled"}
    assert queries.work(session).to_ship > 0
    assert queries.payment_policy(session).max_percent == 50
    assert points.prove(session) == []


@pytest.mark.committing
def test_goods_still_to_be_sent_hold_a_deletion_and_then_nobody_knows_the_receiver(core, clock):
    caller = a_caller(core)
    with core.db.transaction() as session:
        service.accrue(session, caller.member_id, Points(100), source=a_source(), reason="Gift", actor=STAFF, now=START)
        one = a_redemption(session, caller.member_id, a_reward(session, now=START), now=START)
        deletion.request_deletion(session, caller.member_id, reason=None, actor=caller.actor, now=START)
    clock.move(timedelta(days=7))
    assert job.erase_due(core, clock.now()) == 0
    with core.db.transaction() as session:
        rewards.ship(session, one.id, carrier="顺丰速运", tracking_no="SF1", actor=STAFF, now=clock.now())
    clock.move(timedelta(days=1))
    assert job.erase_due(core, clock.now()) == 1
    with core.db.reading() as session:
        found = queries.find(session, one.id)
    assert (found.receiver, found.state) == (None, "fulfilled")
