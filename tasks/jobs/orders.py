"""Periodic care of orders: completion of what was delivered long enough ago."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from server.flows import order_events
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from server.bootstrap import Core

_BATCH = 100


def complete_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Complete delivered orders, whose points then unlock by their own time."""
    return in_batches(core, order_events.complete_due, batch=_BATCH)
