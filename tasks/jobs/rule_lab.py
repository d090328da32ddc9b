"""Dry runs of drafts of points rules: long, so it works in chunks, each written down in a transaction of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.flows import rule_lab
from server.points import dry_runs

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.outbox import Event
    from server.points.dry_runs import DryRunView


def on_dry_run_asked(core: Core, event: Event) -> None:
    """Go through the orders of a dry run; begun again after a kill it goes on where it was, and two at once do each chunk once."""
    run_id = UUID(event.payload["run_id"])
    while _chunk(core, run_id):
        pass


def _chunk(core: Core, run_id: UUID) -> bool:
    with core.db.reading() as session:
        run = dry_runs.find(session, run_id)
        if run is None or run.state != "running":
            return False
        books = rule_lab.books_of(session, run)
        total = rule_lab.how_many(session, run) if run.progress is None else None
        sums = rule_lab.Sums(**(run.progress or {}))
        looked = rule_lab.look_at(session, run, books, sums)
    found: DryRunView = run
    kept: dict[str, Any] = {"looked": looked, "total": total, "now": core.clock.now()}
    return core.db.run(lambda session: rule_lab.carry_on(session, found, sums, **kept))
