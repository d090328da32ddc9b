"""Periodic care of redemptions: those that nobody paid in time are cancelled."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from server.rewards import service as rewards
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from server.bootstrap import Core

# Each locks an account and a reward; small batches let members in between.
_BATCH = 50


def time_out_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Give points and stock of unpaid redemptions back."""
    return in_batches(core, rewards.time_out_due, batch=_BATCH)
