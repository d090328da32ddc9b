"""Sends messages many at a time: the time of a call is spent waiting for WeChat, so calls wait side by side.

A message that was just asked for comes by its event. What falls due by itself (a retry, the end of quiet hours, what a lost event left
behind) is looked for each minute; when that is more than a handful, as at the end of a night's quiet hours, the workers of messages
are called to it, as many as are needed, and each goes on until nothing is left.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from server.kernel.ids import uuid7
from server.kernel.outbox import publish
from server.notifications import events as topics
from server.notifications import queries
from tasks.jobs.notifications import deliver_batch

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.kernel.outbox import Event

# In each of the two lanes. A lane holds no connection to the database while its calls wait for WeChat.
THREADS = 32
BATCH = 500
# The minute's run does so much itself: other periodic jobs wait behind it.
_MOST_BATCHES = 2
# One worker sends so many in its time; more workers than this wait for WeChat's own limits.
_DRAINED_BY_ONE = 20_000
_MOST_DRAINS = 24
_DRAIN_SECONDS = 60.0


def send_queued(core: Core, events: Sequence[Event]) -> None:
    """Send the messages that were just asked for. Whichever is not sent keeps its own state and is due again by it."""
    deliver_batch(core, [UUID(str(event.payload["message_id"])) for event in events], threads=THREADS)


def send_due(core: Core, period: datetime) -> int:
    """Send what is due by itself, and call for workers when it is much.

    Returns:
        How many messages were looked at.
    """
    total = 0
    for _ in range(_MOST_BATCHES):
        ids = _due(core)
        deliver_batch(core, ids, threads=THREADS)
        total += len(ids)
        if len(ids) < BATCH:
            return total
    core.db.run(lambda session: _call_workers(session, period, core.clock.now()))
    return total


def drain(core: Core, event: Event) -> None:
    """Send what is due until nothing is left or the job's time is up; the next minute calls again.

    Several do this at once: each begins at another place, and what another has in hand is passed over.
    """
    until = time.monotonic() + _DRAIN_SECONDS
    before: list[UUID] | None = None
    place = int(event.payload["place"])
    while time.monotonic() < until:
        ids = _due(core, skip=place * BATCH)
        if not ids:
            if not place:
                return
            place = 0
            continue
        if ids == before:
            # Not one of them could be taken in hand: sending is paused, and the next minute asks again.
            return
        before = ids
        deliver_batch(core, ids, threads=THREADS)


def _due(core: Core, *, skip: int = 0) -> list[UUID]:
    with core.db.reading() as session:
        return queries.due(session, core.clock.now(), BATCH, skip=skip)


def _call_workers(session: Session, period: datetime, now: datetime) -> None:
    left = queries.due_count(session, now, most=_DRAINED_BY_ONE * _MOST_DRAINS)
    for place in range(-(-left // _DRAINED_BY_ONE)):
        publish(
            session,
            topics.DUE,
            key=f"{topics.DUE}:{period.isoformat()}:{place}",
            aggregate_type="schedule",
            aggregate_id=uuid7(),
            payload={"place": place},
            now=now,
        )
