from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread

import pytest
import sqlalchemy as sa
from redis.exceptions import RedisError
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

from server.kernel.db import update_where
from server.kernel.outbox import OutboxDelivery, OutboxEvent
from tasks.deliveries import MAX_ATTEMPTS
from tasks.queues import EVENTS, connect, rq_queue
from tasks.relay import SUSPECT_ATTEMPTS, Relay
from tasks.subscriptions import Subscription

TABLE = {
    "tests.happened": (Subscription("tests.count", "tests.tasks.handlers:count"), Subscription("tests.other", "tests.tasks.handlers:count"))
}
pytestmark = pytest.mark.committing


def jobs_in(redis):
    queue = rq_queue(EVENTS, redis)
    ids = [job_id.decode() for job_id in redis.lrange(queue.key, 0, -1)]
    return [RqJob.fetch(job_id, connection=redis, serializer=JSONSerializer) for job_id in ids]


def test_an_event_becomes_one_delivery_for_each_subscription_and_one_job(core, redis, tell, deliveries):
    tell()
    assert Relay(core, redis, TABLE).turn() == 3
    assert [(row.subscription, row.state) for row in deliveries()] == [("tests.count", "dispatched"), ("tests.other", "dispatched")]
    (job,) = jobs_in(redis)
    assert sorted(job.args[0]) == sorted(str(row.id) for row in deliveries())
    assert job.func_name == "tasks.deliveries.run_batch"
    assert (job.result_ttl, job.failure_ttl, job.timeout) == (0, 3600, EVENTS.timeout_seconds)


def test_a_second_turn_hands_out_nothing_while_the_lease_runs(core, redis, tell):
    tell()
    relay = Relay(core, redis, TABLE)
    relay.turn()
    assert relay.turn() == 0
    assert len(jobs_in(redis)) == 1


def test_what_redis_forgot_is_handed_out_again_when_the_lease_has_run_out(core, clock, redis, tell):
    tell()
    relay = Relay(core, redis, TABLE)
    relay.turn()
    redis.flushdb()
    clock.move(EVENTS.lease - timedelta(milliseconds=1))
    assert relay.turn() == 0
    clock.move(timedelta(milliseconds=1))
    assert relay.turn() == 2
    assert len(jobs_in(redis)) == 1


def test_while_redis_is_away_nothing_is_taken_and_all_goes_out_when_it_is_back(core, redis, tell, deliveries):
    tell()
    with pytest.raises(RedisError):
        Relay(core, connect("redis://127.0.0.1:9/0"), TABLE).turn()
    assert {row.state for row in deliveries()} == {"pending"}
    assert {row.attempts for row in deliveries()} == {0}
    assert Relay(core, redis, TABLE).turn() == 2


def test_an_event_nobody_listens_to_is_expanded_into_nothing(core, redis, tell, deliveries):
    tell("tests.unheard")
    assert Relay(core, redis, TABLE).turn() == 1
    assert deliveries() == []
    with core.db.reading() as session:
        assert session.scalars(sa.select(OutboxEvent.expanded_at)).one() == core.clock.now()


def test_a_full_queue_takes_no_more_until_it_has_room(core, redis, tell, deliveries):
    tell()
    queue = rq_queue(EVENTS, redis)
    redis.rpush(queue.key, *[f"waiting{number}" for number in range(EVENTS.waiting_jobs)])
    Relay(core, redis, TABLE).turn()
    assert {row.state for row in deliveries()} == {"pending"}
    redis.lpop(queue.key)
    assert Relay(core, redis, TABLE).turn() == 2


def test_a_delivery_that_kept_killing_its_worker_travels_by_itself(core, redis, tell, deliveries):
    relay = Relay(core, redis, TABLE)
    relay._expand()
    for _ in range(3):
        tell()
    relay._expand()
    suspect = deliveries()[0].id
    core.db.run(
        lambda session: update_where(
            session, sa.update(OutboxDelivery).where(OutboxDelivery.id == suspect).values(attempts=SUSPECT_ATTEMPTS)
        )
    )
    relay.turn()
    batches = sorted((job.args[0] for job in jobs_in(redis)), key=len)
    assert batches[0] == [str(suspect)]
    assert len(batches[1]) == 5


def test_an_exhausted_delivery_is_not_handed_out_again(core, redis, clock, tell):
    tell()
    relay = Relay(core, redis, TABLE)
    relay.turn()
    core.db.run(lambda session: update_where(session, sa.update(OutboxDelivery).values(attempts=MAX_ATTEMPTS)))
    clock.move(EVENTS.lease)
    assert relay.turn() == 0


def test_four_relays_at_once_expand_and_hand_out_everything_once(core, redis, redis_url, tell, deliveries):
    for _ in range(60):
        tell()
    barrier = Barrier(4)
    failures = []

    def work():
        relay = Relay(core, connect(redis_url, timeout_seconds=20), TABLE)
        barrier.wait()
        try:
            for _ in range(6):
                relay.turn()
        except Exception as error:  # noqa: BLE001 - asserted empty below
            failures.append(error)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    handed_out = [delivery_id for job in jobs_in(redis) for delivery_id in job.args[0]]
    assert len(deliveries()) == 120
    assert sorted(handed_out) == sorted(str(row.id) for row in deliveries())
