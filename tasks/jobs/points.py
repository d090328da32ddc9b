"""Points for events that other domains tell of, and periodic care: unlocking, expiry and its notices, reservations, the nightly proof."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from server.flows import first_order
from server.kernel.actors import SystemActor
from server.members import queries as members
from server.operations import service as operations
from server.points import occasions, proofs, reminders
from server.points import service as points
from server.points.rules import EarningEvent
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.kernel.outbox import Event

_DRIFTED = "points.drifted"
_BOOKS = "books"
_SHOWN = 20
# The end of a year takes points from many members at once.
_NOTICES = 2000
# Who came by themselves; a record that a till or an import made knows nothing of it.
_JOINED_THEMSELVES = "wechat"


# --- News ---


def on_member_enrolled(session: Session, event: Event, core: Core) -> None:
    """Give for joining, to whoever joined by logging in."""
    if not occasions.offered(session, EarningEvent.SIGN_UP):
        return
    member = members.find(session, UUID(event.payload["member_id"]))
    if member is not None and member.joined_via == _JOINED_THEMSELVES:
        _give(session, event, EarningEvent.SIGN_UP, member.id.hex, core)


def on_profile_completed(session: Session, event: Event, core: Core) -> None:
    """Give for a profile that is complete."""
    _give(session, event, EarningEvent.PROFILE_COMPLETED, UUID(event.payload["member_id"]).hex, core)


def on_ticket_rated(session: Session, event: Event, core: Core) -> None:
    """Give for rating an answer, once for each ticket."""
    _give(session, event, EarningEvent.TICKET_RATED, UUID(event.payload["ticket_id"]).hex, core)


def on_order_changed(session: Session, event: Event, core: Core) -> None:
    """Give for a first order, or take it back and give for the next one."""
    first_order.settle(session, UUID(event.payload["order_id"]), now=core.clock.now())


def _give(session: Session, event: Event, kind: EarningEvent, business_key: str, core: Core) -> None:
    member_id = members.resolve(session, UUID(event.payload["member_id"]), hold=True)
    member = members.find(session, member_id) if member_id is not None else None
    if member is not None and member.status == "active":
        occasions.give(session, member.id, kind, business_key, occurred_at=event.occurred_at, now=core.clock.now())


# --- Care ---


def unlock_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Make available what has waited long enough."""
    return in_batches(core, points.unlock_due)


def expire_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Expire what is left in lots whose time is over."""
    return in_batches(core, points.expire_due)


def release_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Give back reservations that nobody redeemed in time."""
    return in_batches(core, points.release_due)


def remind_expiring(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Tell members of points that are gone in 30 and in 7 days, each day of them once."""
    return in_batches(core, reminders.remind_expiring, batch=_NOTICES)


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
