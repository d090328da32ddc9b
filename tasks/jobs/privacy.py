"""Tells who is leaving so, and carries out the deletions whose time has come, each member in a transaction of its own."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from server.flows import privacy
from server.kernel.actors import SystemActor
from server.members import deletion_queries
from server.notifications import service as notifications
from server.notifications.privacy_templates import MembershipDeletion

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.kernel.outbox import Event

_log = structlog.get_logger("huiban.privacy")
_ACTOR = SystemActor("members.erase_due")
_MOST = 200


def on_deletion_requested(session: Session, event: Event, core: Core) -> None:
    """Tell the member that their membership is going to be deleted, and until when they can stop it."""
    wish = deletion_queries.find(session, UUID(event.payload["deletion_id"]))
    if wish is None or wish.state != "waiting":
        return
    message = MembershipDeletion(wish.requested_at, wish.due_at)
    key = f"membership_deletion:{wish.id}"
    notifications.request(session, wish.member_id, message, key=key, now=core.clock.now(), occurred_at=event.occurred_at)


def erase_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Do one round of every deletion that is due.

    Returns:
        How many rounds were done.

    Raises:
        Exception: the first failure, after all others were done, so that the run counts as failed and is tried again.
    """
    with core.db.reading() as session:
        ids = deletion_queries.due(session, now=core.clock.now(), limit=_MOST)
    done, failure = 0, None
    for deletion_id in ids:
        try:
            state = core.db.run(
                lambda session, one=deletion_id: privacy.erase(session, core.files, one, actor=_ACTOR, now=core.clock.now())  # type: ignore[misc]
            )
        except Exception as error:  # noqa: BLE001 - one member's trouble must not keep the others' data here
            _log.warning("privacy.erase_failed", deletion_id=str(deletion_id), error=type(error).__name__)
            failure = failure or error
        else:
            done += state in {"erased", "done"}
    if failure is not None:
        raise failure
    return done
