"""Segments: building lists that are due, and sweeping those that count no more."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from server.rosters import queries as rosters
from server.rosters import service as roster_service
from server.segments import queries, service

if TYPE_CHECKING:
    from datetime import datetime

    from server.bootstrap import Core

_SWEPT = 5000


def build_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - one run does the work of all that were missed
    """Build the lists that are due, range by range, each in a transaction of its own: broken off, the next run goes on.

    Returns:
        How many ranges were done.
    """
    with core.db.reading() as session:
        known = rosters.rosters(session)
        due = [view.code for view in queries.newest(session) if service.is_due(view, known.get(view.code), core.clock.now())]
    done = 0
    for code in due:
        more = True
        while more:
            more = core.db.run(partial(service.build_step, code=code, now=core.clock.now()))
            done += 1
    return done


def sweep(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Take away the rows of lists that count no more, a few thousand in each transaction.

    Returns:
        How many rows went.
    """
    gone = 0
    while True:
        swept = core.db.run(partial(roster_service.sweep, limit=_SWEPT))
        gone += swept
        if swept < _SWEPT:
            return gone
