"""One process of the chaos test: a relay, a worker, or a producer that stands for the web, on leases of a few seconds.

Run as ``python -m tests.chaos.actor ROLE [COUNT PER_SECOND]``; settings come from the environment as they do in operation.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from config.settings import load_settings
from server.bootstrap import build_core
from server.kernel.outbox import publish
from tasks import queues, relay, subscriptions, worker
from tasks.process import die_with_parent
from tests.tasks.handlers import FACTS, count

TOPIC = "chaos.happened"


def shorten_leases() -> None:
    """Make recovery fast enough to be watched: a lease of four seconds, and batches small enough to be hit in the middle."""
    quick = replace(queues.EVENTS, lease=timedelta(seconds=4), timeout_seconds=3, batch=20)
    queues.QUEUES["events"] = quick
    subscriptions.SUBSCRIPTIONS[TOPIC] = (subscriptions.Subscription("chaos.count", "tests.chaos.actor:take_effect", queue=quick),)


def take_effect(session, event, core):
    count(session, event, core)
    time.sleep(0.005)  # the middle of a transaction is where a kill should fall


def produce(events: int, per_second: int) -> int:
    """Write facts 1…count, each with its event in one transaction; take up where a killed producer left off."""
    core = build_core(load_settings())
    with core.db.reading() as session:
        last = session.scalar(sa.select(sa.func.max(FACTS.c.id))) or 0
    for number in range(last + 1, events + 1):

        def write(session, number=number):
            session.execute(FACTS.insert().values(id=number))
            key = f"{TOPIC}:{number}"
            publish(
                session,
                TOPIC,
                key=key,
                aggregate_type="fact",
                aggregate_id=UUID(int=number),
                payload={"number": number},
                now=core.clock.now(),
            )

        core.db.run(write)
        time.sleep(1 / per_second)
    return 0


def main() -> int:
    die_with_parent()
    shorten_leases()
    role = sys.argv[1]
    if role == "relay":
        return relay.main()
    if role == "worker":
        return worker.main(["events"])
    return produce(int(sys.argv[2]), int(sys.argv[3]))


if __name__ == "__main__":
    sys.exit(main())
