"""The demonstration's points: rules and tiers, then habits of members."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest

from server.cards import service as cards
from server.kernel.actors import SystemActor
from server.kernel.pagination import PageRequest
from server.points import month_queries, openings, overview, queries
from server.staff import approvals
from server.tiers import queries as tiers
from tasks.demo import DemoContext, habits, money, partners, points, staff
from tests.conftest import START
from tests.factories.points import a_member


@pytest.fixture
def demo(core, session, tmp_path):
    demo = DemoContext(now=START, rng=random.Random(1), actor=SystemActor("demo"), sample_dir=tmp_path, core=core)
    staff.load(session, demo)
    partners.load(session, demo)
    return demo


def test_rules_and_tiers_are_loaded_once(session, demo):
    points.load(session, demo)
    points.load(session, demo)
    assert [rule.version for rule in queries.rule_versions(session)] == [1] * 7
    assert len(tiers.definitions(session)) == 4


def test_members_check_in_and_redeem_and_the_books_agree(session, demo):
    points.load(session, demo)
    demo.members = [a_member(session, now=START) for _ in range(20)]
    habits.load(session, demo)
    days = overview.daily_totals(session, START.date(), days=14)
    assert sum(day.issued for day in days) > 0
    assert sum(day.redeemed for day in days) > 0
    assert queries.prove(session) == []


def test_the_money_is_under_control(session, demo):
    points.load(session, demo)
    demo.members = [a_member(session, now=START - timedelta(days=50), points=500) for _ in range(9)]
    for member_id in demo.members[:5]:
        cards.issue(session, member_id, now=START)
    money.load(session, demo)
    (file,) = openings.newest(session)
    assert (file.balances, [fault[1:] for fault in file.faults]) == (5, [["card_no", "no_such_member"]])
    assert [view.subject_id for view in approvals.search(session, PageRequest(), kinds=["points.opening"]).items] == [str(file.id)]
    assert [view.state for view in approvals.search(session, PageRequest(), kinds=["points.adjust"]).items] == ["pending", "approved"]
    assert [month.month for month in month_queries.closed_months(session)] == [date(2026, 5, 1), date(2026, 4, 1)]
    assert queries.prove(session) == month_queries.prove_months(session) == []


def test_no_members_no_habits(session, demo):
    points.load(session, demo)
    habits.load(session, demo)
    assert overview.totals(session).accounts == 0
