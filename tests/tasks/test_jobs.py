from __future__ import annotations

from types import SimpleNamespace
from uuid import uuid4

import pytest
import sqlalchemy as sa

from server.cards import queries as cards
from server.kernel.actors import SystemActor
from server.kernel.outbox import Event, OutboxEvent
from server.members import service as members
from server.operations import queries as operations
from server.points.proofs import Drift
from tasks.jobs import cards as card_jobs
from tasks.jobs import points as point_jobs
from tasks.jobs import sending, sweeps
from tasks.schedule import JOBS
from tasks.subscriptions import load_function

pytestmark = pytest.mark.committing


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_finds_nothing_to_do_in_an_empty_shop_and_may_run_twice(core, job):
    work = load_function(job.function)
    assert work(core, core.clock.now()) == 0
    assert work(core, core.clock.now()) == 0


def test_a_sweep_goes_on_until_a_batch_is_not_full_and_stops_at_its_bound(core, monkeypatch):
    left = [7]

    def work(session, now, limit):
        done = min(left[0], limit)
        left[0] -= done
        return done

    assert sweeps.in_batches(core, work, batch=3) == 7
    monkeypatch.setattr(sweeps, "MOST_BATCHES", 2)
    left[0] = 100
    assert sweeps.in_batches(core, work, batch=3) == 6


def test_books_that_differ_open_one_incident_and_books_that_agree_again_close_it(core, monkeypatch):
    drift = Drift("account_ledger", str(uuid4()), "available", 10, 11)
    monkeypatch.setattr(point_jobs, "proofs", SimpleNamespace(prove=lambda session: [drift]))
    assert point_jobs.prove(core, core.clock.now()) == 1
    point_jobs.prove(core, core.clock.now())
    with core.db.reading() as session:
        (incident,) = operations.incidents(session)
    assert (incident.kind, incident.occurrences, incident.details["count"]) == ("points.drifted", 2, 1)
    monkeypatch.undo()
    assert point_jobs.prove(core, core.clock.now()) == 0
    with core.db.reading() as session:
        assert operations.incidents(session) == []


def test_a_member_enrolled_without_logging_in_gets_one_card(core):
    now = core.clock.now()
    member_id = core.db.run(
        lambda session: members.enrol_unclaimed(session, phone="+8613800138000", external_ids=None, actor=SystemActor("tests"), now=now)
    )
    event = Event(uuid4(), "k", "members.enrolled", "member", member_id, 0, {"member_id": str(member_id)}, now)
    core.db.run(lambda session: card_jobs.on_member_enrolled(session, event, core))
    with core.db.reading() as session:
        first = cards.of_member(session, member_id)
    core.db.run(lambda session: card_jobs.on_member_enrolled(session, event, core))
    with core.db.reading() as session:
        assert cards.of_member(session, member_id) == first
    assert first is not None


def test_news_of_a_member_who_is_gone_gives_no_card(core):
    event = Event(uuid4(), "k", "members.enrolled", "member", uuid4(), 0, {"member_id": str(uuid4())}, core.clock.now())
    core.db.run(lambda session: card_jobs.on_member_enrolled(session, event, core))


def test_messages_that_were_asked_for_are_sent_side_by_side(core, monkeypatch):
    seen = []
    monkeypatch.setattr(sending, "deliver_batch", lambda core, ids, threads: seen.append((list(ids), threads)))
    ids = [uuid4(), uuid4()]
    events = [Event(uuid4(), "k", "notifications.queued", "message", one, 0, {"message_id": str(one)}, core.clock.now()) for one in ids]
    sending.send_queued(core, events)
    assert seen == [(ids, sending.THREADS)]


def test_a_backlog_calls_workers_which_share_it_and_send_each_message_once(core, monkeypatch):
    waiting, sent, asked = [uuid4() for _ in range(23)], [], []

    def due(_session, _now, limit, *, skip=0):
        asked.append(skip)
        return [one for one in waiting if one not in sent][skip : skip + limit]

    def due_count(_session, _now, *, most):
        return min(len(waiting) - len(sent), most)

    for name, value in (("BATCH", 2), ("_MOST_BATCHES", 3), ("_DRAINED_BY_ONE", 5), ("_MOST_DRAINS", 3)):
        monkeypatch.setattr(sending, name, value)
    monkeypatch.setattr(sending, "queries", SimpleNamespace(due=due, due_count=due_count))
    monkeypatch.setattr(sending, "deliver_batch", lambda _core, ids, threads: sent.extend(ids))
    assert sending.send_due(core, core.clock.now()) == 6
    with core.db.reading() as session:
        calls = session.execute(sa.select(OutboxEvent.key, OutboxEvent.payload).where(OutboxEvent.topic == "notifications.due")).all()
    assert sorted(call.payload["place"] for call in calls) == [0, 1, 2]
    assert sending.send_due(core, core.clock.now()) == 6
    for place in (2, 0):
        sending.drain(core, Event(uuid4(), "k", "notifications.due", "schedule", uuid4(), 0, {"place": place}, core.clock.now()))
    assert len(sent) == len(set(sent)) == len(waiting)
    assert 2 * sending.BATCH in asked, "each begins at its own place"


def test_a_handful_that_is_due_calls_nobody(core, monkeypatch):
    monkeypatch.setattr(sending, "queries", SimpleNamespace(due=lambda *_given, **_named: [uuid4()]))
    monkeypatch.setattr(sending, "deliver_batch", lambda _core, ids, threads: len(ids))
    assert sending.send_due(core, core.clock.now()) == 1
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).where(OutboxEvent.topic == "notifications.due")) == 0
