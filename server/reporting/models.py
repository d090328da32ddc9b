"""Roll-ups of this domain: what pages show of millions of messages is summed up here by jobs, so that its cost stays the same."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.db import Base, table_args


class RollUpMark(Base):
    """How far a roll-up has come. Whoever sums up holds this row, so that two never write the same sums."""

    __tablename__ = "roll_up_marks"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    until: Mapped[datetime | None]


class MessageHour(Base):
    """How many messages made within one hour are in a state for a reason (empty for none)."""

    __tablename__ = "message_hours"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    hour: Mapped[datetime]
    template: Mapped[str] = mapped_column(sa.String(40))
    state: Mapped[str] = mapped_column(sa.String(12))
    reason: Mapped[str] = mapped_column(sa.String(40))
    messages: Mapped[int]

    __table_args__ = table_args(
        sa.UniqueConstraint("hour", "template", "state", "reason"),
        sa.CheckConstraint("messages > 0", name="messages_positive"),
    )


class MessageReach(Base):
    """Whom one message would reach now among the members of one tier, and why not the others. Every member is in exactly one count."""

    __tablename__ = "message_reach"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    template: Mapped[str] = mapped_column(sa.String(40))
    tier: Mapped[str] = mapped_column(sa.String(40))
    members: Mapped[int]
    muted: Mapped[int]
    capped: Mapped[int]
    no_wechat: Mapped[int]
    no_grant: Mapped[int]
    reachable: Mapped[int]
    reachable_2: Mapped[int]
    reachable_3: Mapped[int]
    reachable_5: Mapped[int]
    reachable_10: Mapped[int]

    __table_args__ = table_args(
        sa.UniqueConstraint("template", "tier"),
        sa.CheckConstraint("members = muted + capped + no_wechat + no_grant + reachable", name="everybody_once"),
    )


class AllowanceDay(Base):
    """How many allowances of one message came in and went on one business day."""

    __tablename__ = "allowance_days"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(sa.Date)
    template: Mapped[str] = mapped_column(sa.String(40))
    credited: Mapped[int]
    spent: Mapped[int]
    lost: Mapped[int]

    __table_args__ = table_args(
        sa.UniqueConstraint("day", "template"),
        sa.CheckConstraint("credited >= 0 AND spent >= 0 AND lost >= 0", name="counts_positive"),
    )
