"""One process of the chaos test behind the web: a relay or a worker, on leases of seconds.

Run as ``python -m tests.chaos.actor relay`` or ``… worker QUEUE``; settings come from the environment as they do in operation.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import timedelta

from tasks import queues, relay, subscriptions, worker
from tasks.process import die_with_parent
from tests.tasks.handlers import count

TOPIC = "points.accrued"


def shorten_leases() -> None:
    """Make recovery fast enough to be watched: leases of seconds, and batches small enough to be hit in the middle.

    Not less than that: on a busy machine a batch takes its time, and one that runs out of it says nothing about kills.

    The product's own subscriptions stay; one more counts, without a unique key that would hide an effect that happened twice.
    """
    quick = {
        "events": replace(queues.EVENTS, lease=timedelta(seconds=15), timeout_seconds=12, batch=20),
        "messages": replace(queues.MESSAGES, lease=timedelta(seconds=20), timeout_seconds=16, batch=20),
    }
    queues.QUEUES.update(quick)
    for topic, listeners in subscriptions.SUBSCRIPTIONS.items():
        subscriptions.SUBSCRIPTIONS[topic] = tuple(replace(each, queue=quick.get(each.queue.name, each.queue)) for each in listeners)
    counting = subscriptions.Subscription("chaos.count", "tests.chaos.actor:take_effect", queue=quick["events"])
    subscriptions.SUBSCRIPTIONS[TOPIC] = (*subscriptions.SUBSCRIPTIONS[TOPIC], counting)


def take_effect(session, event, core):
    count(session, event, core)
    time.sleep(0.005)  # the middle of a transaction is where a kill should fall


def main() -> int:
    die_with_parent()
    shorten_leases()
    if sys.argv[1] == "relay":
        return relay.main()
    return worker.main([sys.argv[2]])


if __name__ == "__main__":
    sys.exit(main())
