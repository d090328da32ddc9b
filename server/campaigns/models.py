"""Tables of campaigns."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.campaigns.errors import FestivalTakenError, PolicyChangedError
from server.kernel.append_only import append_only
from server.kernel.db import Base, register_constraint, table_args


class BirthdayPolicyVersion(Base):
    """One version of what the brand gives; the highest holds."""

    __tablename__ = "birthday_policies"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(unique=True)
    document: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(80))


append_only(BirthdayPolicyVersion)
register_constraint("uq_birthday_policies_version", PolicyChangedError)


class BirthdayGift(Base):
    """What one member got for one birthday. ``year`` is that of the birthday's own calendar."""

    __tablename__ = "birthday_gifts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    year: Mapped[int]
    calendar: Mapped[str] = mapped_column(sa.String(8))
    celebrated_on: Mapped[date] = mapped_column(sa.Date)
    points: Mapped[int] = mapped_column(default=0)
    entry_id: Mapped[UUID | None]
    coupon_id: Mapped[UUID | None]
    coupon_problem: Mapped[str | None] = mapped_column(sa.String(40))
    given_at: Mapped[datetime]

    __table_args__ = table_args(
        # A year of one calendar is no year of the other: a solar January and the lunar December after it bear the same number.
        sa.UniqueConstraint("member_id", "calendar", "year"),
        sa.CheckConstraint("points >= 0", name="points_not_negative"),
        sa.CheckConstraint("calendar IN ('solar','lunar')", name="calendar_known"),
        sa.Index("ix_birthday_gifts_given", "given_at", "id"),
    )


class BirthdayDay(Base):
    """A day whose birthdays are all celebrated."""

    __tablename__ = "birthday_days"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(sa.Date, unique=True)
    done_at: Mapped[datetime]


class Festival(Base):
    """A festival the brand keeps. ``document`` is the plan of the version that holds.

    ``looked_until`` is the newest day whose celebrations were planned; None while it is switched off.
    """

    __tablename__ = "festivals"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(40), unique=True)
    version: Mapped[int]
    document: Mapped[dict[str, Any]]
    looked_until: Mapped[date | None] = mapped_column(sa.Date)
    updated_at: Mapped[datetime]


class FestivalVersion(Base):
    """One version of a festival's plan, with who made it."""

    __tablename__ = "festival_versions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    festival_id: Mapped[UUID] = mapped_column(sa.ForeignKey("festivals.id"))
    version: Mapped[int]
    document: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(80))

    __table_args__ = table_args(sa.UniqueConstraint("festival_id", "version"))


class FestivalRun(Base):
    """One celebration of a festival. ``after_id`` is the last member done: who goes on begins behind it."""

    __tablename__ = "festival_runs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    festival_id: Mapped[UUID] = mapped_column(sa.ForeignKey("festivals.id"))
    year: Mapped[int]
    celebrated_on: Mapped[date] = mapped_column(sa.Date)
    version: Mapped[int]
    document: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(sa.String(12))
    after_id: Mapped[UUID | None]
    joined_before: Mapped[datetime]
    given: Mapped[int] = mapped_column(default=0)
    refused: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.UniqueConstraint("festival_id", "year"),
        sa.CheckConstraint("state IN ('running','done','stopped','given_up')", name="state_known"),
        sa.CheckConstraint("(state = 'running') = (ended_at IS NULL)", name="runs_until_ended"),
        sa.CheckConstraint("given >= 0 AND refused >= 0", name="counts_positive"),
        sa.Index("ix_festival_runs_state", "state", "celebrated_on"),
        sa.Index("ix_festival_runs_newest", "started_at", "id"),
    )


class FestivalGift(Base):
    """What one member got for one celebration: a greeting, points, a coupon. ``problem`` says why part of it was not to be had."""

    __tablename__ = "festival_gifts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(sa.ForeignKey("festival_runs.id"))
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    points: Mapped[int] = mapped_column(default=0)
    coupon_id: Mapped[UUID | None]
    message_id: Mapped[UUID | None]
    problem: Mapped[str | None] = mapped_column(sa.String(40))
    given_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("member_id", "run_id"),
        sa.CheckConstraint("points >= 0", name="points_not_negative"),
        sa.Index("ix_festival_gifts_run", "run_id", "given_at", "id"),
    )


append_only(FestivalVersion)
register_constraint("uq_festivals_code", FestivalTakenError)
