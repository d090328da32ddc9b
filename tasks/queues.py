"""The queues, how long their work may take, and how to reach Redis.

One queue for each worker: RQ listening on several queues pops with BLPOP, which loses the job when the worker dies
between pop and start; on one queue it moves with BLMOVE. A lease is longer than waiting in the queue plus the job's
time limit, since work whose lease has run out is handed out again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

FAILURE_TTL_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class WorkQueue:
    """One queue.

    Arguments:
        name: in Redis and on the command line.
        timeout_seconds: a job that takes longer is broken off.
        lease: how long a dispatched delivery is left to the queue before it is dispatched again.
        batch: most deliveries in one job.
        waiting_jobs: the relay stops handing out when this many jobs wait, so that waiting never outlasts the lease.
    """

    name: str
    timeout_seconds: int
    lease: timedelta
    batch: int
    waiting_jobs: int


# Effects inside the product, milliseconds each.
EVENTS = WorkQueue("events", timeout_seconds=45, lease=timedelta(seconds=75), batch=200, waiting_jobs=8)
# Calls to WeChat: slow, and many at once.
MESSAGES = WorkQueue("messages", timeout_seconds=120, lease=timedelta(seconds=240), batch=200, waiting_jobs=16)
# Periodic jobs: may run for minutes, in batches of their own.
SCHEDULE = WorkQueue("schedule", timeout_seconds=600, lease=timedelta(seconds=660), batch=1, waiting_jobs=50)

QUEUES: dict[str, WorkQueue] = {queue.name: queue for queue in (EVENTS, MESSAGES, SCHEDULE)}


def connect(url: str, *, timeout_seconds: float = 1) -> Redis:
    """Return a client that gives up soon and never tries again by itself.

    redis-py's own ten retries turn an unreachable Redis into a minute of silence; the relay comes round four times a
    second anyway.

    Arguments:
        url: of the Redis.
        timeout_seconds: how long to wait for an answer.
    """
    return Redis.from_url(url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds, retry=Retry(NoBackoff(), 0))


def connect_worker(url: str) -> Redis:
    """Return the client a worker blocks on; RQ itself sets how long a read may take."""
    return Redis.from_url(url, socket_connect_timeout=2)


def rq_queue(queue: WorkQueue, connection: Redis) -> Queue:
    """Return RQ's handle. JSON, since whoever can write to Redis could run code through pickle."""
    return Queue(queue.name, connection=connection, serializer=JSONSerializer, default_timeout=queue.timeout_seconds)


def ring(connection: Redis, queue: WorkQueue, function: str, ids: list[str]) -> None:
    """Enqueue jobs that carry ids, at most ``queue.batch`` each.

    Arguments:
        connection: from ``connect``.
        queue: where to.
        function: dotted name of a function that takes a list of ids.
        ids: what to work on; nothing else ever travels through Redis.

    Raises:
        redis.RedisError: Redis does not answer. Nothing needs to be done about it: the lease will run out.
    """
    jobs = [
        Queue.prepare_data(
            function,
            args=(ids[start : start + queue.batch],),
            timeout=queue.timeout_seconds,
            result_ttl=0,
            failure_ttl=FAILURE_TTL_SECONDS,
            description=f"{function} ({len(ids[start : start + queue.batch])})",
        )
        for start in range(0, len(ids), queue.batch)
    ]
    if jobs:
        rq_queue(queue, connection).enqueue_many(jobs)


def room(connection: Redis, queue: WorkQueue) -> int:
    """Return how many more rows the queue takes now. A plain LLEN: RQ's own counters clean up as they count.

    Raises:
        redis.RedisError: Redis does not answer.
    """
    waiting = int(connection.llen(rq_queue(queue, connection).key))
    return max(0, queue.waiting_jobs - waiting) * queue.batch
