"""Runs the periodic job that an event ``schedule.due`` names."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from server.operations import queries, service
from tasks.schedule import JOBS, Job
from tasks.subscriptions import load_function

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.outbox import Event


def run_due(core: Core, event: Event, jobs: tuple[Job, ...] = JOBS) -> None:
    """Run the job, unless it is done, no longer in the schedule, or a later run does its work as well.

    Arguments:
        core: of this process.
        event: ``{"job", "period"}``; its aggregate is the run.
        jobs: the product's own unless a test says otherwise.
    """
    name, period = str(event.payload["job"]), datetime.fromisoformat(str(event.payload["period"]))
    job = next((known for known in jobs if known.name == name), None)
    with core.db.reading() as session:
        run = queries.find_run(session, event.aggregate_id)
        overtaken = job is not None and not job.each and queries.later_run_exists(session, name, period)
    if run is None or run.state != "due":
        return
    superseded = job is None or overtaken
    handled = 0 if job is None or superseded else int(load_function(job.function)(core, period) or 0)
    core.db.run(
        lambda session: service.finish_run(session, event.aggregate_id, handled=handled, superseded=superseded, now=core.clock.now())
    )
