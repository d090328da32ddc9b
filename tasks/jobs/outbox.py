"""Periodic care of the outbox and of stored idempotent answers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from server.kernel import idempotency
from server.operations import service as operations
from tasks import deliveries
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from server.bootstrap import Core

# Long enough to look up what happened last week, short enough for the tables to stay small.
KEEP_DONE = timedelta(days=7)


def sweep(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Give up work that keeps killing its worker, and mark as uncertain what was being sent when its process died."""
    return in_batches(core, deliveries.bury_exhausted) + in_batches(core, deliveries.expire_sending)


def forget_done(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Delete events and runs that were done a week ago."""
    events = in_batches(core, lambda session, now, limit: operations.forget_done_events(session, now - KEEP_DONE, limit=limit))
    return events + in_batches(core, lambda session, now, limit: operations.forget_runs(session, now - KEEP_DONE, limit=limit))


def forget_idempotency(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Delete stored answers that are past their time."""
    return in_batches(
        core, lambda session, now, limit: idempotency.forget_before(session, now - idempotency.KEPT_FOR, limit=limit), batch=5000
    )
