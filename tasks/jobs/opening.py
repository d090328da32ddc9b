"""Takes in files of opening balances that a second person approved, some hundred rows in each transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from server.points import openings

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.outbox import Event


def take_in(core: Core, event: Event) -> None:
    """Take in a file to its end; broken off, the next attempt goes on where this one was."""
    opening_id = UUID(event.payload["opening_id"])
    while core.db.run(lambda session: openings.take_in(session, opening_id, core.clock.now())):
        pass
