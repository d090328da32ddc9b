"""Tables of campaigns."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.campaigns.errors import PolicyChangedError
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
