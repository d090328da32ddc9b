"""What every benchmark shares: a PostgreSQL database of its own, servers started alike, a load generator, medians of pairs.

The load generator, the database and the product share this machine, so only ratios measured side by side in one run mean anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import requests
import sqlalchemy as sa

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from config.settings import Settings, load_settings  # noqa: E402 - the path is set first
from server.bootstrap import Core, build_core  # noqa: E402
from server.kernel.engines import make_engine  # noqa: E402
from server.migrations.runner import upgrade  # noqa: E402
from tasks.process import die_with_parent  # noqa: E402

CONNECTIONS = 16

# A run that is told to stop leaves by the same doors as one that ends: servers are stopped, databases dropped.
signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))


@contextlib.contextmanager
def postgres_url() -> Iterator[str]:
    """Give a database of our own on the server of ``HUIBAN_TEST_POSTGRES_URL``, or on one started for this run."""
    given = os.environ.get("HUIBAN_TEST_POSTGRES_URL")
    with contextlib.nullcontext(given) if given else _own_server() as server:
        name = f"huiban_bench_{uuid.uuid4().hex[:10]}"
        engine = make_engine(server).execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            with engine.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
            engine.dispose()


@contextlib.contextmanager
def _own_server() -> Iterator[str]:
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        raise SystemExit("no PostgreSQL: set HUIBAN_TEST_POSTGRES_URL or install the server")
    folder = Path(f"/tmp/huiban-bench-{uuid.uuid4().hex[:8]}")
    folder.mkdir(mode=0o777)
    port = free_port()
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(folder, "postgres")
    run = [*as_user, str(binaries[-1] / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "bench"]
    subprocess.run(run, check=True, capture_output=True, cwd="/")
    server = [str(binaries[-1] / "postgres"), "-D", str(folder / "data"), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"]
    # A quarter of the memory, as its documentation advises for a server of its own; docs/deploy.md says the same.
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    server += ["-c", f"shared_buffers={max(memory_mb // 4, 128)}MB"]
    # Started by us and not by pg_ctl, so that it ends with us whatever ends us.
    process = subprocess.Popen(
        server,
        cwd="/",
        user="postgres" if as_user else None,
        group="postgres" if as_user else None,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=functools.partial(die_with_parent, signal.SIGQUIT),  # noqa: PLW1509 - there is one thread yet
    )
    url = f"postgresql://bench@127.0.0.1:{port}/postgres"
    try:
        _wait_for(url, process)
        yield url
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    engine = make_engine(url)
    deadline = time.monotonic() + 40
    while True:
        try:
            engine.connect().close()
        except sa.exc.OperationalError:
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit("PostgreSQL did not come up") from None
            time.sleep(0.1)
        else:
            engine.dispose()
            return


def settle(url: str) -> None:
    """Clean up after the last run, so that no run pays for the one before it."""
    engine = make_engine(url).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
        connection.exec_driver_sql("CHECKPOINT")
    engine.dispose()


def free_port() -> int:
    """Return a port nobody listens on, below the range of outgoing connections."""
    for _ in range(100):
        port = 21000 + secrets.randbelow(9000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise SystemExit("no free port")


def bench_settings(database_url: str) -> Settings:
    """Return settings for a product under measurement: quiet, no rate limit."""
    return load_settings(
        database_url=database_url,
        data_dir=Path("/tmp/huiban-bench-data"),
        rate_limit="",
        log_level="ERROR",
        wechat_api_base="http://127.0.0.1:9/",
    )


@contextlib.contextmanager
def prepared_core(database_url: str) -> Iterator[Core]:
    """Give a core on a migrated database, for filling it before the measurement."""
    core = build_core(bench_settings(database_url))
    upgrade(core.db.engine)
    try:
        yield core
    finally:
        core.close()


@contextlib.contextmanager
def served(target: str, *, factory: bool, environment: dict[str, str] | None = None, ready: str = "/") -> Iterator[tuple[str, list[int]]]:
    """Serve a WSGI target with granian as in production (2 workers, 2 blocking threads); give its address and process ids."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "granian",
        "--interface",
        "wsgi",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "2",
        "--blocking-threads",
        "2",
        "--no-access-log",
        "--log-level",
        "error",
        *(["--factory"] if factory else []),
        target,
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | (environment or {}),
        start_new_session=True,
        preexec_fn=functools.partial(die_with_parent, signal.SIGTERM),  # noqa: PLW1509 - there is one thread yet
    )
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 40
        # The socket listens before the workers have imported the application: wait for an answer over HTTP.
        while True:
            with contextlib.suppress(requests.RequestException):
                if requests.get(base + ready, timeout=2).status_code < 500:
                    break
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"{target} did not come up")
            time.sleep(0.1)
        yield base, _tree(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _tree(pid: int) -> list[int]:
    found = [pid]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += _tree(int(child))
    return found


def cpu_seconds(pids: list[int]) -> float:
    """Return the CPU time that processes have used so far."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass
class Load:
    """What a load generator saw."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    web_cpu_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Return a latency percentile in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000 if ordered else 0.0

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of the web processes for each request."""
        return self.web_cpu_seconds / max(len(self.latencies), 1) * 1e6


def drive(
    base: str, pids: list[int], request_of: Callable[[int], bytes | None], *, seconds: float = 6.0, connections: int = CONNECTIONS
) -> Load:
    """Send requests over kept-alive connections until the time is up or ``request_of`` returns None.

    Arguments:
        base: address of the server.
        pids: its processes, whose CPU time is counted.
        request_of: gives the bytes of the n-th HTTP request.
        seconds: at most how long.
        connections: how many at a time.
    """
    before = cpu_seconds(pids)
    load = asyncio.run(_drive(base, request_of, seconds, connections))
    load.web_cpu_seconds = cpu_seconds(pids) - before
    return load


async def _drive(base: str, request_of: Callable[[int], bytes | None], seconds: float, connections: int) -> Load:
    host, _, port = base.rpartition("//")[2].partition(":")
    load = Load(0.0)
    counter = iter(range(10**9))
    started = time.perf_counter()

    async def one() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        while time.perf_counter() - started < seconds:
            payload = request_of(next(counter))
            if payload is None:
                break
            sent = time.perf_counter()
            writer.write(payload)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            if length:
                await reader.readexactly(length)
            load.latencies.append(time.perf_counter() - sent)
            status = int(head[9:12])
            load.statuses[status] = load.statuses.get(status, 0) + 1
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    load.seconds = time.perf_counter() - started
    return load


def http_request(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """Return the bytes of an HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    if body or method != "GET":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def report(name: str, goal: str, limits: list[float], products: list[Load], note: str = "") -> float:
    """Print one benchmark's figures and return the median ratio."""
    ratios = [load.rate / limit for load, limit in zip(products, limits, strict=True)]
    print(f"\n{name}  (goal {goal})")
    for index, (load, limit) in enumerate(zip(products, limits, strict=True), 1):
        print(
            f"  pair {index}: limit {limit:8.0f}/s   product {load.rate:8.0f}/s   ratio {ratios[index - 1]:.2f}   "
            f"p50 {load.percentile(0.5):6.1f} ms  p99 {load.percentile(0.99):6.1f} ms  web {load.cpu_us:6.0f} µs/request  statuses {load.statuses}"
        )
    median = statistics.median(ratios)
    print(f"  median ratio {median:.2f} {note}")
    return median
