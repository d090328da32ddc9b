"""Uploads. Private to this domain's service and queries."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.db import Base, table_args


class Upload(Base):
    """One picture. ``slot`` counts a member's uploads of one business day, which makes the daily cap exact."""

    __tablename__ = "uploads"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_member_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("members.id"))
    purpose: Mapped[str] = mapped_column(sa.String(16))
    storage_name: Mapped[str] = mapped_column(sa.String(120), unique=True)
    content_type: Mapped[str] = mapped_column(sa.String(32))
    bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(sa.String(64))
    width: Mapped[int] = mapped_column(sa.Integer)
    height: Mapped[int] = mapped_column(sa.Integer)
    day: Mapped[date] = mapped_column(sa.Date)
    slot: Mapped[int | None] = mapped_column(sa.Integer)
    created_at: Mapped[datetime]
    attached_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.UniqueConstraint("owner_member_id", "day", "slot"),
        sa.CheckConstraint("purpose IN ('ticket','avatar','reply')", name="purpose_known"),
        sa.CheckConstraint("bytes > 0 AND width > 0 AND height > 0", name="not_empty"),
        sa.CheckConstraint("slot IS NULL OR slot > 0", name="slot_positive"),
        sa.Index("ix_uploads_attached_at_created_at", "attached_at", "created_at"),
    )
