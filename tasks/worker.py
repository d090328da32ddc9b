"""A worker: RQ's SimpleWorker on one queue, in a process of its own.

SimpleWorker and not the forking one: forking costs 28 ms of processor for each job against 5, the core with its
connections is built once, and what forking would protect against (a job that takes the process with it) is answered
by the lease anyway. The time limit is SIGALRM in the main thread. Timings let a peer notice a dead worker in half a minute.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from config.logging import configure_logging
from config.settings import load_settings
from server.bootstrap import build_core
from tasks.children import Child
from tasks.process import install, stop_on_signals
from tasks.queues import QUEUES, WorkQueue, connect_worker, rq_queue

if TYPE_CHECKING:
    from config.settings import Settings

WORKER_TTL_SECONDS = 30
MAINTENANCE_SECONDS = 10
STOP_SECONDS = 20.0
LOOK_SECONDS = 0.2


def main(arguments: list[str] | None = None) -> int:
    """Work on one queue until told to stop; SIGTERM lets the job in hand end first. Without a queue: one process for each.

    Returns:
        0 after a stop that was asked for, 1 when Redis was lost: whoever supervises starts us again, always.
    """
    parser = argparse.ArgumentParser(prog="python -m tasks.worker", description="Work on one queue, or on all of them.")
    parser.add_argument("queue", nargs="?", choices=sorted(QUEUES), help="which queue; a process for each when left out")
    name = parser.parse_args(arguments).queue
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    return _work(settings, QUEUES[name]) if name else _work_on_all()


def _work_on_all() -> int:
    stopping = stop_on_signals()
    folder = Path(__file__).resolve().parents[1]
    crew = [
        Child(f"worker-{name}", [sys.executable, "-m", "tasks.worker", name], dict(os.environ), None, folder, stop_seconds=STOP_SECONDS)
        for name in QUEUES
    ]
    for child in crew:
        child.start()
    while not stopping.wait(LOOK_SECONDS):
        for child in crew:
            child.tend()
    for child in crew:
        child.ask_to_stop()
    for child in crew:
        child.wait_stopped()
    return 0


def _work(settings: Settings, queue: WorkQueue) -> int:
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
