"""The relay: turns events into deliveries, and deliveries that are due into jobs.

Every 250 ms, and any number of relays at once: each takes its rows with SKIP LOCKED. A delivery is marked dispatched and
the transaction committed before Redis is rung; when Redis does not answer, nothing is taken, and when it forgets what
it was told, the lease runs out and the delivery is dispatched again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from config.logging import configure_logging
from config.settings import load_settings
from server.bootstrap import build_core
from server.kernel.db import insert_all_absent, lock_skipping, update_where
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxDelivery, OutboxEvent
from tasks.deliveries import MAX_ATTEMPTS
from tasks.process import stop_on_signals
from tasks.queues import QUEUES, WorkQueue, connect, ring, room
from tasks.subscriptions import SUBSCRIPTIONS, Subscription, by_name

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from redis import Redis
    from sqlalchemy.orm import Session

    from server.bootstrap import Core

ROUND_SECONDS = 0.25
_EXPAND_AT_ONCE = 500
# A delivery whose worker died this often while it held it travels by itself, so that a poisonous one takes no others along.
SUSPECT_ATTEMPTS = 3
_RUN = "tasks.deliveries.run_batch"
_log = structlog.get_logger("huiban.relay")


class Relay:
    """One relay.

    Arguments:
        core: of this process.
        redis: from ``queues.connect``.
        subscriptions: topic → subscriptions; the product's own unless a test says otherwise.
    """

    def __init__(self, core: Core, redis: Redis, subscriptions: Mapping[str, tuple[Subscription, ...]] | None = None) -> None:
        self._core = core
        self._redis = redis
        self._table = SUBSCRIPTIONS if subscriptions is None else subscriptions
        self._queue_of = {name: subscription.queue for name, subscription in by_name(self._table).items()}

    def turn(self) -> int:
        """Do one round; return how many rows it moved (0: nothing was due).

        Raises:
            RedisError: Redis did not answer; whatever was committed before stays true.
        """
        moved = self._expand()
        for queue in QUEUES.values():
            names = [name for name, own in self._queue_of.items() if own is queue]
            if names and self._is_due(names):
                moved += self._dispatch(queue, names)
        return moved

    def _expand(self) -> int:
        with self._core.db.reading() as session:
            if session.scalar(sa.select(OutboxEvent.id).where(OutboxEvent.expanded_at.is_(None)).limit(1)) is None:
                return 0
        return self._core.db.run(self._expand_some)

    def _expand_some(self, session: Session) -> int:
        now = self._core.clock.now()
        statement = (
            sa.select(OutboxEvent.id, OutboxEvent.topic)
            .where(OutboxEvent.expanded_at.is_(None))
            .order_by(OutboxEvent.occurred_at)
            .limit(_EXPAND_AT_ONCE)
        )
        events = session.execute(lock_skipping(statement)).all()
        rows = [
            {
                "id": uuid7(),
                "event_id": event.id,
                "subscription": subscription.name,
                "state": "pending",
                "attempts": 0,
                "available_at": now,
                "lease_until": None,
                "done_at": None,
                "error": None,
            }
            for event in events
            for subscription in self._table.get(event.topic, ())
        ]
        for start in range(0, len(rows), _EXPAND_AT_ONCE):
            insert_all_absent(session, OutboxDelivery, rows[start : start + _EXPAND_AT_ONCE])
        if events:
            update_where(session, sa.update(OutboxEvent).where(OutboxEvent.id.in_([event.id for event in events])).values(expanded_at=now))
        return len(events)

    def _is_due(self, names: list[str]) -> bool:
        now = self._core.clock.now()
        with self._core.db.reading() as session:
            return any(session.scalar(statement.limit(1)) is not None for statement in _due(names, now))

    def _dispatch(self, queue: WorkQueue, names: list[str]) -> int:
        # Asked first: while Redis is away nothing is taken, so everything goes out the moment it is back.
        places = room(self._redis, queue)
        if not places:
            return 0
        taken = self._core.db.run(lambda session: _take(session, names, places, queue, self._core.clock.now()))
        plain = [str(delivery_id) for delivery_id, attempts in taken if attempts < SUSPECT_ATTEMPTS]
        ring(self._redis, queue, _RUN, plain)
        for delivery_id, attempts in taken:
            if attempts >= SUSPECT_ATTEMPTS:
                ring(self._redis, queue, _RUN, [str(delivery_id)])
        return len(taken)


def _due(names: list[str], now: datetime) -> tuple[sa.Select[UUID, int], sa.Select[UUID, int]]:
    # Two statements rather than an OR, so that each walks an index of its own.
    columns = (OutboxDelivery.id, OutboxDelivery.attempts)
    mine = OutboxDelivery.subscription.in_(names)
    pending = sa.select(*columns).where(OutboxDelivery.state == "pending", OutboxDelivery.available_at <= now, mine)
    lapsed = sa.select(*columns).where(
        OutboxDelivery.state == "dispatched", OutboxDelivery.lease_until <= now, OutboxDelivery.attempts < MAX_ATTEMPTS, mine
    )
    return pending.order_by(OutboxDelivery.available_at), lapsed.order_by(OutboxDelivery.lease_until)


def _take(session: Session, names: list[str], limit: int, queue: WorkQueue, now: datetime) -> list[tuple[UUID, int]]:
    taken: list[tuple[UUID, int]] = []
    for statement in _due(names, now):
        if limit > len(taken):
            rows = session.execute(lock_skipping(statement.limit(limit - len(taken)))).all()
            taken += [(row.id, row.attempts) for row in rows]
    if taken:
        values = {"state": "dispatched", "lease_until": now + queue.lease}
        ids = [delivery_id for delivery_id, _ in taken]
        update_where(session, sa.update(OutboxDelivery).where(OutboxDelivery.id.in_(ids)).values(**values))
    return taken


def main() -> int:
    """Run a relay until it is told to stop."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    stopping = stop_on_signals()
    core = build_core(settings)
    relay = Relay(core, connect(settings.redis_url))
    silent = False
    while not stopping.is_set():
        started = time.monotonic()
        try:
            moved = relay.turn()
            if silent:
                _log.info("relay.recovered")
            silent = False
        except (RedisError, DBAPIError) as error:
            # Said once, not four times a second for as long as the outage lasts.
            if not silent:
                _log.warning("relay.waiting", error=type(error).__name__)
            silent, moved = True, 0
        if not moved:
            stopping.wait(max(0.0, ROUND_SECONDS - (time.monotonic() - started)))
    core.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
