"""The demonstration's points: rules and tiers, then habits of members."""

from __future__ import annotations

import random

import pytest

from server.kernel.actors import SystemActor
from server.points import overview, queries
from server.tiers import queries as tiers
from tasks.demo import DemoContext, habits, points
from tests.conftest import START
from tests.factories.points import a_member


@pytest.fixture
def demo(core, tmp_path):
    return DemoContext(now=START, rng=random.Random(1), actor=SystemActor("demo"), sample_dir=tmp_path, core=core)


def test_rules_and_tiers_are_loaded_once(session, demo):
    points.load(session, demo)
    points.load(session, demo)
    assert [rule.version for rule in queries.rule_versions(session)] == [1, 1, 1]
    assert len(tiers.definitions(session)) == 4


def test_members_check_in_and_redeem_and_the_books_agree(session, demo):
    points.load(session, demo)
    demo.members = [a_member(session, now=START) for _ in range(20)]
    habits.load(session, demo)
    days = overview.daily_totals(session, START.date(), days=14)
    assert sum(day.issued for day in days) > 0
    assert sum(day.redeemed for day in days) > 0
    assert queries.prove(session) == []


def test_no_members_no_habits(session, demo):
    points.load(session, demo)
    habits.load(session, demo)
    assert overview.totals(session).accounts == 0
