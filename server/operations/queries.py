"""What the queues page, the metrics and the alarms read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.kernel.outbox import OutboxDelivery, OutboxEvent
from server.operations.models import DemoLoad, Incident, ScheduledRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class QueueHealth:
    """The state of the outbox: what waits, what was given up, and how old the oldest waiting thing is."""

    pending: int
    dispatched: int
    dead: int
    uncertain: int
    oldest_pending_seconds: float


@dataclass(frozen=True, slots=True)
class StuckDelivery:
    """A delivery that waits for a person."""

    id: UUID
    event_id: UUID
    topic: str
    subscription: str
    state: str
    attempts: int
    occurred_at: datetime
    error: str | None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run of a periodic job."""

    id: UUID
    job: str
    period: datetime
    state: str
    handled: int
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class IncidentView:
    """Something a person has to look at, or has."""

    id: UUID
    kind: str
    subject: str
    details: dict[str, Any]
    occurrences: int
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    note: str | None


def queue_health(session: Session, now: datetime) -> QueueHealth:
    """Return the state of the outbox. Counts only what is not done, so its cost does not grow with history.

    Events that were not expanded yet count as pending: their deliveries are still to be made.
    """
    open_states = ("pending", "dispatched", "dead", "uncertain")
    counts = {
        str(state): int(count)
        for state, count in session.execute(
            sa.select(OutboxDelivery.state, sa.func.count()).where(OutboxDelivery.state.in_(open_states)).group_by(OutboxDelivery.state)
        )
    }
    fresh = session.execute(sa.select(sa.func.count(), sa.func.min(OutboxEvent.occurred_at)).where(OutboxEvent.expanded_at.is_(None))).one()
    # A retry's available_at lies in the future: its age counts from the event, not from the next attempt.
    oldest_delivery = session.scalar(
        sa.select(sa.func.min(OutboxEvent.occurred_at))
        .join(OutboxDelivery, OutboxDelivery.event_id == OutboxEvent.id)
        .where(OutboxDelivery.state.in_(("pending", "dispatched")))
    )
    oldest = min((instant for instant in (fresh[1], oldest_delivery) if instant is not None), default=None)
    return QueueHealth(
        pending=counts.get("pending", 0) + int(fresh[0]),
        dispatched=counts.get("dispatched", 0),
        dead=counts.get("dead", 0),
        uncertain=counts.get("uncertain", 0),
        oldest_pending_seconds=max(0.0, (now - oldest).total_seconds()) if oldest is not None else 0.0,
    )


def stuck_deliveries(session: Session, *, limit: int = 100) -> list[StuckDelivery]:
    """Return dead and uncertain deliveries, newest first."""
    rows = session.execute(
        sa.select(
            OutboxDelivery.id,
            OutboxDelivery.event_id,
            OutboxEvent.topic,
            OutboxDelivery.subscription,
            OutboxDelivery.state,
            OutboxDelivery.attempts,
            OutboxEvent.occurred_at,
            OutboxDelivery.error,
        )
        .join(OutboxEvent, OutboxEvent.id == OutboxDelivery.event_id)
        .where(OutboxDelivery.state.in_(("dead", "uncertain")))
        .order_by(OutboxDelivery.id.desc())
        .limit(limit)
    )
    return [StuckDelivery(*row) for row in rows]


def last_periods(session: Session) -> dict[str, datetime]:
    """Return, for each job that has ever been planned, the newest period planned."""
    rows = session.execute(sa.select(ScheduledRun.job, sa.func.max(ScheduledRun.period)).group_by(ScheduledRun.job))
    return {str(job): period for job, period in rows}


def find_run(session: Session, run_id: UUID) -> RunView | None:
    """Return one run, or None."""
    row = session.get(ScheduledRun, run_id)
    return None if row is None else RunView(row.id, row.job, row.period, row.state, row.handled, row.finished_at)


def last_done(session: Session, job: str) -> RunView | None:
    """Return the newest run of a job that ended, or None."""
    statement = sa.select(ScheduledRun).where(ScheduledRun.job == job, ScheduledRun.finished_at.is_not(None))
    row = session.scalar(statement.order_by(ScheduledRun.period.desc(), ScheduledRun.id.desc()).limit(1))
    return None if row is None else RunView(row.id, row.job, row.period, row.state, row.handled, row.finished_at)


def later_run_exists(session: Session, job: str, period: datetime) -> bool:
    """Tell whether a later period of the same job has been planned."""
    statement = sa.select(ScheduledRun.id).where(ScheduledRun.job == job, ScheduledRun.period > period).limit(1)
    return session.scalar(statement) is not None


def latest_runs(session: Session, *, limit: int = 100) -> list[RunView]:
    """Return the newest runs of all jobs, newest first."""
    rows = session.scalars(sa.select(ScheduledRun).order_by(ScheduledRun.period.desc(), ScheduledRun.id.desc()).limit(limit))
    return [RunView(row.id, row.job, row.period, row.state, row.handled, row.finished_at) for row in rows]


def incidents(session: Session, *, include_closed: bool = False, limit: int = 100) -> list[IncidentView]:
    """Return incidents, newest first; open ones only unless asked for all."""
    statement = sa.select(Incident).order_by(Incident.opened_at.desc(), Incident.id.desc()).limit(limit)
    if not include_closed:
        statement = statement.where(Incident.slot.is_not(None))
    return [
        IncidentView(
            row.id,
            row.kind,
            row.subject,
            row.details,
            row.occurrences,
            row.opened_at,
            row.last_seen_at,
            row.closed_at,
            row.closed_by,
            row.note,
        )
        for row in session.scalars(statement)
    ]


def open_subjects(session: Session, kinds: Sequence[str]) -> list[tuple[str, str]]:
    """Return ``(kind, subject)`` of the open incidents of some kinds."""
    statement = sa.select(Incident.kind, Incident.subject).where(Incident.slot.is_not(None), Incident.kind.in_(kinds))
    return [(kind, subject) for kind, subject in session.execute(statement)]


def open_incident_count(session: Session) -> int:
    """Return how many incidents are open."""
    return int(session.scalar(sa.select(sa.func.count()).select_from(Incident).where(Incident.slot.is_not(None))) or 0)


def demo_credentials(session: Session) -> dict[str, Any] | None:
    """Return the demonstration's log-ins, or None when this database does not hold it."""
    return session.scalar(sa.select(DemoLoad.credentials).where(DemoLoad.name == "demo"))
