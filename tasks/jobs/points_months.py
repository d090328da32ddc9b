"""Closes the months of points and proves, night after night, that the closed ones still hold."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from server.flows import month_close
from server.kernel.actors import SystemActor
from server.kernel.clock import business_date
from server.kernel.ids import uuid7_before
from server.operations import service as operations
from server.points import month_queries, months
from server.points.errors import MonthOrderError

if TYPE_CHECKING:
    from server.bootstrap import Core

# Longer than any transaction lasts, so that nothing recorded before a cutoff is committed after the month was worked out.
SETTLED_AFTER = timedelta(minutes=15)
_CLOSER = SystemActor("points.close_months")
_DRIFTED = "points.month_drifted"
_BOOKS = "months"
_SHOWN = 20


def close_months(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Close every month that is over, oldest first; return how many were closed."""
    with core.db.reading() as session:
        due = month_close.due(session, core.clock.now())
    closed = 0
    for month in due:
        try:
            with core.db.reading() as session:
                closing = months.work_out(session, month, cutoff=uuid7_before(SETTLED_AFTER))
        except MonthOrderError:  # another process has closed it in this very moment
            break
        closed += core.db.run(lambda session, closing=closing: month_close.close(session, closing, actor=_CLOSER, now=core.clock.now()))  # type: ignore[misc]
    return closed


def prove_months(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Compare closed months with the ledger; open an incident when they differ, close it when they agree again.

    Returns:
        How many numbers differ.
    """
    now = core.clock.now()
    with core.db.reading() as session:
        drifts = month_queries.prove_months(session, hashed=business_date(now, core.settings.zone).toordinal())
    if drifts:
        details = {"count": len(drifts), "drifts": [asdict(drift) for drift in drifts[:_SHOWN]]}
        core.db.run(lambda session: operations.open_incident(session, _DRIFTED, _BOOKS, details=details, now=now))
    else:
        core.db.run(
            lambda session: operations.resolve_incident(session, _DRIFTED, _BOOKS, actor=SystemActor("points.prove_months"), now=now)
        )
    return len(drifts)
