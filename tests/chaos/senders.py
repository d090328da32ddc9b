"""One process behind the web in the run of the messages: a relay, a worker or the tick, on leases, pauses and periods of seconds.

Run as ``python -m tests.chaos.senders relay``, ``… tick`` or ``… worker QUEUE``. Only times are shorter than the product's, and each stays
longer than what it must outlast: the longest call to WeChat takes 5 seconds here, twice when its token was refused, and a lease 30.
"""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import replace
from datetime import timedelta

from server.notifications import rules
from server.wechat import wechatpy_gateway
from tasks import queues, relay, subscriptions, tick, worker
from tasks.jobs import scheduled
from tasks.process import die_with_parent
from tasks.schedule import JOBS, Every

LEASE_SECONDS = float(os.environ.get("CHAOS_LEASE_SECONDS", "30"))
CALL_SECONDS = 3
_QUICK = {"notifications.deliver_due", "notifications.sweep", "deliveries.sweep"}
_LEFT = {job.name for job in JOBS if job.name.partition(".")[0] in {"notifications", "deliveries", "audit", "outbox", "idempotency"}}
QUICK_JOBS = tuple(replace(job, rhythm=Every(4)) if job.name in _QUICK else job for job in JOBS if job.name in _LEFT)


def run_due(core, event):
    scheduled.run_due(core, event, QUICK_JOBS)


def hurry() -> None:
    """Shorten what the product would wait for."""
    quick = {
        "events": replace(queues.EVENTS, lease=timedelta(seconds=20), timeout_seconds=15, batch=50),
        "messages": replace(queues.MESSAGES, lease=timedelta(seconds=80), timeout_seconds=60, batch=100),
        "schedule": replace(queues.SCHEDULE, lease=timedelta(seconds=120), timeout_seconds=100),
    }
    queues.QUEUES.update(quick)
    for topic, listeners in subscriptions.SUBSCRIPTIONS.items():
        subscriptions.SUBSCRIPTIONS[topic] = tuple(
            replace(each, queue=quick[each.queue.name], handler="tests.chaos.senders:run_due" if each.name == "schedule.run" else each.handler)
            for each in listeners
        )
    wechatpy_gateway.CONNECT_SECONDS, wechatpy_gateway.READ_SECONDS = 2, CALL_SECONDS
    rules.LEASE, rules._FIRST_PAUSE = timedelta(seconds=LEASE_SECONDS), timedelta(seconds=2)


def main() -> int:
    die_with_parent()
    hurry()
    role, *queue = sys.argv[1:]
    if role == "relay":
        return relay.main()
    if role == "tick":
        tick.Tick = functools.partial(tick.Tick, jobs=QUICK_JOBS)
        return tick.main()
    return worker.main(queue)


if __name__ == "__main__":
    sys.exit(main())
