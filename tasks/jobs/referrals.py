"""Periodic care of referrals: both sides are rewarded once the friend's order is final."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from server.flows import referral
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from server.bootstrap import Core

# Each locks two accounts; small batches let members in between.
_BATCH = 20


def reward_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Look at the referrals whose time has come."""
    return in_batches(core, referral.reward_due, batch=_BATCH)
