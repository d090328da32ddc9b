"""The tick: once a second it plans every periodic run that has fallen due, those missed during a downtime included.

Any number may run at once: a run is a row under a unique key, and the event that sets it to work is written with it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import DBAPIError

from config.logging import configure_logging
from config.settings import load_settings
from server.bootstrap import build_core
from server.operations import queries, service
from tasks.process import stop_on_signals
from tasks.schedule import JOBS, Job, missed

if TYPE_CHECKING:
    from datetime import datetime

    from server.bootstrap import Core

ROUND_SECONDS = 1.0
_log = structlog.get_logger("huiban.tick")


class Tick:
    """One tick.

    Arguments:
        core: of this process.
        jobs: the product's own unless a test says otherwise.
    """

    def __init__(self, core: Core, jobs: tuple[Job, ...] = JOBS) -> None:
        self._core = core
        self._jobs = jobs
        # Known periods, so that a second in which nothing is due costs no statement at all.
        self._last: dict[str, datetime] | None = None

    def turn(self) -> int:
        """Plan what is due; return how many runs this call planned."""
        now = self._core.clock.now()
        if self._last is None:
            with self._core.db.reading() as session:
                self._last = queries.last_periods(session)
        planned = 0
        for job in self._jobs:
            for period in missed(job, self._last.get(job.name), now, self._core.settings.zone):
                planned += self._plan(job.name, period, now)
                self._last[job.name] = period
        return planned

    def _plan(self, job: str, period: datetime, now: datetime) -> bool:
        return self._core.db.run(lambda session: service.plan_run(session, job, period, now=now))


def main() -> int:
    """Run a tick until it is told to stop."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    stopping = stop_on_signals()
    core = build_core(settings)
    tick = Tick(core)
    silent = False
    while not stopping.is_set():
        try:
            tick.turn()
            silent = False
        except DBAPIError as error:
            if not silent:
                _log.warning("tick.waiting", error=type(error).__name__)
            silent = True
        stopping.wait(ROUND_SECONDS)
    core.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
