from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread
from uuid import uuid4

import pytest

from server.kernel.actors import SystemActor
from server.kernel.outbox import publish
from server.operations import queries, service
from server.operations.errors import DeliveryNotFoundError, IncidentNotFoundError

ACTOR = SystemActor("tests")


def open_one(session, clock, subject="a"):
    return service.open_incident(session, "points.drifted", subject, details={"count": 1}, now=clock.now())


def test_the_same_trouble_is_one_incident_that_counts(session, clock):
    assert open_one(session, clock) is True
    clock.move(timedelta(minutes=5))
    assert open_one(session, clock) is False
    open_one(session, clock, "b")
    incidents = {incident.subject: incident for incident in queries.incidents(session)}
    assert {subject: incident.occurrences for subject, incident in incidents.items()} == {"a": 2, "b": 1}
    assert incidents["a"].last_seen_at - incidents["a"].opened_at == timedelta(minutes=5)
    assert queries.open_incident_count(session) == 2


def test_closing_by_hand_keeps_the_row_and_makes_room_for_the_next(session, clock):
    open_one(session, clock)
    (incident,) = queries.incidents(session)
    service.close_incident(session, incident.id, note="seen to", actor=ACTOR, now=clock.now())
    service.close_incident(session, incident.id, note="again", actor=ACTOR, now=clock.now())
    assert queries.incidents(session) == []
    assert open_one(session, clock) is True
    closed = [row for row in queries.incidents(session, include_closed=True) if row.closed_at]
    assert [(row.note, row.closed_by) for row in closed] == [("seen to", "system:tests")]


def test_closing_what_is_not_there_is_refused(session, clock):
    with pytest.raises(IncidentNotFoundError):
        service.close_incident(session, uuid4(), note="", actor=ACTOR, now=clock.now())


def test_trouble_that_is_gone_resolves_itself_once(session, clock):
    open_one(session, clock)
    assert service.resolve_incident(session, "points.drifted", "a", actor=ACTOR, now=clock.now()) is True
    assert service.resolve_incident(session, "points.drifted", "a", actor=ACTOR, now=clock.now()) is False


def test_a_run_is_planned_once_and_its_event_with_it(session, clock):
    assert service.plan_run(session, "tests.job", clock.now(), now=clock.now()) is True
    assert service.plan_run(session, "tests.job", clock.now(), now=clock.now()) is False
    assert queries.queue_health(session, clock.now()).pending == 1
    assert queries.last_periods(session) == {"tests.job": clock.now()}


def test_a_later_run_is_seen_by_the_earlier_one_only(session, clock):
    first = clock.now()
    service.plan_run(session, "tests.job", first, now=first)
    later = clock.move(timedelta(minutes=1))
    service.plan_run(session, "tests.job", later, now=later)
    assert queries.later_run_exists(session, "tests.job", first) is True
    assert queries.later_run_exists(session, "tests.job", later) is False


def test_an_empty_outbox_is_well(session, clock):
    assert queries.queue_health(session, clock.now()) == queries.QueueHealth(0, 0, 0, 0, 0.0)


def test_the_oldest_waiting_news_tells_its_age(session, clock):
    publish(session, "tests.happened", key="one", aggregate_type="test", aggregate_id=uuid4(), payload={}, now=clock.now())
    clock.move(timedelta(seconds=90))
    assert queries.queue_health(session, clock.now()).oldest_pending_seconds == 90


def test_a_delivery_that_is_not_there_cannot_be_tried_again(session, clock):
    with pytest.raises(DeliveryNotFoundError):
        service.retry_delivery(session, uuid4(), now=clock.now())
    assert queries.stuck_deliveries(session) == []


@pytest.mark.committing
def test_six_at_once_open_one_incident_that_counted_six(core, clock):
    barrier = Barrier(6)
    opened = []

    def work():
        barrier.wait()
        opened.append(core.db.run(lambda session: open_one(session, clock)))

    threads = [Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(opened) == [False] * 5 + [True]
    with core.db.reading() as session:
        assert [incident.occurrences for incident in queries.incidents(session)] == [6]
