"""Periodic care of requests for a second person: those that nobody decided in time are closed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from server.staff import approvals
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from server.bootstrap import Core


def expire_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Close what waited too long."""
    return in_batches(core, approvals.expire_due)
