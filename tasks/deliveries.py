"""Runs deliveries: the effect and the ``done`` in one commit, each delivery in a transaction of its own.

A delivery that fails goes back to pending with a growing pause, and after ``MAX_ATTEMPTS`` beginnings it is dead and an
incident is open. Beginnings are counted before the work, in one commit for the batch, so that work which kills its
process is counted too, while the time a queue or Redis was down costs no attempts.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
import structlog
from rq.timeouts import BaseTimeoutException

from server.kernel.db import lock_skipping, update_where
from server.kernel.errors import DomainError
from server.kernel.outbox import Event, OutboxDelivery, OutboxEvent
from server.operations import service as operations
from tasks.process import current_core
from tasks.subscriptions import Subscription, by_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session

    from server.bootstrap import Core

MAX_ATTEMPTS = 12
_FIRST_PAUSE = timedelta(seconds=2)
_LONGEST_PAUSE = timedelta(hours=1)
_OPEN = ("pending", "dispatched")
_log = structlog.get_logger("huiban.deliveries")


def run_batch(ids: list[str]) -> None:
    """Work on deliveries by id: the function RQ calls."""
    run(current_core(), [UUID(text) for text in ids], by_name())


def run(core: Core, ids: list[UUID], subscriptions: Mapping[str, Subscription]) -> int:
    """Work on deliveries; whatever is done, dead or in other hands is left alone.

    Arguments:
        core: of this process.
        ids: of deliveries, in the order they are tried.
        subscriptions: by name.

    Returns:
        How many were done by this call.
    """
    begun = core.db.run(lambda session: _begin(session, ids, subscriptions, core.clock.now()))
    in_bulk: dict[Subscription, list[UUID]] = {}
    done = 0
    for delivery_id in ids:
        subscription = begun.get(delivery_id)
        if subscription is None:
            continue
        if subscription.bulk:
            in_bulk.setdefault(subscription, []).append(delivery_id)
        else:
            done += _guarded(core, [delivery_id], partial(_run_one, core, delivery_id, subscription))
    return done + sum(_guarded(core, own, partial(_run_bulk, core, own, subscription)) for subscription, own in in_bulk.items())


def pause_after(attempts: int) -> timedelta:
    """Return how long to wait after the n-th failed attempt: doubling from two seconds, at most an hour."""
    return min(_FIRST_PAUSE * (1 << min(attempts - 1, 16)), _LONGEST_PAUSE)


def _begin(session: Session, ids: list[UUID], subscriptions: Mapping[str, Subscription], now: datetime) -> dict[UUID, Subscription]:
    statement = sa.select(OutboxDelivery.id, OutboxDelivery.subscription).where(OutboxDelivery.id.in_(ids), OutboxDelivery.state.in_(_OPEN))
    # A name we do not know belongs to another release of the product, which will take it itself.
    begun = {
        row.id: subscriptions[row.subscription] for row in session.execute(lock_skipping(statement)) if row.subscription in subscriptions
    }
    for queue in {subscription.queue for subscription in begun.values()}:
        mine = [delivery_id for delivery_id, subscription in begun.items() if subscription.queue is queue]
        values = {"attempts": OutboxDelivery.attempts + 1, "state": "dispatched", "lease_until": now + queue.lease}
        update_where(session, sa.update(OutboxDelivery).where(OutboxDelivery.id.in_(mine)).values(**values))
    return begun


def _guarded(core: Core, ids: list[UUID], work: Callable[[], int]) -> int:
    try:
        return work()
    except BaseTimeoutException:
        # RQ's alarm: the whole job is out of time. Swallowed here it would go on until the worker is killed.
        raise
    except Exception as error:
        if _out_of_time(error):
            raise
        # Whatever else a handler raises is its deliveries' failure, not the batch's.
        text = describe(error)
        _log.warning("delivery.failed", delivery_ids=[str(one) for one in ids], error=text, exc_info=not isinstance(error, DomainError))
        for delivery_id in ids:
            core.db.run(partial(_fail, delivery_id=delivery_id, error=text, now=core.clock.now()))
        return 0


def _out_of_time(error: BaseException) -> bool:
    """Tell whether RQ's alarm is behind an error.

    When it goes off in the middle of a statement, what arrives here is what it did there: a connection that cannot be rolled back.
    """
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, BaseTimeoutException):
        seen = seen.__cause__ or seen.__context__
    return seen is not None


def _run_one(core: Core, delivery_id: UUID, subscription: Subscription) -> int:
    if not subscription.alone:
        return core.db.run(lambda session: _deliver(session, core, delivery_id, subscription))
    with core.db.reading() as session:
        (event,) = _events(session, [delivery_id])
    subscription.load()(core, event)
    return core.db.run(lambda session: _mark_done(session, [delivery_id], core.clock.now()))


def _run_bulk(core: Core, ids: list[UUID], subscription: Subscription) -> int:
    with core.db.reading() as session:
        events = _events(session, ids)
    subscription.load()(core, events)
    return core.db.run(lambda session: _mark_done(session, ids, core.clock.now()))


def describe(error: Exception) -> str:
    """Return what is kept of a failure: a refusal's stable code or the error's class, never text that may hold data."""
    return f"{type(error).__name__}: {error.code}" if isinstance(error, DomainError) else type(error).__name__


def _deliver(session: Session, core: Core, delivery_id: UUID, subscription: Subscription) -> int:
    statement = sa.select(OutboxDelivery.id).where(OutboxDelivery.id == delivery_id, OutboxDelivery.state.in_(_OPEN))
    if session.scalar(lock_skipping(statement)) is None:
        return 0
    subscription.load()(session, _events(session, [delivery_id])[0], core)
    return _mark_done(session, [delivery_id], core.clock.now())


def _events(session: Session, ids: list[UUID]) -> list[Event]:
    statement = sa.select(OutboxEvent).join(OutboxDelivery, OutboxDelivery.event_id == OutboxEvent.id).where(OutboxDelivery.id.in_(ids))
    return [
        Event(row.id, row.key, row.topic, row.aggregate_type, row.aggregate_id, row.version, row.payload, row.occurred_at)
        for row in session.scalars(statement.order_by(OutboxEvent.occurred_at, OutboxEvent.id))
    ]


def _mark_done(session: Session, ids: list[UUID], now: datetime) -> int:
    values = {"state": "done", "done_at": now, "lease_until": None, "error": None}
    statement = sa.update(OutboxDelivery).where(OutboxDelivery.id.in_(ids), OutboxDelivery.state.in_(_OPEN)).values(**values)
    return update_where(session, statement)


def _fail(session: Session, delivery_id: UUID, error: str, now: datetime) -> None:
    statement = sa.select(OutboxDelivery).where(OutboxDelivery.id == delivery_id, OutboxDelivery.state.in_(_OPEN))
    row = session.execute(statement.with_for_update()).scalar_one_or_none()
    if row is None:
        return
    row.error = error[:500]
    row.lease_until = None
    if row.attempts < MAX_ATTEMPTS:
        row.state = "pending"
        row.available_at = now + pause_after(max(1, row.attempts))
        return
    row.state = "dead"
    details = {"subscription": row.subscription, "event_id": str(row.event_id), "error": error}
    operations.open_incident(session, "delivery.dead", str(delivery_id), details=details, now=now)


def bury_exhausted(session: Session, now: datetime, limit: int = 500) -> int:
    """Give up deliveries that never came back: begun ``MAX_ATTEMPTS`` times, lease run out, no failure written.

    That is work which kills its worker. Returns how many were given up.
    """
    statement = (
        sa.select(OutboxDelivery)
        .where(OutboxDelivery.state == "dispatched", OutboxDelivery.lease_until <= now, OutboxDelivery.attempts >= MAX_ATTEMPTS)
        .order_by(OutboxDelivery.lease_until)
        .limit(limit)
    )
    rows = session.scalars(lock_skipping(statement)).all()
    for row in rows:
        row.state = "dead"
        row.error = "WorkerDied"
        row.lease_until = None
        details = {"subscription": row.subscription, "event_id": str(row.event_id), "error": row.error}
        operations.open_incident(session, "delivery.dead", str(row.id), details=details, now=now)
    return len(rows)


def expire_sending(session: Session, now: datetime, limit: int = 500) -> int:
    """Mark as uncertain what was being sent when its lease ran out: nobody knows, so it is never sent again by itself."""
    statement = (
        sa.select(OutboxDelivery)
        .where(OutboxDelivery.state == "sending", OutboxDelivery.lease_until <= now)
        .order_by(OutboxDelivery.lease_until)
        .limit(limit)
    )
    rows = session.scalars(lock_skipping(statement)).all()
    for row in rows:
        row.state = "uncertain"
        row.lease_until = None
    return len(rows)
