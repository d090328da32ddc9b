"""Care of coupons: locks that ran out, expiry and the reminder before it; and what is made or issued piece by piece."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from server.coupons import service as coupons
from server.coupons.service import issue_files, recalls
from server.kernel.actors import SystemActor
from server.operations import service as operations
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.kernel.outbox import Event


def release_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Open locks whose order never came."""
    return in_batches(core, coupons.release_due)


def lapse_gifts(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Bring coupons back that no friend accepted in time."""
    return in_batches(core, coupons.lapse_due)


def expire_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Expire coupons whose validity is over."""
    return in_batches(core, coupons.expire_due)


def remind_expiring(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Tell once of each coupon that ends soon."""
    return in_batches(core, lambda session, now, limit: coupons.remind_expiring(session, now, limit=limit))


def forget_seeds(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Erase what the codes of a batch follow from, once their file's time is over."""
    return in_batches(core, coupons.forget_seeds)


def watch_limits(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Open an incident for each threshold that a template's stock or budget has passed, and close those that are over."""

    def work(session: Session) -> int:
        now = core.clock.now()
        news = coupons.watch_limits(session, now)
        for each in news:
            kind, subject = f"coupons.{each.what}_low", f"{each.code}:{each.percent}"
            if each.raised:
                details = {"template": each.code, "percent": each.percent, "taken": each.taken, "limit": each.limit}
                operations.open_incident(session, kind, subject, details=details, now=now)
            else:
                operations.resolve_incident(session, kind, subject, actor=SystemActor("coupons.watch_limits"), now=now)
        return len(news)

    return core.db.run(work)


def on_codes_wanted(core: Core, event: Event) -> None:
    """Make the codes of a batch to its end; broken off, the next attempt goes on where this one was."""
    batch_id = UUID(event.payload["batch_id"])
    while core.db.run(lambda session: coupons.make_codes(session, batch_id, core.clock.now())):
        pass


def on_issue_wanted(core: Core, event: Event) -> None:
    """Issue to a file of members to its end; broken off, the next attempt goes on where this one was."""
    file_id = UUID(event.payload["file_id"])
    while core.db.run(lambda session: issue_files.issue_piece(session, file_id, core.clock.now())):
        pass


def on_recall_wanted(core: Core, event: Event) -> None:
    """Take back what a file gave, to its end; broken off, the next attempt goes on where this one was."""
    recall_id = UUID(event.payload["recall_id"])
    while core.db.run(lambda session: recalls.recall_piece(session, recall_id, core.clock.now())):
        pass
