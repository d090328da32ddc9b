"""The tables of rosters. Private to this domain."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.db import Base, table_args


class Roster(Base):
    """The lists of one segment: the built one that counts, and the one that is being filled, if one is.

    ``version`` and ``filling`` number the lists; ``made`` is the highest number there was.
    """

    __tablename__ = "segment_rosters"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(40), unique=True)
    made: Mapped[int] = mapped_column(default=0)
    version: Mapped[int | None]
    rule_version: Mapped[int | None]
    size: Mapped[int] = mapped_column(default=0)
    as_of: Mapped[datetime | None]
    built_at: Mapped[datetime | None]
    worked_ms: Mapped[int] = mapped_column(default=0)
    filling: Mapped[int | None]
    filling_rule: Mapped[int | None]
    filling_as_of: Mapped[datetime | None]
    # The last member that was looked at; NULL before the first range.
    filled_until: Mapped[UUID | None]
    filled: Mapped[int] = mapped_column(default=0)
    filling_ms: Mapped[int] = mapped_column(default=0)
    asked_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.CheckConstraint("(version IS NULL) = (built_at IS NULL) AND (version IS NULL) = (as_of IS NULL)", name="built_whole"),
        sa.CheckConstraint("(filling IS NULL) = (filling_as_of IS NULL)", name="filling_whole"),
        sa.CheckConstraint("size >= 0 AND filled >= 0 AND made >= 0", name="counts_positive"),
    )


class RosterMember(Base):
    """One member of one list."""

    __tablename__ = "segment_members"

    segment_id: Mapped[UUID] = mapped_column(sa.ForeignKey("segment_rosters.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), primary_key=True)

    __table_args__ = table_args(sa.Index("ix_segment_members_member", "member_id"))
