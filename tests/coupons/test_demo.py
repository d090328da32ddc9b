"""The demonstration's coupons tell a story, and loading them twice tells it once."""

from __future__ import annotations

import random
from pathlib import Path

from server.coupons import queries
from server.coupons.funnel_queries import funnel
from server.kernel.actors import SystemActor
from server.kernel.pagination import PageRequest
from tasks.demo import DemoContext, staff
from tasks.demo.coupons import load
from tests.conftest import START
from tests.factories.coupons import a_member


def test_the_demo_loads_once_and_fills_every_step_of_the_funnel(core, session):
    members = [a_member(session, now=START) for _ in range(40)]
    demo = DemoContext(START, random.Random(1), SystemActor("demo"), Path(), core, members=members)
    staff.load(session, demo)
    load(session, demo)
    first = queries.list_templates(session, PageRequest(50))
    load(session, demo)
    assert queries.list_templates(session, PageRequest(50)) == first
    assert {each.draft.code for each in first.items} >= {"birthday", "newcomer"}
    newcomer = funnel(session, demo.facts["coupons.templates"]["newcomer"], now=START)
    assert newcomer.claimed > 10
    assert newcomer.redeemed > 2
    assert newcomer.sales_fen > newcomer.discount_fen > 0
    ended = funnel(session, demo.facts["coupons.templates"]["festival-618"], now=START)
    assert ended.expired > 0
