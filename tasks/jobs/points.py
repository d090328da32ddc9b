"""Periodic care of points: unlocking, expiry, reservations that ran out, and the nightly proof of the books."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from server.kernel.actors import SystemActor
from server.operations import service as operations
from server.points import proofs
from server.points import service as points
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from server.bootstrap import Core

_DRIFTED = "points.drifted"
_BOOKS = "books"
_SHOWN = 20


def unlock_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Make available what has waited long enough."""
    return in_batches(core, points.unlock_due)


def expire_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Expire what is left in lots whose time is over."""
    return in_batches(core, points.expire_due)


def release_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Give back reservations that nobody redeemed in time."""
    return in_batches(core, points.release_due)


def prove(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Compare every cached balance with the books; open an incident when they differ, close it when they agree again.

    Returns:
        How many numbers differ.
    """
    with core.db.reading() as session:
        drifts = proofs.prove(session)
    now = core.clock.now()
    if drifts:
        details = {"count": len(drifts), "drifts": [asdict(drift) for drift in drifts[:_SHOWN]]}
        core.db.run(lambda session: operations.open_incident(session, _DRIFTED, _BOOKS, details=details, now=now))
    else:
        core.db.run(lambda session: operations.resolve_incident(session, _DRIFTED, _BOOKS, actor=SystemActor("points.prove"), now=now))
    return len(drifts)
