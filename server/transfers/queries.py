"""Reads import and export jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.transfers.models import TransferJob

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

_ALL_PERCENT = 100


@dataclass(frozen=True, slots=True)
class TransferView:
    """A job as staff see it."""

    id: UUID
    kind: str
    name: str
    state: str
    total: int | None
    done: int
    errors: int
    error_file: str | None
    failure: str | None
    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @property
    def percent(self) -> int | None:
        """Return how far it is, 0 to 100, or None when nobody knows the whole."""
        if self.state == "done":
            return _ALL_PERCENT
        if not self.total:
            return None
        return min(_ALL_PERCENT, (self.done + self.errors) * _ALL_PERCENT // self.total)


def _view(row: TransferJob) -> TransferView:
    return TransferView(
        id=row.id,
        kind=row.kind,
        name=row.name,
        state=row.state,
        total=row.total,
        done=row.done,
        errors=row.errors,
        error_file=row.error_file,
        failure=row.failure,
        started_at=row.started_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
    )


def find(session: Session, transfer_id: UUID) -> TransferView | None:
    """Return one job, or None."""
    row = session.scalars(
        sa.select(TransferJob).where(TransferJob.id == transfer_id).execution_options(populate_existing=True)
    ).one_or_none()
    return _view(row) if row else None


def list_jobs(session: Session, page: PageRequest, *, kind: str | None = None, state: str | None = None) -> Page[TransferView]:
    """Return jobs, newest first.

    Arguments:
        session: any.
        page: which page.
        kind: only jobs of this kind.
        state: only jobs in this state.
    """
    statement = sa.select(TransferJob)
    if kind is not None:
        statement = statement.where(TransferJob.kind == kind)
    if state is not None:
        statement = statement.where(TransferJob.state == state)
    rows = session.scalars(keyset(statement, TransferJob.started_at, TransferJob.id, page)).all()
    return page_of(rows, page, lambda row: (row.started_at, row.id)).map(_view)
