"""The table of import and export jobs."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.db import Base, table_args


class TransferJob(Base):
    """One import or export: how many items it has, how many are done, how many were refused."""

    __tablename__ = "transfer_jobs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(40))
    name: Mapped[str] = mapped_column(sa.String(191))
    state: Mapped[str] = mapped_column(sa.String(16), default="running")
    total: Mapped[int | None]
    done: Mapped[int] = mapped_column(default=0)
    errors: Mapped[int] = mapped_column(default=0)
    error_file: Mapped[str | None] = mapped_column(sa.String(255))
    failure: Mapped[str | None] = mapped_column(sa.String(255))
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_ref: Mapped[str] = mapped_column(sa.String(64))
    started_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.CheckConstraint("state IN ('running','done','failed')", name="state_known"),
        sa.CheckConstraint("done >= 0 AND errors >= 0", name="counts_positive"),
        sa.Index("ix_transfer_jobs_started", "started_at", "id"),
    )
