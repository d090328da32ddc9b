"""What moved points and what members have: accounts, entries with their postings, lots, reservations, check-ins."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.append_only import append_only
from server.kernel.db import Base, register_constraint, table_args
from server.points.errors import AlreadyCheckedInError, InsufficientPointsError, SourceConflictError
from server.points.models.words import ENTRY_KINDS, MEMBER_ACCOUNTS, SYSTEM_ACCOUNTS, one_of


class PointsAccount(Base):
    """What a member has, cached; its row is the lock of everything that moves the member's points."""

    __tablename__ = "points_accounts"

    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), primary_key=True)
    pending: Mapped[int] = mapped_column(default=0)
    available: Mapped[int] = mapped_column(default=0)
    reserved: Mapped[int] = mapped_column(default=0)
    debt_owed: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column(default=0)
    merged_into: Mapped[UUID | None] = mapped_column(sa.ForeignKey("points_accounts.member_id"), index=True)
    opened_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("pending >= 0", name="pending_not_negative"),
        sa.CheckConstraint("available >= 0", name="available_not_negative"),
        sa.CheckConstraint("reserved >= 0", name="reserved_not_negative"),
        sa.CheckConstraint("debt_owed >= 0", name="debt_owed_not_negative"),
    )


class PointsEntry(Base):
    """A journal entry: one fact that moved points. ``business_day`` is the shop's calendar day of the fact, however late it was told."""

    __tablename__ = "points_entries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("points_accounts.member_id"))
    kind: Mapped[str] = mapped_column(sa.String(16))
    points: Mapped[int]
    source_namespace: Mapped[str] = mapped_column(sa.String(60))
    source_key: Mapped[str] = mapped_column(sa.String(120))
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    reason: Mapped[str] = mapped_column(sa.String(255))
    rule_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("points_rules.id"))
    reverses_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("points_entries.id"), index=True)
    details: Mapped[dict[str, Any] | None]
    available_after: Mapped[int]
    pending_after: Mapped[int]
    occurred_at: Mapped[datetime]
    business_day: Mapped[date] = mapped_column(sa.Date)
    actor_kind: Mapped[str] = mapped_column(sa.String(16))
    actor_ref: Mapped[str] = mapped_column(sa.String(80))

    __table_args__ = table_args(
        sa.UniqueConstraint("source_namespace", "source_key"),
        sa.CheckConstraint(one_of("kind", ENTRY_KINDS), name="kind_known"),
        sa.Index("ix_points_entries_statement", "member_id", "occurred_at", "id"),
        sa.Index("ix_points_entries_recent", "occurred_at", "id"),
        sa.Index("ix_points_entries_day", "business_day", "kind"),
    )


class PointsPosting(Base):
    """One side of an entry: ``amount`` more (or less) on an account of a member or of the system."""

    __tablename__ = "points_postings"

    entry_id: Mapped[UUID] = mapped_column(sa.ForeignKey("points_entries.id"), primary_key=True)
    line: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    account: Mapped[str] = mapped_column(sa.String(16))
    member_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("points_accounts.member_id"), index=True)
    amount: Mapped[int]

    __table_args__ = table_args(
        sa.CheckConstraint(one_of("account", MEMBER_ACCOUNTS + SYSTEM_ACCOUNTS), name="account_known"),
        sa.CheckConstraint(f"({one_of('account', SYSTEM_ACCOUNTS)}) = (member_id IS NULL)", name="owner_fits"),
        sa.CheckConstraint("amount <> 0", name="amount_not_zero"),
    )


class PointsLot(Base):
    """Points of one accrual that are still to be told apart: when they unlock and when they expire."""

    __tablename__ = "points_lots"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("points_accounts.member_id"))
    entry_id: Mapped[UUID] = mapped_column(sa.ForeignKey("points_entries.id"), unique=True)
    amount: Mapped[int]
    left_: Mapped[int]
    reserved: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(sa.String(16))
    unlock_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("left_ >= 0 AND left_ <= amount", name="left_within_amount"),
        sa.CheckConstraint("reserved >= 0 AND reserved <= left_", name="reserved_within_left"),
        sa.CheckConstraint(one_of("state", ("pending", "available", "closed")), name="state_known"),
        sa.CheckConstraint("(state = 'closed') = (left_ = 0)", name="closed_when_empty"),
        sa.CheckConstraint("state <> 'pending' OR reserved = 0", name="pending_not_reserved"),
        sa.Index("ix_points_lots_spend", "member_id", "state", "expires_at"),
        sa.Index("ix_points_lots_member", "member_id", "created_at", "id"),
        sa.Index("ix_points_lots_unlock", "state", "unlock_at"),
        sa.Index("ix_points_lots_expire", "state", "expires_at"),
    )


class PointsAllocation(Base):
    """What one entry put into a lot or took from it (``amount``), and set aside in it or freed (``reserved``)."""

    __tablename__ = "points_allocations"

    entry_id: Mapped[UUID] = mapped_column(sa.ForeignKey("points_entries.id"), primary_key=True)
    lot_id: Mapped[UUID] = mapped_column(sa.ForeignKey("points_lots.id"), primary_key=True, index=True)
    amount: Mapped[int]
    reserved: Mapped[int] = mapped_column(default=0)


class PointsReservation(Base):
    """Points set aside for an open order, until redeemed, released or overdue."""

    __tablename__ = "points_reservations"

    entry_id: Mapped[UUID] = mapped_column(sa.ForeignKey("points_entries.id"), primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("points_accounts.member_id"), index=True)
    points: Mapped[int]
    state: Mapped[str] = mapped_column(sa.String(16))
    expires_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint(one_of("state", ("open", "redeemed", "released")), name="state_known"),
        sa.CheckConstraint("points > 0", name="points_positive"),
        sa.Index("ix_points_reservations_due", "state", "expires_at"),
    )


class PointsCheckIn(Base):
    """A member's check-in: at most one for each business day."""

    __tablename__ = "points_check_ins"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("points_accounts.member_id"))
    day: Mapped[date] = mapped_column(sa.Date)
    streak_days: Mapped[int]
    entry_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("points_entries.id"))

    __table_args__ = table_args(
        sa.UniqueConstraint("member_id", "day"),
        sa.CheckConstraint("streak_days >= 1", name="streak_positive"),
    )


for _model in (PointsEntry, PointsPosting, PointsAllocation):
    append_only(_model)

register_constraint("uq_points_entries_source_namespace_source_key", SourceConflictError)
register_constraint("ck_points_accounts_available_not_negative", InsufficientPointsError)
register_constraint("uq_points_check_ins_member_id_day", AlreadyCheckedInError)
