"""Tables of tiers. Private to this domain and to ``flows`` and ``reporting``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.append_only import append_only
from server.kernel.db import Base, table_args


class Tier(Base):
    """A tier's definition. ``face`` holds its card's colours, ``benefits`` the lines shown to members."""

    __tablename__ = "tiers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(40), unique=True)
    name: Mapped[str] = mapped_column(sa.String(40))
    # RANK is a reserved word of MySQL 8, hence the longer name in the database.
    rank: Mapped[int] = mapped_column("tier_rank", unique=True)
    points_multiplier_percent: Mapped[int]
    face: Mapped[dict[str, Any]]
    benefits: Mapped[list[Any]]

    __table_args__ = table_args(
        sa.CheckConstraint("points_multiplier_percent BETWEEN 100 AND 1000", name="multiplier_bounded"),
        sa.CheckConstraint("tier_rank >= 0", name="rank_not_negative"),
    )


class MemberTier(Base):
    """The tier a member holds; no row means the lowest."""

    __tablename__ = "member_tiers"

    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), primary_key=True)
    tier_id: Mapped[UUID] = mapped_column(sa.ForeignKey("tiers.id"), index=True)
    since: Mapped[datetime]


class TierChange(Base):
    """One change of a member's tier, with its cause."""

    __tablename__ = "tier_changes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    from_tier_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("tiers.id"))
    to_tier_id: Mapped[UUID] = mapped_column(sa.ForeignKey("tiers.id"))
    reason: Mapped[str] = mapped_column(sa.String(255))
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_ref: Mapped[str] = mapped_column(sa.String(80))
    occurred_at: Mapped[datetime]

    __table_args__ = table_args(sa.Index("ix_tier_changes_member", "member_id", "occurred_at", "id"))


append_only(TierChange)
