"""Verbs of this domain: open and close incidents, plan and finish periodic runs, put a dead delivery back to work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.kernel.db import insert_if_absent, update_where
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxDelivery, OutboxEvent, publish
from server.operations.errors import DeliveryNotFoundError, DeliveryNotStuckError, IncidentNotFoundError
from server.operations.events import SCHEDULE_DUE
from server.operations.models import DemoLoad, Incident, ScheduledRun

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

_DEMO = "demo"
_LOADING = "loading"


def open_incident(session: Session, kind: str, subject: str, *, details: dict[str, Any], now: datetime) -> bool:
    """Open an incident, or count one more occurrence of the one that is open for this subject.

    Arguments:
        session: of an open transaction.
        kind: what is wrong, ``noun.adjective`` (``delivery.dead``, ``points.drifted``).
        subject: what it is about, at most 120 characters; no personal data.
        details: ids and figures for whoever looks at it.
        now: present instant.

    Returns:
        True when a new incident was opened.
    """
    slot = f"{kind}:{subject}"[:191]
    values = {
        "id": uuid7(),
        "kind": kind,
        "subject": subject,
        "slot": slot,
        "details": details,
        "occurrences": 1,
        "opened_at": now,
        "last_seen_at": now,
        "closed_at": None,
        "closed_by": None,
        "note": None,
    }
    if insert_if_absent(session, Incident, values):
        return True
    update_where(
        session,
        sa.update(Incident).where(Incident.slot == slot).values(occurrences=Incident.occurrences + 1, last_seen_at=now, details=details),
    )
    return False


def close_incident(session: Session, incident_id: UUID, *, note: str, actor: Actor, now: datetime) -> None:
    """Close an incident by hand; closing it again changes nothing.

    Raises:
        IncidentNotFoundError: there is none of that id.
    """
    closed = update_where(
        session,
        sa.update(Incident)
        .where(Incident.id == incident_id, Incident.slot.is_not(None))
        .values(slot=None, closed_at=now, closed_by=f"{actor.kind}:{actor.ref}"[:120], note=note[:500]),
    )
    if not closed and session.get(Incident, incident_id) is None:
        raise IncidentNotFoundError


def resolve_incident(session: Session, kind: str, subject: str, *, actor: Actor, now: datetime) -> bool:
    """Close the open incident of a subject because the trouble is gone; return whether there was one."""
    slot = f"{kind}:{subject}"[:191]
    values = {"slot": None, "closed_at": now, "closed_by": f"{actor.kind}:{actor.ref}"[:120]}
    return bool(update_where(session, sa.update(Incident).where(Incident.slot == slot).values(**values)))


def plan_run(session: Session, job: str, period: datetime, *, now: datetime) -> bool:
    """Write one period of a periodic job and, in the same transaction, the event that sets it to work.

    Arguments:
        session: of an open transaction.
        job: the job's name in the schedule.
        period: the instant the run is due for.
        now: present instant, at or after ``period``.

    Returns:
        True when this call planned it, False when it was planned already.
    """
    run_id = uuid7()
    values = {"id": run_id, "job": job, "period": period, "state": "due", "handled": 0, "created_at": now, "finished_at": None}
    if not insert_if_absent(session, ScheduledRun, values):
        return False
    return publish(
        session,
        SCHEDULE_DUE,
        key=f"{SCHEDULE_DUE}:{job}:{period.isoformat()}",
        aggregate_type="schedule",
        aggregate_id=run_id,
        payload={"job": job, "period": period.isoformat()},
        now=now,
    )


def finish_run(session: Session, run_id: UUID, *, handled: int, superseded: bool, now: datetime) -> None:
    """Note how a run ended.

    Arguments:
        session: of an open transaction.
        run_id: which run.
        handled: how many rows the job changed.
        superseded: the run was left out because a later one does its work.
        now: present instant.
    """
    state = "superseded" if superseded else "done"
    update_where(session, sa.update(ScheduledRun).where(ScheduledRun.id == run_id).values(state=state, handled=handled, finished_at=now))


def retry_delivery(session: Session, delivery_id: UUID, *, now: datetime) -> None:
    """Put a delivery that was given up back to work, with its attempts counted anew.

    An uncertain delivery is not taken: nobody knows whether it reached the outside, and sending twice is worse.

    Raises:
        DeliveryNotFoundError: there is none of that id.
        DeliveryNotStuckError: it is not dead.
    """
    values = {"state": "pending", "attempts": 0, "available_at": now, "lease_until": None}
    statement = sa.update(OutboxDelivery).where(OutboxDelivery.id == delivery_id, OutboxDelivery.state == "dead").values(**values)
    if update_where(session, statement):
        return
    if session.get(OutboxDelivery, delivery_id) is None:
        raise DeliveryNotFoundError
    raise DeliveryNotStuckError


def forget_done_events(session: Session, before: datetime, *, limit: int = 500) -> int:
    """Delete events older than an instant whose every delivery is done; what is dead or uncertain stays.

    Returns:
        How many events were deleted.
    """
    unfinished = sa.exists().where(OutboxDelivery.event_id == OutboxEvent.id, OutboxDelivery.state != "done")
    ids = session.scalars(
        sa.select(OutboxEvent.id)
        .where(OutboxEvent.expanded_at < before, OutboxEvent.occurred_at < before, ~unfinished)
        .order_by(OutboxEvent.expanded_at, OutboxEvent.occurred_at)
        .limit(limit)
    ).all()
    if ids:
        session.execute(sa.delete(OutboxDelivery).where(OutboxDelivery.event_id.in_(ids)).execution_options(synchronize_session=False))
        session.execute(sa.delete(OutboxEvent).where(OutboxEvent.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


def forget_runs(session: Session, before: datetime, *, limit: int = 2000) -> int:
    """Delete finished runs older than an instant, but never a job's newest: catching up starts from it.

    Returns:
        How many runs were deleted.
    """
    newest = sa.select(ScheduledRun.job, sa.func.max(ScheduledRun.period).label("period")).group_by(ScheduledRun.job).subquery()
    ids = session.scalars(
        sa.select(ScheduledRun.id)
        .join(newest, newest.c.job == ScheduledRun.job)
        .where(ScheduledRun.period < before, ScheduledRun.state != "due", ScheduledRun.period < newest.c.period)
        .order_by(ScheduledRun.period)
        .limit(limit)
    ).all()
    if ids:
        session.execute(sa.delete(ScheduledRun).where(ScheduledRun.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


def claim_demo(session: Session, *, now: datetime) -> bool:
    """Begin to load the demonstration into this database; a second loader waits here until the first has committed.

    Returns:
        True when this transaction is to load it, False when the database holds it already.
    """
    insert_if_absent(session, DemoLoad, {"name": _DEMO, "credentials": {_LOADING: True}, "loaded_at": now})
    row = session.scalars(
        sa.select(DemoLoad).where(DemoLoad.name == _DEMO).with_for_update().execution_options(populate_existing=True)
    ).one()
    return _LOADING in row.credentials


def note_demo(session: Session, credentials: dict[str, Any], *, now: datetime) -> None:
    """Note that this database holds the demonstration from now on, with the log-ins to show."""
    update_where(session, sa.update(DemoLoad).where(DemoLoad.name == _DEMO).values(credentials=credentials, loaded_at=now))
