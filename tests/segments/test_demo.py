"""The demonstration's segments have people in them, and loading them twice writes them once."""

from __future__ import annotations

import random
from pathlib import Path

from server.coupons import queries as coupons
from server.kernel.actors import SystemActor
from server.rosters import queries as rosters
from server.segments import queries
from tasks.demo import DemoContext
from tasks.demo.segments import SEGMENTS, load
from tests.conftest import START
from tests.factories.members import a_member


def test_they_are_written_and_built_once(core, session):
    member_id = a_member(session, now=START)
    demo = DemoContext(START, random.Random(1), SystemActor("demo"), Path(), core, members=[member_id])
    for _ in range(2):
        load(session, demo)
    assert [view.version for view in queries.newest(session)] == [1] * len(SEGMENTS)
    assert all(view.rule.problems() == {} for view in queries.newest(session))
    built = rosters.rosters(session)
    assert {code: (one.version, one.size) for code, one in built.items()} == {"lapsed": (1, 0), "newcomers": (1, 1), "regulars": (1, 0)}
    assert rosters.all_memberships(session, member_id) == ["newcomers"]
    assert coupons.template_by_code(session, "regulars-30") is not None
