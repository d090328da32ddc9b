"""Half a year of a real shop's sales through ``import-orders``: seconds, orders a second, peak memory; then the same file again.

``HUIBAN_TEST_RETAIL_DIR`` names the folder with the whole data; without it the sample of ``examples/`` is taken in, which only shows that the
measurement works. ``HUIBAN_BENCH_DATABASE_URL`` names another server than PostgreSQL (``mysql://…``, or ``sqlite`` for a file).
"""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import sqlalchemy as sa
from harness import ROOT, postgres_url, prepared_core

from server.bootstrap import Core
from server.kernel.actors import SystemActor
from server.kernel.engines import make_engine
from server.orders.files import RETAIL
from server.points import service as points
from tasks.commands.import_orders import Report, run_import

GOAL_SECONDS = 120
_EVERY_SECONDS = 0.5
_PAGE = resource.getpagesize()


@contextlib.contextmanager
def database_url() -> Iterator[str]:
    """Give an empty database on the engine that is asked for."""
    wanted = os.environ.get("HUIBAN_BENCH_DATABASE_URL", "")
    if not wanted:
        with postgres_url() as url:
            yield url
        return
    if wanted == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/bench.db"
        return
    name = f"huiban_bench_{uuid.uuid4().hex[:10]}"
    engine = make_engine(wanted).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    try:
        yield sa.make_url(wanted).set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}")
        engine.dispose()


class Memory:
    """Samples this process's resident memory while something runs."""

    def __init__(self) -> None:
        self.samples: list[int] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.samples.append(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE >> 20)
            if self._end.wait(_EVERY_SECONDS):
                return

    def words(self) -> str:
        """Return the peak, and what was resident at each quarter: flat when the last is not above the second."""
        quarters = [self.samples[min(len(self.samples) * part // 4, len(self.samples) - 1)] for part in range(1, 5)]
        return f"peak {max(self.samples)} MiB; by quarters {' · '.join(str(each) for each in quarters)} MiB"


def paths() -> list[Path]:
    """Return the files of sales, lines and products."""
    given = os.environ.get("HUIBAN_TEST_RETAIL_DIR")
    folder, suffix = (Path(given), ".csv.gz") if given else (ROOT / "examples" / "retail_sample", ".csv")
    return [folder / f"{name}{suffix}" for name in ("orders", "order_lines", "products")]


def measure(core: Core, what: str) -> Report:
    """Run the import once and print what it took."""
    orders, lines, products = paths()
    cpu, start = time.process_time(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Memory() as memory:
        report = run_import(core, orders, lines, products, RETAIL, Path(folder) / "errors.csv")
    seconds = time.monotonic() - start
    count = report.created + report.same + report.refused
    print(
        f"import, {what}: {seconds:.1f} s ({count / seconds:.0f} orders/s), CPU of this process {time.process_time() - cpu:.1f} s; "
        f"{memory.words()}; {report.created} new, {report.same} unchanged, {report.refused} refused, {report.points} points"
    )
    return report


def main() -> None:
    """Take the history in, then once more."""
    with database_url() as url, prepared_core(url) as core:
        core.db.run(lambda session: points.ensure_default_rules(session, actor=SystemActor("bench"), now=core.clock.now()))
        print(f"goal for the whole half-year on PostgreSQL: at most {GOAL_SECONDS} s, flat memory")
        first = measure(core, "first run")
        again = measure(core, "second run")
    assert (again.created, again.refused, again.points, again.same) == (0, first.refused, 0, first.created), again


if __name__ == "__main__":
    main()
