"""Care of orders: completion of what was delivered long enough ago, and asking the carriers' aggregator for news of new parcels."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from server.flows import intake, order_events
from server.logistics.errors import TrackingRefusedError
from server.orders import pending, queries
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.outbox import Event

_BATCH = 100
# Carriers that tell nothing without the receiver's phone number.
_WANT_PHONE = frozenset({"shunfeng", "zhongtong"})
_log = structlog.get_logger("orders")


def complete_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Complete delivered orders, whose points then unlock by their own time."""
    return in_batches(core, order_events.complete_due, batch=_BATCH)


def apply_pending(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Give orders the events that came at the same moment as they did, and forget events whose order never came."""
    applied = in_batches(core, intake.apply_overtaken, batch=_BATCH)
    return applied + core.db.run(lambda session: pending.forget(session, core.clock.now()))


def follow_parcel(core: Core, event: Event) -> None:
    """Ask the aggregator to report a new parcel's news; asking twice is harmless, so this may run any number of times.

    Arguments:
        core: of this process.
        event: ``orders.shipped``; its ``part_id`` is the parcel. Without one nobody told a tracking number.

    Raises:
        TrackingUnavailableError: no answer; the delivery is tried again.
    """
    part_id = event.payload.get("part_id")
    if part_id is None:
        return
    with core.db.reading() as session:
        parcel = queries.parcel(session, UUID(part_id))
        receiver = queries.receiver_of(session, event.aggregate_id) if parcel and parcel[0] in _WANT_PHONE else None
    if parcel is None or not parcel[0]:
        return
    try:
        core.tracking.subscribe(*parcel, phone=receiver.phone if receiver else None)
    except TrackingRefusedError as refusal:
        # Trying again would be refused again; the order's page still shows the number.
        _log.warning("tracking_refused", parcel=part_id, reason=refusal.params.get("reason"))
