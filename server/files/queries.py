"""Reads: whose upload is it, and what is it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.files.errors import UploadNotFoundError
from server.files.models import Upload

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class UploadView:
    """An upload as others see it. Its place in the storage stays inside this domain."""

    id: UUID
    content_type: str
    width: int
    height: int
    bytes: int


_COLUMNS = (Upload.id, Upload.content_type, Upload.width, Upload.height, Upload.bytes)


def owned(session: Session, member_id: UUID | None, upload_ids: Sequence[UUID]) -> list[UploadView]:
    """Return uploads in the order asked for.

    Arguments:
        session: reading is enough.
        member_id: who must own them all; None for uploads that staff made.
        upload_ids: which.

    Raises:
        UploadNotFoundError: when one does not exist or is somebody else's.
    """
    if not upload_ids:
        return []
    by_staff = sa.and_(Upload.owner_member_id.is_(None), Upload.purpose == "reply")
    owner = by_staff if member_id is None else Upload.owner_member_id == member_id
    found = _by_id(session, sa.select(*_COLUMNS).where(Upload.id.in_(list(upload_ids)), owner))
    if any(upload_id not in found for upload_id in upload_ids):
        raise UploadNotFoundError
    return [found[upload_id] for upload_id in upload_ids]


def views(session: Session, upload_ids: Sequence[UUID]) -> dict[UUID, UploadView]:
    """Return the uploads that exist among some ids; for callers who know that they may show them."""
    if not upload_ids:
        return {}
    return _by_id(session, sa.select(*_COLUMNS).where(Upload.id.in_(list(upload_ids))))


def count_since(session: Session, member_id: UUID, instant: datetime) -> int:
    """Return how many uploads a member made since an instant."""
    statement = sa.select(sa.func.count()).select_from(Upload).where(Upload.owner_member_id == member_id, Upload.created_at >= instant)
    return int(session.scalar(statement) or 0)


def _by_id(session: Session, statement: sa.Executable) -> dict[UUID, UploadView]:
    return {row.id: UploadView(row.id, row.content_type, row.width, row.height, row.bytes) for row in session.execute(statement)}
