"""Idempotent commands: the key's row commits with the effect, and a replay gets the first answer byte for byte.

Key scoped to caller and route, kept 72 hours, inserted first inside the writing transaction, so a second request with
the same key waits on the unique index until the first has ended. Only committed outcomes are stored: a refused command
rolls back with its key and may be tried again with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.db import Base, insert_if_absent, is_lock_timeout, table_args
from server.kernel.errors import ConflictError, InvalidError
from server.kernel.ids import uuid7
from server.kernel.prepared import Prepared

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

KEPT_FOR = timedelta(hours=72)
# The web's lock timeout: so long does a request wait for another one with its key (wsgi).
WAIT_SECONDS = 2


class IdempotencyRecord(Base):
    """One command that was asked for, and its answer once it is committed."""

    __tablename__ = "idempotency_records"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    caller: Mapped[str] = mapped_column(sa.String(80))
    route: Mapped[str] = mapped_column(sa.String(120))
    key: Mapped[str] = mapped_column(sa.String(128))
    request_hash: Mapped[str] = mapped_column(sa.String(64))
    status: Mapped[int] = mapped_column(sa.Integer)
    body: Mapped[bytes] = mapped_column(sa.LargeBinary().with_variant(sa.dialects.mysql.MEDIUMBLOB(), "mysql", "mariadb"))
    created_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = table_args(sa.UniqueConstraint("caller", "route", "key"))


class RequestInProgressError(ConflictError):
    """The same key is being worked on right now."""

    code = "request_in_progress"
    message = "This request is still being worked on. Please try again in a moment."


class KeyReusedError(InvalidError):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    message = "This Idempotency-Key was used for another request."


_RECORDS = cast("sa.Table", IdempotencyRecord.__table__)
# Built once, and of the table rather than the model: every command runs it, and nothing of it is in any session.
_FINISH = Prepared(
    sa.update(_RECORDS)
    .where(_RECORDS.c.id == sa.bindparam("of_record", type_=_RECORDS.c.id.type))
    .values(status=sa.bindparam("new_status", type_=_RECORDS.c.status.type), body=sa.bindparam("new_body", type_=_RECORDS.c.body.type))
)


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What the first request was answered."""

    status: int
    body: bytes


def begin(session: Session, *, caller: str, route: str, key: str, request_hash: str, now: datetime) -> StoredAnswer | UUID:
    """Take a key, or find the answer that was given under it.

    Call it first in the transaction. The answer must be stored with ``finish`` before the commit.

    Arguments:
        session: of the transaction that will hold the effect.
        caller: who asks (``member:<id>``, ``partner:<id>``).
        route: method and route rule, so that one key may serve different commands.
        key: the client's ``Idempotency-Key``.
        request_hash: lower-hex SHA-256 of path and body.
        now: present instant.

    Returns:
        The stored answer of an earlier request, or the record's id when this request is the first.

    Raises:
        KeyReusedError: the key stands for another request.
        RequestInProgressError: the first request with the key still runs after the time that this process waits for a lock.
    """
    record_id = uuid7()
    values = {
        "id": record_id,
        "caller": caller,
        "route": route,
        "key": key,
        "request_hash": request_hash,
        "status": 0,
        "body": b"",
        "created_at": now,
    }
    try:
        if insert_if_absent(session, IdempotencyRecord, values):
            return record_id
    except DBAPIError as error:
        if is_lock_timeout(error):
            raise RequestInProgressError from error
        raise
    found = session.execute(
        sa.select(IdempotencyRecord.request_hash, IdempotencyRecord.status, IdempotencyRecord.body).where(
            IdempotencyRecord.caller == caller, IdempotencyRecord.route == route, IdempotencyRecord.key == key
        )
    ).one_or_none()
    if found is None or found.status == 0:
        raise RequestInProgressError
    if found.request_hash != request_hash:
        raise KeyReusedError
    return StoredAnswer(found.status, bytes(found.body))


def finish(session: Session, record_id: UUID, answer: StoredAnswer) -> None:
    """Store the answer under the key; it becomes visible with the effect."""
    _FINISH.run_last(session, {"of_record": record_id, "new_status": answer.status, "new_body": answer.body})


def forget_before(session: Session, instant: datetime, *, limit: int = 5000) -> int:
    """Delete up to ``limit`` records older than an instant; return how many."""
    ids = session.scalars(
        sa.select(IdempotencyRecord.id).where(IdempotencyRecord.created_at < instant).order_by(IdempotencyRecord.created_at).limit(limit)
    ).all()
    if ids:
        session.execute(sa.delete(IdempotencyRecord).where(IdempotencyRecord.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


def forget_caller(session: Session, caller: str) -> None:
    """Delete the stored answers of one caller, whoever asks with their keys again."""
    session.execute(sa.delete(IdempotencyRecord).where(IdempotencyRecord.caller == caller).execution_options(synchronize_session=False))
