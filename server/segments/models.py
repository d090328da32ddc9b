"""The table of segments. Private to this domain; who is in them stands in ``server.rosters``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.append_only import append_only
from server.kernel.db import Base, register_constraint, table_args
from server.segments.errors import SegmentChangedError


class SegmentRule(Base):
    """One version of a segment; a change is a new version."""

    __tablename__ = "segment_rules"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(40))
    version: Mapped[int]
    name: Mapped[str] = mapped_column(sa.String(80))
    document: Mapped[dict[str, Any]]
    refresh_hours: Mapped[int]
    enabled: Mapped[bool]
    reason: Mapped[str] = mapped_column(sa.String(300))
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(80))

    __table_args__ = table_args(
        sa.UniqueConstraint("code", "version"),
        sa.CheckConstraint("version >= 1 AND refresh_hours BETWEEN 1 AND 720", name="version_positive"),
    )


append_only(SegmentRule)
register_constraint("uq_segment_rules_code_version", SegmentChangedError)
