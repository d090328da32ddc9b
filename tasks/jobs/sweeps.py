"""Runs a service's ``…_due(session, now, limit)`` in batches, each in a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from server.bootstrap import Core

BATCH = 500
# A backlog beyond this is left to the next run, so that no job outlives its time limit.
MOST_BATCHES = 200


def in_batches(core: Core, work: Callable[[Session, datetime, int], int], *, batch: int = BATCH) -> int:
    """Repeat a bounded piece of work until it finds less than a batch.

    Arguments:
        core: of this process.
        work: ``work(session, now, limit)`` returns how many rows it handled.
        batch: rows in one transaction.

    Returns:
        How many rows were handled in all.
    """
    total = 0
    for _ in range(MOST_BATCHES):
        handled = core.db.run(lambda session: work(session, core.clock.now(), batch))
        total += handled
        if handled < batch:
            break
    return total
