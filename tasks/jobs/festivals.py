"""Festivals: begins what is due and gives it, a piece at a time; broken off, the next run goes on where this one was."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from server.campaigns import festival_queries as queries
from server.campaigns import festivals
from server.kernel.actors import SystemActor

if TYPE_CHECKING:
    from server.bootstrap import Core

_ACTOR = SystemActor("festivals")
_PIECE = 50
# A run of the job ends in time for its delivery's lease; the next one, minutes later, goes on.
_MOST_PIECES = 600


def celebrate(core: Core, period: datetime) -> int:  # noqa: ARG001 - catches up by itself, whatever period asks
    """Begin the celebrations that are due and give to the members of all that are under way.

    Returns:
        How many members were looked at.
    """
    core.db.run(lambda session: festivals.plan(session, now=core.clock.now()))
    with core.db.reading() as session:
        running = queries.running(session)
    looked = pieces = 0
    for run_id in running:
        while pieces < _MOST_PIECES:
            done = core.db.run(
                lambda session, run_id=run_id: festivals.give_piece(session, run_id, actor=_ACTOR, now=core.clock.now(), limit=_PIECE)  # type: ignore[misc]
            )
            if done is None:
                break
            looked, pieces = looked + done, pieces + 1
    return looked
