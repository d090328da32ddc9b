"""Messages arrive once: a short run of the proof on every engine. ``python -m tests.chaos.messages`` is the long one."""

from __future__ import annotations

import shutil

import pytest

from tests.chaos.messages import Plan, run
from tests.chaos.servers import MariaDB, PostgreSQL
from tests.conftest import engines

pytestmark = [pytest.mark.committing, pytest.mark.full, pytest.mark.xdist_group("chaos")]

MISSING = {"postgresql": not PostgreSQL.binaries(), "mariadb": not MariaDB.binaries()}


@pytest.fixture(params=engines())
def engine(request):
    if MISSING.get(request.param):
        pytest.skip("there is no server to start and kill here")
    return request.param


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "run"
    shutil.rmtree(tmp_path / "run" / "redis", ignore_errors=True)


def test_a_thousand_messages_arrive_once_under_fifty_faults(engine, folder):
    verdict = run(Plan(messages=1000, faults=50, seed=11, engine=engine, members=100, patience=240), folder)
    assert verdict.violations == []
    assert verdict.states["sent"] > 800
    assert {"uncertain", "skipped"} <= verdict.states.keys()


def test_a_bulk_whose_workers_are_killed_goes_on_and_repeats_nothing(engine, folder):
    kills = ("kill messages", "kill schedule", "kill relay")
    verdict = run(Plan(messages=600, faults=12, seed=5, engine=engine, members=100, kinds=kills, patience=240, guests=False), folder)
    assert verdict.violations == []
    assert verdict.states["sent"] + verdict.states["uncertain"] + verdict.states["skipped"] == 600


def test_no_member_notices_that_redis_is_away_and_everything_is_sent_after(engine, folder):
    verdict = run(Plan(messages=400, faults=0, engine=engine, members=100, patience=240, redis_off=20), folder)
    assert verdict.violations == []
    assert verdict.states == {"sent": 392, "skipped": 8}
