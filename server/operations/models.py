"""Tables of this domain; private to its service and queries."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.db import Base, table_args


class ScheduledRun(Base):
    """One period of one periodic job; the unique key is why any number of tick processes may run."""

    __tablename__ = "scheduled_runs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    job: Mapped[str] = mapped_column(sa.String(64))
    period: Mapped[datetime]
    state: Mapped[str] = mapped_column(sa.String(16), default="due")
    handled: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.UniqueConstraint("job", "period"),
        sa.CheckConstraint("state IN ('due','done','superseded')", name="state_known"),
        sa.Index("ix_scheduled_runs_period", "period"),
    )


class Incident(Base):
    """Something that a person has to look at. ``slot`` is set while it is open, so the same trouble is one row."""

    __tablename__ = "incidents"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(64))
    subject: Mapped[str] = mapped_column(sa.String(120))
    slot: Mapped[str | None] = mapped_column(sa.String(191), unique=True)
    details: Mapped[dict[str, Any]]
    occurrences: Mapped[int] = mapped_column(default=1)
    opened_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None] = mapped_column(sa.String(120))
    note: Mapped[str | None] = mapped_column(sa.String(500))

    __table_args__ = table_args(sa.Index("ix_incidents_listing", "closed_at", "opened_at"))


class DemoLoad(Base):
    """One row when this database holds the demonstration, with the log-ins to show. Never there in production."""

    __tablename__ = "demo_loads"

    name: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    credentials: Mapped[dict[str, Any]]
    loaded_at: Mapped[datetime]
