"""Periodic care of risk control: claims by device, which are counted afterwards, and the block list."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from server.flows import risk as flow
from server.risk import service

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from server.bootstrap import Core


def watch_claims(core: Core, period: datetime) -> int:  # noqa: ARG001 - looks at the last day, whenever it runs
    """Hold the members of devices that claimed too many coupons; return how many."""
    return core.db.run(lambda session: flow.watch_claims(session, now=core.clock.now()))


def resolve_entries(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Hold whoever a live entry means and who is not held; return how many holds are new."""
    total, after = 0, None
    while True:
        made, after = core.db.run(_piece(core, after))
        total += made
        if after is None:
            return total


def _piece(core: Core, after: UUID | None) -> Callable[[Session], tuple[int, UUID | None]]:
    def work(session: Session) -> tuple[int, UUID | None]:
        return service.resolve_entries(session, core.clock.now(), after=after)

    return work
