"""Periodic care of tickets: those whose members stay silent are closed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from server.feedback import service as feedback
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from server.bootstrap import Core

_BATCH = 100


def close_silent(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Close answered tickets after the set number of days without a word."""
    return in_batches(core, lambda session, now, limit: feedback.close_silent(session, now=now, limit=limit), batch=_BATCH)
