"""Starts import and export jobs and writes down how far they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.kernel.db import update_where
from server.kernel.ids import uuid7
from server.transfers.errors import TransferEndedError
from server.transfers.models import TransferJob

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor


def start(session: Session, *, kind: str, name: str, actor: Actor, total: int | None = None, now: datetime) -> UUID:
    """Write down that a job begins.

    Arguments:
        session: of the edge's transaction.
        kind: what sort of job (``orders.import``).
        name: what people know it by, such as the file's name.
        actor: who started it.
        total: how many items it has, when that is known.
        now: present instant.

    Returns:
        The job's id.
    """
    job_id = uuid7()
    session.add(
        TransferJob(
            id=job_id,
            kind=kind,
            name=name[:191],
            total=total,
            actor_kind=actor.kind,
            actor_ref=actor.ref[:64],
            started_at=now,
            updated_at=now,
        )
    )
    session.flush()
    return job_id


def advance(session: Session, transfer_id: UUID, *, done: int = 0, errors: int = 0, total: int | None = None, now: datetime) -> None:
    """Add to what is done.

    Arguments:
        session: of the transaction that holds the work, so that progress is never ahead of it.
        transfer_id: which job.
        done: items finished since the last call.
        errors: items refused since the last call.
        total: the number of items, once it becomes known.
        now: present instant.

    Raises:
        TransferEndedError: the job has ended, or never was.
    """
    values = {"done": TransferJob.done + done, "errors": TransferJob.errors + errors, "updated_at": now}
    if total is not None:
        values["total"] = total
    _update(session, transfer_id, values)


def finish(session: Session, transfer_id: UUID, *, error_file: str | None = None, now: datetime) -> None:
    """Close a job that came to its end, refused items or not.

    Arguments:
        session: of the edge's transaction.
        transfer_id: which job.
        error_file: name of the file that lists the refused items, if any were.
        now: present instant.

    Raises:
        TransferEndedError: the job has ended before.
    """
    _update(session, transfer_id, {"state": "done", "error_file": error_file, "updated_at": now, "finished_at": now})


def fail(session: Session, transfer_id: UUID, *, failure: str, now: datetime) -> None:
    """Close a job that broke off.

    Arguments:
        session: of the edge's transaction.
        transfer_id: which job.
        failure: the kind of failure, without personal data.
        now: present instant.

    Raises:
        TransferEndedError: the job has ended before.
    """
    _update(session, transfer_id, {"state": "failed", "failure": failure[:255], "updated_at": now, "finished_at": now})


def _update(session: Session, transfer_id: UUID, values: dict[str, object]) -> None:
    statement = sa.update(TransferJob).where(TransferJob.id == transfer_id, TransferJob.state == "running").values(values)
    if not update_where(session, statement):
        raise TransferEndedError
