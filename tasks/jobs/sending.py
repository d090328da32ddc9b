"""Sends messages many at a time: the time of a call is spent waiting for WeChat, so calls wait side by side."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from server.notifications import queries
from tasks.jobs.notifications import deliver_batch

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.outbox import Event

# In each of the two lanes. A lane holds no connection to the database while its calls wait for WeChat.
THREADS = 32
_BATCH = 500
# A run of the minute leaves the rest to the next one: other periodic jobs wait behind it.
_MOST_BATCHES = 8


def send_queued(core: Core, events: Sequence[Event]) -> None:
    """Send the messages that were just asked for. Whichever is not sent keeps its own state and is due again by it."""
    deliver_batch(core, [UUID(str(event.payload["message_id"])) for event in events], threads=THREADS)


def send_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Send what is due by itself: retries, ends of quiet hours, what a lost event left behind.

    Returns:
        How many messages were looked at.
    """
    total = 0
    for _ in range(_MOST_BATCHES):
        with core.db.reading() as session:
            ids = queries.due(session, core.clock.now(), _BATCH)
        deliver_batch(core, ids, threads=THREADS)
        total += len(ids)
        if len(ids) < _BATCH:
            break
    return total
