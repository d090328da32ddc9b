"""Verbs: store an upload, sign its address, open it, clear away what nobody used."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy import event

from server.files.errors import LinkInvalidError, TooManyUploadsError, UploadNotFoundError
from server.files.images import rewrite
from server.files.models import Upload
from server.files.queries import UploadView
from server.files.rules import MAX_PER_DAY, SUFFIX, Purpose, SignedLink, link_for, link_holds
from server.files.storage import Storage, StoredFileMissingError
from server.kernel.clock import business_date, end_of_day
from server.kernel.db import insert_if_absent, update_where, zone_of
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, SessionTransaction

FOLDER = "uploads"
_UNUSED_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that may be shown to whoever brought its address."""

    data: bytes
    content_type: str
    name: str


def store_upload(
    session: Session,
    storage: Storage,
    *,
    owner_member_id: UUID | None,
    purpose: str,
    data: bytes,
    content_type: str,
    now: datetime,
) -> UploadView:
    """Check a picture, write it anew and store it.

    The picture is decoded before the first statement, so that no lock is held meanwhile. When the transaction is rolled back the file
    goes too.

    Arguments:
        session: of an open transaction, nothing locked yet.
        storage: takes the bytes.
        owner_member_id: the member, or None for a picture that staff add.
        purpose: ``ticket``, ``avatar`` or ``reply``.
        data: the file as it came.
        content_type: what the client calls it; only its first bytes decide.
        now: present instant.

    Raises:
        InvalidError: unknown purpose, or a picture that cannot be read (see ``images.rewrite`` for all).
        TooManyUploadsError: the member's uploads of this business day are spent.
    """
    try:
        known = Purpose(purpose)
    except ValueError as error:
        raise InvalidError(fields={"purpose": " | ".join(Purpose)}) from error
    del content_type
    picture = rewrite(data, known)
    name = f"{FOLDER}/{now:%Y%m}/{uuid4().hex}.{SUFFIX[picture.content_type]}"
    upload_id = uuid7()
    zone = zone_of(session)
    day = business_date(now, zone)
    values = {
        "id": upload_id,
        "owner_member_id": owner_member_id,
        "purpose": known.value,
        "storage_name": name,
        "content_type": picture.content_type,
        "bytes": len(picture.data),
        "sha256": hashlib.sha256(picture.data).hexdigest(),
        "width": picture.width,
        "height": picture.height,
        "day": day,
        "slot": None,
        "created_at": now,
        "attached_at": None,
    }
    if owner_member_id is None:
        session.execute(sa.insert(Upload).values(**values))
    else:
        taken = session.scalar(sa.select(sa.func.max(Upload.slot)).where(Upload.owner_member_id == owner_member_id, Upload.day == day)) or 0
        slots = range(taken + 1, MAX_PER_DAY + 1)
        # Another request may take the same slot first; then the next one is tried.
        if not any(insert_if_absent(session, Upload, {**values, "slot": slot}) for slot in slots):
            raise TooManyUploadsError(retry_after_seconds=max(1, int((end_of_day(day, zone) - now).total_seconds())))
    storage.put(name, picture.data, picture.content_type)
    _forget_when_rolled_back(session, storage, name)
    return UploadView(upload_id, picture.content_type, picture.width, picture.height, len(picture.data))


def attach(session: Session, upload_ids: Sequence[UUID], *, now: datetime) -> None:
    """Note that uploads are in use, so that they are kept."""
    if upload_ids:
        update_where(
            session, sa.update(Upload).where(Upload.id.in_(list(upload_ids)), Upload.attached_at.is_(None)).values(attached_at=now)
        )


def signed_address(upload_id: UUID, *, secret_key: str, now: datetime, ttl_seconds: int = 900) -> str:
    """Return the path under which whoever holds it may see an upload for a while.

    Arguments:
        upload_id: which.
        secret_key: the deployment's.
        now: present instant.
        ttl_seconds: how long at least.
    """
    link = link_for(upload_id, secret_key=secret_key, now=now, ttl_seconds=ttl_seconds)
    return f"/files/{upload_id}?expires={link.expires}&signature={link.signature}"


def open_signed(
    session: Session, storage: Storage, upload_id: UUID, *, expires: int, signature: str, secret_key: str, now: datetime
) -> OpenedFile:
    """Return the file behind a signed address.

    Raises:
        LinkInvalidError: not signed by us for this file, or expired.
        UploadNotFoundError: removed meanwhile.
    """
    if not link_holds(upload_id, SignedLink(expires, signature), secret_key=secret_key, now=now):
        raise LinkInvalidError
    return open_for_review(session, storage, upload_id)


def open_for_review(session: Session, storage: Storage, upload_id: UUID) -> OpenedFile:
    """Return a file for a caller who has made sure that it may be shown to who asks.

    Raises:
        UploadNotFoundError: there is none, or it was removed.
    """
    row = session.execute(sa.select(Upload.storage_name, Upload.content_type).where(Upload.id == upload_id)).one_or_none()
    if row is None:
        raise UploadNotFoundError
    try:
        data = storage.get(row.storage_name)
    except StoredFileMissingError as error:
        raise UploadNotFoundError from error
    return OpenedFile(data, row.content_type, f"{upload_id.hex[:12]}.{SUFFIX[row.content_type]}")


def remove_unused(session: Session, storage: Storage, *, now: datetime, limit: int = 500) -> int:
    """Remove uploads that nothing used within a day; return how many. Safe to run at any time and by several."""
    statement = (
        sa.select(Upload.id, Upload.storage_name)
        .where(Upload.attached_at.is_(None), Upload.created_at < now - _UNUSED_FOR)
        .order_by(Upload.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.execute(statement).all()
    if not rows:
        return 0
    session.execute(sa.delete(Upload).where(Upload.id.in_([row.id for row in rows])).execution_options(synchronize_session=False))
    for row in rows:
        storage.delete(row.storage_name)
    return len(rows)


def known_names(session: Session, names: Sequence[str]) -> set[str]:
    """Return which of these stored files belong to an upload."""
    return set(session.scalars(sa.select(Upload.storage_name).where(Upload.storage_name.in_(list(names)))))


def forget_member(session: Session, storage: Storage, member_id: UUID) -> int:
    """Remove the pictures of a member who leaves; their rows stay, without owner or fingerprint, for the tickets that name them.

    Returns:
        How many pictures were removed.
    """
    rows = session.execute(sa.select(Upload.storage_name).where(Upload.owner_member_id == member_id)).all()
    for row in rows:
        storage.delete(row.storage_name)
    update_where(session, sa.update(Upload).where(Upload.owner_member_id == member_id).values(owner_member_id=None, slot=None, sha256=""))
    return len(rows)


def forget_uploads(session: Session, storage: Storage, upload_ids: Sequence[UUID]) -> int:
    """Remove some pictures; their rows stay, without owner or fingerprint, for whatever names them. Return how many went."""
    rows = session.execute(sa.select(Upload.storage_name).where(Upload.id.in_(list(upload_ids)))).all()
    for row in rows:
        storage.delete(row.storage_name)
    update_where(session, sa.update(Upload).where(Upload.id.in_(list(upload_ids))).values(owner_member_id=None, slot=None, sha256=""))
    return len(rows)


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> int:  # noqa: ARG001 - the agreed signature
    """Give one member's uploads to another; return how many."""
    # Two members' slots of one day would collide; the cap counts from the survivor's own.
    return update_where(session, sa.update(Upload).where(Upload.owner_member_id == from_id).values(owner_member_id=into_id, slot=None))


def _forget_when_rolled_back(session: Session, storage: Storage, name: str) -> None:
    # The end of the transaction is what is heard of in every case: a session that is closed uncommitted tells of no rollback.
    settled = threading.Event()

    def keep(_session: Session) -> None:
        settled.set()

    def forget(_session: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is None and not settled.is_set():
            settled.set()
            storage.delete(name)

    event.listen(session, "after_commit", keep)
    event.listen(session, "after_transaction_end", forget)
