"""One worker process sends messages to an address that takes 50 ms, against the bare calls made side by side; home is asked meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import requests
import sqlalchemy as sa
from harness import ROOT, Load, cpu_seconds, drive, free_port, http_request, postgres_url, prepared_core, served, settle
from requests.adapters import HTTPAdapter

from server.bootstrap import Core
from server.kernel.actors import SystemActor
from server.kernel.db import insert_rows
from server.kernel.ids import uuid7
from server.members import service as members
from server.notifications import service
from server.notifications.models import NotificationGrant, NotificationGrantEntry, NotificationMessage
from server.notifications.templates import PointsAccrued
from tasks.jobs import sending
from tasks.process import die_with_parent

MESSAGES = int(os.environ.get("HUIBAN_BENCH_MESSAGES", "20000"))
# What waits behind them, due next week: the tables are as large as on a brand day.
BACKLOG = int(os.environ.get("HUIBAN_BENCH_BACKLOG", "100000"))
MEMBERS = 2000
SLOW_SECONDS = 0.05
APPID = "wxdemo0000000000"
HOUR_SECONDS = 3600


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sent = 0
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0))
            sent += 1
            body = b'{"access_token":"bench","expires_in":7200}'
            if b"/message/" in head:
                await asyncio.sleep(SLOW_SECONDS)
                body = b'{"errcode":0,"errmsg":"ok","msgid":%d}' % (id(writer) * 1_000_000 + sent)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def _serve(port: int) -> None:
    async def forever() -> None:
        server = await asyncio.start_server(_answer, "127.0.0.1", port, backlog=512)
        await server.serve_forever()

    asyncio.run(forever())


@contextlib.contextmanager
def slow_wechat() -> Iterator[str]:
    """Serve an address that takes in every message after 50 ms."""
    port = free_port()
    process = multiprocessing.Process(target=_serve, args=(port,), daemon=True)
    process.start()
    time.sleep(1)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.kill()


def bare(base: str) -> float:
    """Return how many calls a second are made by as many threads with nothing around them."""
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", HTTPAdapter(pool_maxsize=128))
    address = f"{base}cgi-bin/message/subscribe/send?access_token=bench"
    threads = 2 * sending.THREADS

    def call(_: int) -> int:
        return session.post(address, data=b"x" * 300, timeout=10).status_code

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(call, range(threads)))
        started = time.perf_counter()
        list(pool.map(call, range(5000)))
        return 5000 / (time.perf_counter() - started)


def fill(core: Core) -> list[str]:
    """Insert members who allow all that is to be sent, and the messages; return access tokens of the members."""
    now, tokens, ids = datetime.now(UTC), [], []
    with core.db.transaction() as session:
        service.set_template(
            session, "points_accrued", wechat_template_id=PointsAccrued.demo_template_id, actor=SystemActor("bench"), now=now
        )
        for number in range(MEMBERS):
            login = members.login_with_wechat(
                session, appid=APPID, openid=f"bench-{number:06d}", unionid=None, client=None, address=None, now=now
            )
            service.choose_quiet_hours(session, login.member_id, (datetime.min.time(), datetime.min.time()), now=now)
            tokens.append(login.access_token)
            ids.append(login.member_id)
    each = -(-MESSAGES // MEMBERS)
    with core.db.transaction() as session:
        common = {"template": "points_accrued", "updated_at": now}
        insert_rows(
            session,
            NotificationGrant,
            [{"id": uuid7(), "member_id": one, "available": each, "reserved": 0, **common} for one in ids],
        )
        entry = {"template": "points_accrued", "kind": "credit", "reserved_change": 0, "message_id": None, "occurred_at": now}
        insert_rows(
            session,
            NotificationGrantEntry,
            [{"id": uuid7(), "key": f"bench:{one}", "member_id": one, "available_change": each, **entry} for one in ids],
        )
    texts = PointsAccrued("Receipt 1", 10, 100, now).checked(core.settings.zone)
    row = {"template": "points_accrued", "topic": "points", "texts": texts, "in_inbox": True, "read_at": None, "state": "queued"}
    row |= dict.fromkeys(("reason", "lease_until", "sent_at", "delivered_at", "msg_id")) | {
        "attempts": 0,
        "created_at": now,
        "updated_at": now,
    }
    for start in range(0, MESSAGES + BACKLOG, 10_000):
        numbers = range(start, min(start + 10_000, MESSAGES + BACKLOG))
        rows = [
            row
            | {"id": uuid7(), "key": f"bench:{number}", "member_id": ids[number % MEMBERS]}
            | {"available_at": now if number < MESSAGES else now + timedelta(days=7)}
            for number in numbers
        ]
        with core.db.transaction() as session:
            insert_rows(session, NotificationMessage, rows)
    return tokens


WORKER = """
import sys, time
from config.settings import load_settings
from config.logging import configure_logging
from server.bootstrap import build_core
from server.kernel.outbox import Event
from server.kernel.ids import uuid7
from tasks.jobs import sending
settings = load_settings()
configure_logging(settings.log_level, settings.log_format)
core = build_core(settings)
sending._DRAIN_SECONDS = 3600
print("ready", flush=True)
sys.stdin.readline()
sending.drain(core, Event(uuid7(), "bench", "notifications.due", "schedule", uuid7(), 0, {"place": 0}, core.clock.now()))
core.close()
"""


def main() -> None:
    """Send all messages by one worker process, with the home page asked all the while, and compare."""
    with slow_wechat() as wechat, postgres_url() as url, prepared_core(url) as core:
        tokens = fill(core)
        settle(url)
        environment = {
            "HUIBAN_DATABASE_URL": url,
            "HUIBAN_WECHAT_API_BASE": wechat,
            "HUIBAN_RATE_LIMIT": "",
            "HUIBAN_LOG_LEVEL": "ERROR",
            "HUIBAN_DATA_DIR": "/tmp/huiban-bench-data",
        }
        limit = bare(wechat)
        homes = [http_request("GET", "/api/v1/me", {"Authorization": f"Bearer {token}"}) for token in tokens]

        def ask(base: str, pids: list[int], seconds: float) -> Load:
            return drive(base, pids, lambda n: homes[n % len(homes)], seconds=seconds, connections=2)

        with served("wsgi:create_app", factory=True, environment=environment, ready="/readyz") as (base, pids):
            ask(base, pids, 1)
            calm = ask(base, pids, 5)
            worker = subprocess.Popen(
                [sys.executable, "-c", WORKER],
                cwd=ROOT,
                env=os.environ | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                preexec_fn=functools.partial(die_with_parent, signal.SIGTERM),  # noqa: PLW1509 - there is one thread yet
            )
            worker.stdout.readline()
            cpu, started = cpu_seconds([worker.pid]), time.perf_counter()
            worker.stdin.write("go\n")
            worker.stdin.flush()
            time.sleep(2)
            busy = ask(base, pids, 10)
            # Without anybody asking from here on: what one worker does by itself.
            alone_from, alone_cpu, alone_sent = time.perf_counter(), cpu_seconds([worker.pid]), sent(core)
            while sent(core) < MESSAGES and worker.poll() is None:
                time.sleep(0.2)
            seconds, alone = time.perf_counter() - started, time.perf_counter() - alone_from
            used, alone_used = cpu_seconds([worker.pid]) - cpu, cpu_seconds([worker.pid]) - alone_cpu
            worker.kill()
            worker.wait()
        done = sent(core)
        assert done == MESSAGES, f"{done} of {MESSAGES} were sent"
        rate, alone_rate = (MESSAGES - alone_sent) / alone, MESSAGES / seconds
        print("\nmessages  (goal ≥ 500/s per worker at 50 ms a call, ≤ 30 % of a core; a million in an hour)")
        print(f"  bare calls in {2 * sending.THREADS} threads {limit:6.0f}/s")
        print(
            f"  alone     {rate:6.0f}/s   ratio {rate / limit:.2f}   worker {alone_used / alone * 100:3.0f} % of a core, {alone_used / (MESSAGES - alone_sent) * 1e6:.0f} µs a message"
        )
        print(
            f"  in all    {alone_rate:6.0f}/s   worker {used / seconds * 100:3.0f} % of a core   a million in {1e6 / alone_rate / 60:.0f} minutes   {BACKLOG} wait behind"
        )
        print(
            f"  home      p50 {calm.percentile(0.5):.1f} p99 {calm.percentile(0.99):.1f} ms before, p50 {busy.percentile(0.5):.1f} p99 {busy.percentile(0.99):.1f} ms while it drains, {busy.statuses}"
        )


def sent(core: Core) -> int:
    """Return how many messages were sent."""
    with core.db.reading() as session:
        return int(session.scalar(sa.select(sa.func.count()).where(NotificationMessage.state == "sent")) or 0)


if __name__ == "__main__":
    main()
