"""Seals the audit trail, and anchors the end of its chain outside the database."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from server.audit import service as audit
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from server.bootstrap import Core

ANCHORS = "audit-anchors.jsonl"


def seal(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Chain the entries that wait, and then anchor what is committed."""
    sealed = in_batches(core, audit.seal)
    with core.db.reading() as session:
        audit.write_anchor(session, core.settings.data_dir / ANCHORS, now=core.clock.now())
    return sealed
