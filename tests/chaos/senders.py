"""The processes behind the web in the run of the messages: relays, workers and the tick, on leases, pauses and periods of seconds.

Only times are shorter than the product's, and each stays longer than what it must outlast: the longest call to WeChat takes 5 seconds here,
twice when its token was refused, and a lease 30.

Run as ``python -m tests.chaos.senders``: it loads the product once and forks a process for each line on its standard input,
``NAME LOG ROLE [QUEUE] VARIABLE=VALUE…``, before anything is connected anywhere. Loading takes seconds of processor, and a run that kills hundreds
of processes would be made of nothing else. It says ``NAME PID`` for each that began and ``ended PID`` for each that is no more.
"""

from __future__ import annotations

import functools
import gc
import os
import random
import select
import signal
import sys
import traceback
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from server.bootstrap import load_models
from server.notifications import rules
from server.wechat.calls import client
from tasks import queues, relay, subscriptions, tick, worker
from tasks.jobs import notifications, scheduled
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
        "events": replace(queues.EVENTS, lease=timedelta(seconds=40), timeout_seconds=30, batch=20),
        "messages": replace(queues.MESSAGES, lease=timedelta(seconds=45), timeout_seconds=30, batch=50),
        "schedule": replace(queues.SCHEDULE, lease=timedelta(seconds=70), timeout_seconds=60),
    }
    queues.QUEUES.update(quick)
    for topic, listeners in subscriptions.SUBSCRIPTIONS.items():
        subscriptions.SUBSCRIPTIONS[topic] = tuple(
            replace(
                each, queue=quick[each.queue.name], handler="tests.chaos.senders:run_due" if each.name == "schedule.run" else each.handler
            )
            for each in listeners
        )
    client.CONNECT_SECONDS, client.READ_SECONDS = 2, CALL_SECONDS
    notifications.SETTLE_SECONDS = LEASE_SECONDS * 2 / 3
    rules.LEASE, rules._FIRST_PAUSE = timedelta(seconds=LEASE_SECONDS), timedelta(seconds=2)


def play(role: str, queue: list[str]) -> int:
    """Be one of the processes until told to stop."""
    if role == "relay":
        return relay.main()
    if role == "tick":
        tick.Tick = functools.partial(tick.Tick, jobs=QUICK_JOBS)
        return tick.main()
    return worker.main(queue)


def _begin(line: str) -> None:
    name, log, role, *rest = line.split()
    pid = os.fork()
    if pid:
        print(name, pid, flush=True)
        return
    # From here on it is what ``python -m tasks.relay`` is after its imports.
    die_with_parent()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sink = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, target in ((nothing, 0), (sink, 1), (sink, 2)):
        os.dup2(number, target)
    random.seed()
    os.environ.update(word.split("=", 1) for word in rest if "=" in word)
    code = 1
    try:
        code = play(role, [word for word in rest if "=" not in word])
    except BaseException:  # noqa: BLE001 - as the interpreter does at the end of a program
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> int:
    die_with_parent()
    hurry()
    load_models()
    for subscription in subscriptions.by_name().values():
        subscription.load()
    for job in QUICK_JOBS:
        subscriptions.load_function(job.function)
    gc.collect()
    gc.freeze()
    reading, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    print("ready", flush=True)
    text = b""
    while True:
        readable, _, _ = select.select([0, reading], [], [])
        if reading in readable:
            os.read(reading, 1024)
            with suppress(ChildProcessError):
                while pid := os.waitpid(-1, os.WNOHANG)[0]:
                    print("ended", pid, flush=True)
        if 0 in readable:
            more = os.read(0, 65536)
            if not more:
                return 0
            *lines, text = (text + more).split(b"\n")
            for line in lines:
                _begin(line.decode())


if __name__ == "__main__":
    sys.exit(main())
