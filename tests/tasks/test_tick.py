from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from threading import Barrier, Thread
from zoneinfo import ZoneInfo

import pytest

from server.operations import queries
from tasks import deliveries as delivery_module
from tasks.jobs import outbox, scheduled
from tasks.relay import Relay
from tasks.schedule import JOBS, MINUTE, MOST_MISSED, Daily, Every, Job, missed
from tasks.subscriptions import SUBSCRIPTIONS, by_name, load_function
from tasks.tick import Tick

SHANGHAI = ZoneInfo("Asia/Shanghai")
EACH = Job("tests.each", Daily(time(9, 0)), "tests.tasks.handlers:count_period", each=True)
NEWEST = Job("tests.newest", MINUTE, "tests.tasks.handlers:count_period")


def test_every_minute_is_due_on_the_full_minute():
    now = datetime(2026, 6, 15, 4, 0, 59, tzinfo=UTC)
    assert MINUTE.latest(now, SHANGHAI) == datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
    assert missed(NEWEST, MINUTE.latest(now, SHANGHAI), now, SHANGHAI) == []


def test_daily_follows_the_shops_clock_across_a_change_of_summer_time():
    zone = ZoneInfo("Europe/Berlin")
    rhythm = Daily(time(9, 0))
    saturday = rhythm.latest(datetime(2026, 3, 28, 12, 0, tzinfo=UTC), zone)
    assert saturday == datetime(2026, 3, 28, 8, 0, tzinfo=UTC)
    assert rhythm.following(saturday, zone) == datetime(2026, 3, 29, 7, 0, tzinfo=UTC)
    assert rhythm.latest(datetime(2026, 3, 29, 6, 59, tzinfo=UTC), zone) == saturday


def test_a_job_that_makes_up_for_each_period_misses_none_after_days_of_downtime():
    last = datetime(2026, 6, 10, 1, 0, tzinfo=UTC)
    found = missed(EACH, last, datetime(2026, 6, 13, 1, 0, tzinfo=UTC), SHANGHAI)
    assert found == [last + timedelta(days=days) for days in (1, 2, 3)]


def test_one_run_does_the_work_of_all_missed_minutes():
    last = datetime(2026, 6, 10, 1, 0, tzinfo=UTC)
    assert missed(NEWEST, last, last + timedelta(days=3), SHANGHAI) == [last + timedelta(days=3)]


def test_no_more_than_a_bounded_number_of_periods_is_made_up_at_once():
    job = Job("tests.busy", Every(1), "tests.tasks.handlers:count_period", each=True)
    last = datetime(2026, 6, 10, 1, 0, tzinfo=UTC)
    assert len(missed(job, last, last + timedelta(days=1), SHANGHAI)) == MOST_MISSED


def test_a_clock_set_back_plans_nothing_twice():
    last = datetime(2026, 6, 10, 1, 0, tzinfo=UTC)
    assert missed(NEWEST, last, last - timedelta(minutes=5), SHANGHAI) == []
    assert missed(EACH, last, last - timedelta(days=5), SHANGHAI) == []


def test_every_job_of_the_schedule_has_a_name_of_its_own_and_a_function():
    assert len({job.name for job in JOBS}) == len(JOBS)
    for job in JOBS:
        assert callable(load_function(job.function)), job.name


@pytest.mark.committing
def test_a_due_run_is_planned_once_however_many_ticks_there_are(core, clock):
    jobs = (EACH, NEWEST)
    barrier = Barrier(4)
    planned = []

    def work():
        tick = Tick(core, jobs)
        barrier.wait()
        planned.append(tick.turn())

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(planned) == 2
    assert Tick(core, jobs).turn() == 0
    with core.db.reading() as session:
        assert {run.job for run in queries.latest_runs(session)} == {"tests.each", "tests.newest"}
        assert queries.queue_health(session, clock.now()).pending == 2


def handle_all(core, redis, deliveries, jobs, monkeypatch):
    monkeypatch.setattr(scheduled.run_due, "__defaults__", (jobs,))
    Relay(core, redis).turn()
    return delivery_module.run(core, [row.id for row in deliveries()], by_name())


@pytest.mark.committing
def test_days_of_downtime_are_made_up_for_and_overtaken_minutes_left_out(core, clock, redis, deliveries, effects, monkeypatch):
    jobs = (EACH, NEWEST)
    Tick(core, jobs).turn()
    clock.move(timedelta(days=3))
    Tick(core, jobs).turn()
    handle_all(core, redis, deliveries, jobs, monkeypatch)
    with core.db.reading() as session:
        runs = queries.latest_runs(session)
    assert [run.state for run in runs if run.job == "tests.each"] == ["done"] * 4
    assert [run.state for run in runs if run.job == "tests.newest"] == ["done", "superseded"]
    assert len(effects()) == 5


@pytest.mark.committing
def test_a_run_of_a_job_that_left_the_schedule_ends_without_effect(core, redis, deliveries, effects, monkeypatch):
    Tick(core, (NEWEST,)).turn()
    assert handle_all(core, redis, deliveries, (), monkeypatch) == 1
    assert effects() == []


@pytest.mark.committing
def test_old_events_runs_and_answers_are_forgotten_but_never_a_jobs_newest_run(core, clock, redis, deliveries, effects, monkeypatch):
    Tick(core, (NEWEST,)).turn()
    clock.move(timedelta(minutes=1))
    Tick(core, (NEWEST,)).turn()
    handle_all(core, redis, deliveries, (NEWEST,), monkeypatch)
    clock.move(timedelta(days=8))
    assert outbox.forget_done(core, clock.now()) == 3
    assert outbox.forget_idempotency(core, clock.now()) == 0
    assert outbox.sweep(core, clock.now()) == 0
    with core.db.reading() as session:
        assert len(queries.latest_runs(session)) == 1
    assert deliveries() == []


def test_every_subscription_has_a_handler_that_loads():
    for subscription in by_name().values():
        assert callable(subscription.load()), subscription.name


def test_two_subscriptions_of_one_name_are_refused():
    twice = SUBSCRIPTIONS["schedule.due"]
    with pytest.raises(ValueError, match=r"schedule\.run"):
        by_name({"a": twice, "b": twice})
