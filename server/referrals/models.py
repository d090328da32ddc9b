"""Tables of referrals."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.append_only import append_only
from server.kernel.db import Base, register_version, table_args


class ReferralPolicyVersion(Base):
    """One version of what is declared; the highest holds."""

    __tablename__ = "referral_policies"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    enabled: Mapped[bool]
    inviter_points: Mapped[int]
    friend_points: Mapped[int]
    window_days: Mapped[int]
    min_order_fen: Mapped[int]
    daily_cap: Mapped[int]
    max_rewarded: Mapped[int | None]
    points_days: Mapped[int | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(80))

    __table_args__ = table_args(
        sa.CheckConstraint("inviter_points >= 0 AND friend_points >= 0", name="points_not_negative"),
        sa.CheckConstraint("window_days >= 1 AND daily_cap >= 1 AND min_order_fen >= 1", name="bounds_positive"),
    )


append_only(ReferralPolicyVersion)


class ReferralCode(Base):
    """A member's code. ``active_slot`` is the member on the one that is shown; those of merged records go on working without it."""

    __tablename__ = "referral_codes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), index=True)
    active_slot: Mapped[UUID | None] = mapped_column(unique=True)
    code: Mapped[str] = mapped_column(sa.String(16), unique=True)
    created_at: Mapped[datetime]


class ReferralMark(Base):
    """A device a member logged in from, or a phone number they have or had, as a blind index."""

    __tablename__ = "referral_marks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    kind: Mapped[str] = mapped_column(sa.String(8))
    mark: Mapped[str] = mapped_column(sa.String(80))
    seen_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("member_id", "kind", "mark"),
        sa.CheckConstraint("kind IN ('device','phone')", name="kind_known"),
    )


class Referral(Base):
    """A friend and who invited them. ``friend_slot`` is the friend, once; it is empty on the rest of two that a merge made one person's."""

    __tablename__ = "referrals"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    inviter_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    friend_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), index=True)
    friend_slot: Mapped[UUID | None] = mapped_column(unique=True)
    code: Mapped[str] = mapped_column(sa.String(16))
    state: Mapped[str] = mapped_column(sa.String(12))
    reason: Mapped[str | None] = mapped_column(sa.String(20))
    joined_at: Mapped[datetime]
    joined_on: Mapped[date] = mapped_column(sa.Date)
    look_at: Mapped[datetime | None]
    order_id: Mapped[UUID | None] = mapped_column(unique=True)
    policy_version: Mapped[int]
    inviter_points: Mapped[int] = mapped_column(default=0)
    friend_points: Mapped[int] = mapped_column(default=0)
    inviter_entry_id: Mapped[UUID | None]
    friend_entry_id: Mapped[UUID | None]
    rewarded_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(sa.String(120))
    decided_why: Mapped[str | None] = mapped_column(sa.String(500))

    __table_args__ = table_args(
        sa.CheckConstraint("state IN ('waiting','held','rewarded','refused','expired')", name="state_known"),
        sa.CheckConstraint("(state = 'rewarded') = (rewarded_at IS NOT NULL)", name="rewarded_has_instant"),
        sa.CheckConstraint("(state = 'rewarded') = (order_id IS NOT NULL)", name="rewarded_has_order"),
        sa.CheckConstraint("(state = 'waiting') = (look_at IS NOT NULL)", name="waiting_is_looked_at"),
        sa.CheckConstraint("state <> 'refused' OR reason IS NOT NULL", name="refused_has_reason"),
        sa.CheckConstraint("state <> 'waiting' OR friend_slot IS NOT NULL", name="waiting_has_slot"),
        sa.Index("ix_referrals_inviter", "inviter_id", "state"),
        sa.Index("ix_referrals_day", "inviter_id", "joined_on"),
        sa.Index("ix_referrals_look", "state", "look_at"),
        sa.Index("ix_referrals_newest", "joined_at", "id"),
    )


register_version("referral_policies")
