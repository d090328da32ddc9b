"""Tables of the sealed trail."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.append_only import append_only
from server.kernel.db import Base, table_args


class AuditEntry(Base):
    """One thing done by somebody."""

    __tablename__ = "audit_entries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    occurred_at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_ref: Mapped[str] = mapped_column(sa.String(64))
    actor_name: Mapped[str] = mapped_column(sa.String(120))
    address: Mapped[str | None] = mapped_column(sa.String(64))
    action: Mapped[str] = mapped_column(sa.String(64))
    subject_type: Mapped[str] = mapped_column(sa.String(32))
    subject_id: Mapped[str] = mapped_column(sa.String(64))
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    reason: Mapped[str | None] = mapped_column(sa.String(500))

    __table_args__ = table_args(
        sa.Index("ix_audit_entries_time", "occurred_at", "id"),
        sa.Index("ix_audit_entries_subject", "subject_type", "subject_id", "occurred_at"),
        sa.Index("ix_audit_entries_actor", "actor_ref", "occurred_at"),
        sa.Index("ix_audit_entries_action", "action", "occurred_at"),
    )


append_only(AuditEntry)


class AuditPending(Base):
    """An entry that waits for its seal. Written with the entry, removed with the seal."""

    __tablename__ = "audit_pending"

    entry_id: Mapped[UUID] = mapped_column(primary_key=True)


class AuditSeal(Base):
    """An entry's place in the chain."""

    __tablename__ = "audit_seals"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    entry_id: Mapped[UUID] = mapped_column(unique=True)
    previous_hash: Mapped[str] = mapped_column(sa.String(64))
    hash: Mapped[str] = mapped_column(sa.String(64))
    sealed_at: Mapped[datetime]


append_only(AuditSeal)


class AuditHead(Base):
    """The end of the chain, one row: the sealer locks it, so that there is one sealer at a time."""

    __tablename__ = "audit_heads"

    name: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    sequence: Mapped[int]
    hash: Mapped[str] = mapped_column(sa.String(64))
    updated_at: Mapped[datetime]
