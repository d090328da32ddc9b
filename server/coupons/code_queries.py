"""Reading batches of codes, for staff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.coupons.errors import CodeBatchNotFoundError
from server.coupons.models import CouponCodeBatch, CouponTemplate
from server.kernel.pagination import Page, PageRequest, keyset, page_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class BatchView:
    """A batch of codes as it stands; ``file_until`` is the end of the file of codes, None when there is none."""

    id: UUID
    template_id: UUID
    kind: str
    state: str
    size: int | None
    made: int
    claimed: int
    word: str | None
    per_member: int | None
    claim_from: datetime | None
    claim_until: datetime | None
    note: str
    file_until: datetime | None
    downloads: int
    transfer_id: UUID | None
    created_at: datetime
    created_by: str
    stopped_at: datetime | None
    stopped_by: str | None
    stopped_why: str | None
    template_name: str


_OWN = tuple(getattr(CouponCodeBatch, name) for name in BatchView.__slots__ if name != "template_name")


def find_batch(session: Session, batch_id: UUID) -> BatchView:
    """Return a batch.

    Raises:
        CodeBatchNotFoundError: there is none.
    """
    row = session.execute(_batches().where(CouponCodeBatch.id == batch_id)).one_or_none()
    if row is None:
        raise CodeBatchNotFoundError
    return BatchView(*row)


def list_batches(session: Session, page: PageRequest, *, kind: str | None = None, state: str | None = None) -> Page[BatchView]:
    """Return batches, newest first.

    Arguments:
        session: to read with.
        page: which page.
        kind: ``unique`` or ``shared``.
        state: ``making``, ``open`` or ``stopped``.
    """
    statement = _batches()
    if kind:
        statement = statement.where(CouponCodeBatch.kind == kind)
    if state:
        statement = statement.where(CouponCodeBatch.state == state)
    rows = session.execute(keyset(statement, CouponCodeBatch.created_at, CouponCodeBatch.id, page)).all()
    return page_of([BatchView(*row) for row in rows], page, lambda view: (view.created_at, view.id))


def _batches() -> sa.Select[Any]:
    return sa.select(*_OWN, CouponTemplate.name).join(CouponTemplate, CouponTemplate.id == CouponCodeBatch.template_id)
