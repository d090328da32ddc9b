"""A worker: RQ's SimpleWorker on one queue, in a process of its own.

SimpleWorker and not the forking one: forking costs 28 ms of processor for each job against 5, the core with its
connections is built once, and what forking would protect against (a job that takes the process with it) is answered
by the lease anyway. The time limit is SIGALRM in the main thread. Timings let a peer notice a dead worker in half a minute.
"""

from __future__ import annotations

import argparse
import sys

from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from config.logging import configure_logging
from config.settings import load_settings
from server.bootstrap import build_core
from tasks.process import install
from tasks.queues import QUEUES, connect_worker, rq_queue

WORKER_TTL_SECONDS = 30
MAINTENANCE_SECONDS = 10


def main(arguments: list[str] | None = None) -> int:
    """Work on one queue until told to stop; SIGTERM lets the job in hand end first.

    Returns:
        0 after a stop that was asked for, 1 when Redis was lost: whoever supervises starts us again, always.
    """
    parser = argparse.ArgumentParser(prog="python -m tasks.worker", description="Work on one queue.")
    parser.add_argument("queue", choices=sorted(QUEUES), help="which queue")
    queue = QUEUES[parser.parse_args(arguments).queue]
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    core = build_core(settings)
    install(core)
    connection = connect_worker(settings.redis_url)
    try:
        worker = SimpleWorker(
            [rq_queue(queue, connection)],
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL_SECONDS,
            maintenance_interval=MAINTENANCE_SECONDS,
            log_job_description=False,
        )
        worker.work(with_scheduler=False, logging_level="WARNING")
    except RedisError:
        return 1
    finally:
        core.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
