"""How the brand keeps watch: controls, notices of expiry, closed months, opening balances."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.append_only import append_only
from server.kernel.column_types import JsonDocument
from server.kernel.db import Base, register_version, table_args
from server.points.models.words import MEMBER_ACCOUNTS, SYSTEM_ACCOUNTS, one_of


class PointsControl(Base):
    """One version of the declared controls; the highest version holds."""

    __tablename__ = "points_controls"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    adjust_limit: Mapped[int]
    notice_min_points: Mapped[int]
    points_per_yuan: Mapped[int | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(80))

    __table_args__ = table_args(
        sa.CheckConstraint("adjust_limit >= 0", name="limit_not_negative"),
        sa.CheckConstraint("notice_min_points >= 1", name="notice_worth_something"),
        sa.CheckConstraint("points_per_yuan IS NULL OR points_per_yuan >= 1", name="worth_something"),
    )


class PointsExpiryNotice(Base):
    """A member was told, so many days before, of the points that are gone after a day."""

    __tablename__ = "points_expiry_notices"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("points_accounts.member_id"))
    day: Mapped[date] = mapped_column(sa.Date)
    horizon_days: Mapped[int]
    told_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("member_id", "day", "horizon_days"),
        sa.CheckConstraint("horizon_days > 0", name="horizon_positive"),
        sa.Index("ix_points_expiry_notices_day", "day", "id"),
    )


class PointsMonth(Base):
    """A closed month: which entries it covers, by which hash, and what was owed at its end.

    It covers the entries of business days up to its last whose id is below ``cutoff``, without those that earlier months cover.
    """

    __tablename__ = "points_months"

    month: Mapped[date] = mapped_column(sa.Date, primary_key=True)
    cutoff: Mapped[UUID]
    entries: Mapped[int]
    digest: Mapped[str] = mapped_column(sa.String(64))
    points_per_yuan: Mapped[int]
    liability_points: Mapped[int]
    liability_fen: Mapped[int]
    closed_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("entries >= 0", name="entries_not_negative"),
        sa.CheckConstraint("points_per_yuan >= 1", name="worth_something"),
        sa.CheckConstraint("liability_points >= 0 AND liability_fen >= 0", name="liability_not_negative"),
    )


class PointsMonthAccount(Base):
    """One account in a closed month, signed as the account sees it."""

    __tablename__ = "points_month_accounts"

    month: Mapped[date] = mapped_column(sa.Date, sa.ForeignKey("points_months.month"), primary_key=True)
    account: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    opening: Mapped[int]
    issued: Mapped[int]
    redeemed: Mapped[int]
    expired: Mapped[int]
    reversed: Mapped[int]
    adjusted: Mapped[int]
    forgiven: Mapped[int]
    moved: Mapped[int]
    closing: Mapped[int]

    __table_args__ = table_args(
        sa.CheckConstraint(one_of("account", MEMBER_ACCOUNTS + SYSTEM_ACCOUNTS), name="account_known"),
        sa.CheckConstraint(
            "closing = opening + issued + redeemed + expired + reversed + adjusted + forgiven + moved", name="closing_adds_up"
        ),
    )


class PointsMonthCohort(Base):
    """What a closed month's entries did to the points issued in one month (``cohort``)."""

    __tablename__ = "points_month_cohorts"

    month: Mapped[date] = mapped_column(sa.Date, sa.ForeignKey("points_months.month"), primary_key=True)
    cohort: Mapped[date] = mapped_column(sa.Date, primary_key=True)
    issued: Mapped[int]
    redeemed: Mapped[int]
    expired: Mapped[int]
    reversed: Mapped[int]

    __table_args__ = table_args()


class PointsOpening(Base):
    """A file of balances from an older system, read and waiting, being taken in or done. Its rows are never changed."""

    __tablename__ = "points_openings"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(191))
    digest: Mapped[str] = mapped_column(sa.String(64))
    balances: Mapped[int]
    points: Mapped[int]
    known: Mapped[int]
    faults: Mapped[list[Any]] = mapped_column(JsonDocument())
    approval_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("staff_approvals.id"))
    transfer_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("transfer_jobs.id"))
    done_line: Mapped[int]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(80))
    finished_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.CheckConstraint("balances >= 0 AND points >= 0 AND known >= 0", name="counts_not_negative"),
        # Nothing is taken in that nobody was asked about.
        sa.CheckConstraint("transfer_id IS NULL OR approval_id IS NOT NULL", name="asked_first"),
        sa.Index("ix_points_openings_newest", "created_at", "id"),
    )


class PointsOpeningRow(Base):
    """One balance of a file: whose, how many, until when."""

    __tablename__ = "points_opening_rows"

    opening_id: Mapped[UUID] = mapped_column(sa.ForeignKey("points_openings.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(sa.String(80))
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    points: Mapped[int]
    expires_on: Mapped[date | None] = mapped_column(sa.Date)
    note: Mapped[str] = mapped_column(sa.String(200))

    __table_args__ = table_args(
        sa.UniqueConstraint("opening_id", "key"),
        sa.CheckConstraint("points > 0", name="points_positive"),
    )


for _model in (PointsControl, PointsMonth, PointsMonthAccount, PointsMonthCohort, PointsOpeningRow):
    append_only(_model)

register_version("points_controls")
