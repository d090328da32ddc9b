from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread
from uuid import uuid4

import pytest
import sqlalchemy as sa
from rq.timeouts import JobTimeoutException

from server.kernel.db import update_where
from server.kernel.errors import ConflictError
from server.kernel.outbox import OutboxDelivery
from server.operations import queries, service
from tasks import deliveries as module
from tasks import process
from tasks.queues import EVENTS
from tasks.relay import Relay
from tasks.subscriptions import Subscription, by_name
from tests.tasks import handlers

COUNT = Subscription("tests.count", "tests.tasks.handlers:count_then_fail")
ALONE = Subscription("tests.alone", "tests.tasks.handlers:count_alone", alone=True)
TABLE = {"tests.happened": (COUNT,), "tests.longer": (ALONE,)}
NAMES = by_name(TABLE)
pytestmark = pytest.mark.committing


@pytest.fixture
def ids(core, redis, deliveries, effects):
    def ids():
        Relay(core, redis, TABLE).turn()
        return [row.id for row in deliveries()]

    return ids


def test_effect_and_done_are_there_together(core, tell, ids, deliveries, effects):
    keys = [tell(), tell(), tell("tests.longer")]
    assert module.run(core, ids(), NAMES) == 3
    assert sorted(effects()) == sorted(keys)
    assert {(row.state, row.lease_until, row.error) for row in deliveries()} == {("done", None, None)}


def test_a_second_run_changes_nothing(core, tell, ids, effects):
    tell()
    tell("tests.longer")
    found = ids()
    module.run(core, found, NAMES)
    assert module.run(core, found, NAMES) == 0
    assert len(effects()) == 2


def test_a_refusal_leaves_no_effect_goes_back_with_a_pause_and_stops_no_other(core, clock, tell, ids, deliveries, effects):
    tell(fails=True)
    good = tell()
    assert module.run(core, ids(), NAMES) == 1
    assert effects() == [good]
    failed, done = deliveries()
    assert (failed.state, failed.attempts, failed.error) == ("pending", 1, "NotTodayError: not_today")
    assert failed.available_at == clock.now() + timedelta(seconds=2)
    assert done.state == "done"


def test_what_is_kept_of_an_unexpected_error_is_its_class_only(core, tell, ids, deliveries):
    tell(breaks=True)
    module.run(core, ids(), NAMES)
    assert deliveries()[0].error == "RuntimeError"


def test_after_the_last_attempt_it_is_dead_with_an_incident_and_can_be_tried_again_by_hand(core, clock, tell, ids, deliveries, effects):
    tell(fails=True)
    for _ in range(module.MAX_ATTEMPTS):
        module.run(core, ids(), NAMES)
        clock.move(timedelta(hours=2))
    (dead,) = deliveries()
    assert dead.state == "dead"
    with core.db.reading() as session:
        (incident,) = queries.incidents(session)
        assert (incident.kind, incident.subject) == ("delivery.dead", str(dead.id))
        assert queries.queue_health(session, clock.now()).dead == 1
        assert [stuck.id for stuck in queries.stuck_deliveries(session)] == [dead.id]
    assert module.run(core, [dead.id], NAMES) == 0
    core.db.run(lambda session: service.retry_delivery(session, dead.id, now=clock.now()))
    assert deliveries()[0].state == "pending"
    with pytest.raises(ConflictError):
        core.db.run(lambda session: service.retry_delivery(session, dead.id, now=clock.now()))
    assert effects() == []


def test_the_pause_doubles_and_never_grows_beyond_an_hour():
    pauses = [module.pause_after(attempts).total_seconds() for attempts in (1, 2, 3, 11, 12, 100)]
    assert pauses == [2, 4, 8, 2048, 3600, 3600]


def test_a_timeout_of_the_job_is_not_swallowed_and_costs_no_effect(core, tell, ids, deliveries, effects, monkeypatch):
    tell()

    def slow(session, event, core):
        handlers.count(session, event, core)
        raise JobTimeoutException

    found = ids()
    monkeypatch.setattr(Subscription, "load", lambda self: slow)
    with pytest.raises(JobTimeoutException):
        module.run(core, found, NAMES)
    assert effects() == []
    assert deliveries()[0].state == "dispatched"


def test_an_alarm_in_the_middle_of_a_statement_ends_the_job_although_the_database_is_what_complains(
    core, tell, ids, deliveries, effects, monkeypatch
):
    tell()

    def slow(session, event, core):
        handlers.count(session, event, core)
        error = sa.exc.OperationalError("ROLLBACK", None, Exception("another command is already in progress"))
        error.__context__ = JobTimeoutException()
        raise error

    found = ids()
    monkeypatch.setattr(Subscription, "load", lambda self: slow)
    with pytest.raises(sa.exc.OperationalError):
        module.run(core, found, NAMES)
    assert effects() == []
    assert deliveries()[0].state == "dispatched"


def test_work_that_kills_its_worker_is_given_up_by_the_sweep(core, clock, tell, ids, deliveries):
    tell()
    found = ids()
    statement = sa.update(OutboxDelivery).values(attempts=module.MAX_ATTEMPTS)
    core.db.run(lambda session: update_where(session, statement))
    assert core.db.run(lambda session: module.bury_exhausted(session, clock.now())) == 0
    clock.move(EVENTS.lease)
    assert core.db.run(lambda session: module.bury_exhausted(session, clock.now())) == 1
    assert [(row.id, row.state, row.error) for row in deliveries()] == [(found[0], "dead", "WorkerDied")]


def test_what_was_being_sent_when_the_lease_ran_out_is_uncertain_and_never_sent_again(core, clock, redis, tell, ids, deliveries):
    tell()
    ids()
    core.db.run(lambda session: update_where(session, sa.update(OutboxDelivery).values(state="sending")))
    clock.move(EVENTS.lease)
    assert core.db.run(lambda session: module.expire_sending(session, clock.now())) == 1
    assert deliveries()[0].state == "uncertain"
    assert Relay(core, redis, TABLE).turn() == 0
    assert module.run(core, [deliveries()[0].id], NAMES) == 0


def test_a_subscription_of_another_release_is_left_to_it(core, tell, ids, deliveries):
    tell()
    assert module.run(core, ids(), {}) == 0
    assert (deliveries()[0].state, deliveries()[0].attempts) == ("dispatched", 0)


def test_six_workers_on_the_same_batch_take_effect_once(core, tell, ids, effects):
    for _ in range(30):
        tell()
    found = ids()
    barrier = Barrier(6)
    done = []

    def work():
        barrier.wait()
        done.append(module.run(core, found, NAMES))

    threads = [Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == 30
    assert len(effects()) == len(set(effects())) == 30


def test_the_job_that_rq_calls_needs_a_core(monkeypatch):
    monkeypatch.setattr(process, "_cores", [])
    with pytest.raises(RuntimeError):
        module.run_batch([])


def test_the_job_that_rq_calls_takes_ids_as_text(core, monkeypatch):
    monkeypatch.setattr(process, "_cores", [])
    process.install(core)
    module.run_batch([str(uuid4())])


BULK = {"tests.happened": (Subscription("tests.bulk", "tests.tasks.handlers:count_many", bulk=True),)}


def test_a_bulk_handler_gets_all_events_of_the_job_at_once(core, redis, tell, deliveries, effects):
    keys = [tell() for _ in range(5)]
    Relay(core, redis, BULK).turn()
    found = [row.id for row in deliveries()]
    assert module.run(core, found, by_name(BULK)) == 5
    assert module.run(core, found, by_name(BULK)) == 0
    assert sorted(effects()) == sorted(keys)


def test_when_a_bulk_handler_breaks_all_of_its_deliveries_go_back(core, redis, tell, deliveries, effects):
    tell()
    tell(breaks=True)
    Relay(core, redis, BULK).turn()
    assert module.run(core, [row.id for row in deliveries()], by_name(BULK)) == 0
    assert {(row.state, row.error) for row in deliveries()} == {("pending", "RuntimeError")}
    assert effects() == []
