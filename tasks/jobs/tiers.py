"""Growth from the news of other domains, the gift for an upgrade, and the periodic care of tiers."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from server.flows import growth
from server.kernel.actors import SystemActor
from server.members import queries as members
from server.operations import service as operations
from server.points import queries as points
from server.tiers import proofs
from server.tiers import service as tiers
from server.tiers.qualifying import CHECK_IN, PROFILE, RATING
from server.tiers.service import Activity
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.kernel.outbox import Event

_CHECK_IN_SOURCE = "points/check-in:"
_DRIFTED, _BOOKS, _SHOWN = "tiers.drifted", "growth", 20
# Each row of these is a member with all their days, or an order with its entries.
_MEMBERS, _ORDERS = 200, 500


# --- News ---


def on_order_changed(session: Session, event: Event, core: Core) -> None:
    """Let a paid order bring its growth, and a refunded or cancelled one take it back."""
    growth.settle_order(session, UUID(event.payload["order_id"]), now=core.clock.now())


def on_points_accrued(session: Session, event: Event, core: Core) -> None:
    """Let a check-in bring growth; it is told as the accrual of its points."""
    entry = points.find_entry(session, UUID(event.payload["entry_id"]))
    if entry is not None and entry.source.startswith(_CHECK_IN_SOURCE):
        _earn(session, event, Activity(CHECK_IN, str(entry.id), entry.occurred_at), core)


def on_profile_completed(session: Session, event: Event, core: Core) -> None:
    """Let a profile that is complete bring growth, once for each member."""
    _earn(session, event, Activity(PROFILE, str(event.aggregate_id), event.occurred_at), core)


def on_ticket_rated(session: Session, event: Event, core: Core) -> None:
    """Let the rating of an answer bring growth."""
    _earn(session, event, Activity(RATING, str(event.id), event.occurred_at), core)


def on_tier_changed(session: Session, event: Event, core: Core) -> None:
    """Give what the tier that was reached gives; older news, without the change's id, gives nothing."""
    if event.payload.get("upgrade") and "change_id" in event.payload:
        growth.give_upgrade_gift(session, UUID(event.payload["change_id"]), now=core.clock.now())


def _earn(session: Session, event: Event, activity: Activity, core: Core) -> None:
    member_id = members.resolve(session, UUID(event.payload["member_id"]))
    if member_id is not None:
        tiers.earn_activity(session, member_id, activity, now=core.clock.now())


# --- Care ---


def reassess_due(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Look at members for whom a day, or a new rule, may have changed something."""
    return in_batches(core, tiers.reassess_due, batch=_MEMBERS)


def build_growth(core: Core, period: datetime | None = None) -> int:  # noqa: ARG001 - as above
    """Work out the growth of orders that have none: imported history, and news that was lost."""
    return in_batches(core, growth.build, batch=_ORDERS)


def prove(core: Core, period: datetime) -> int:  # noqa: ARG001 - as above
    """Compare every cached growth with its ledger; open an incident when they differ, close it when they agree again.

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
        core.db.run(lambda session: operations.resolve_incident(session, _DRIFTED, _BOOKS, actor=SystemActor("tiers.prove"), now=now))
    return len(drifts)
