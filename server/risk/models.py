"""Tables of risk control."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.append_only import append_only
from server.kernel.db import Base, register_version, table_args

_SCOPES = "scope IN ('coupons','points','rewards','referrals')"


class RiskSubject(Base):
    """A phone number, device or address as a blind index: the row that whoever counts or blocks it locks first."""

    __tablename__ = "risk_subjects"

    mark: Mapped[str] = mapped_column(sa.String(90), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(index=True)


class RiskMark(Base):
    """Which member used which phone number, device or address, last when."""

    __tablename__ = "risk_marks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    kind: Mapped[str] = mapped_column(sa.String(8))
    mark: Mapped[str] = mapped_column(sa.String(90), index=True)
    seen_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = table_args(
        sa.UniqueConstraint("member_id", "mark"),
        sa.CheckConstraint("kind IN ('phone','device','address')", name="kind_known"),
    )


class RiskEntry(Base):
    """A line of the block list. ``live_slot`` names what is blocked for which scope while it is, once."""

    __tablename__ = "risk_entries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(8))
    mark: Mapped[str | None] = mapped_column(sa.String(90), index=True)
    member_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("members.id"), index=True)
    hint: Mapped[str] = mapped_column(sa.String(40))
    scope: Mapped[str] = mapped_column(sa.String(12))
    live_slot: Mapped[str | None] = mapped_column(sa.String(120), unique=True)
    reason: Mapped[str] = mapped_column(sa.String(500))
    until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(120))
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None] = mapped_column(sa.String(120))

    __table_args__ = table_args(
        sa.CheckConstraint("kind IN ('member','phone','device','address')", name="kind_known"),
        sa.CheckConstraint("scope IN ('coupons','points','rewards','referrals','all')", name="scope_known"),
        sa.CheckConstraint("(kind = 'member') = (member_id IS NOT NULL)", name="member_has_id"),
        sa.CheckConstraint("(live_slot IS NULL) = (ended_at IS NOT NULL)", name="live_until_ended"),
        sa.Index("ix_risk_entries_newest", "created_at", "id"),
    )


class RiskHold(Base):
    """What holds a member now: the one table that a hot path asks, by member and scope."""

    __tablename__ = "risk_holds"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    scope: Mapped[str] = mapped_column(sa.String(12))
    cause: Mapped[str] = mapped_column(sa.String(60))
    entry_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("risk_entries.id"), index=True)
    until: Mapped[datetime | None] = mapped_column(index=True)
    created_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("member_id", "scope", "cause"),
        sa.CheckConstraint(_SCOPES, name="scope_known"),
    )


class RiskPass(Base):
    """A member whom staff let through, whatever the list and the rules say."""

    __tablename__ = "risk_passes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    scope: Mapped[str] = mapped_column(sa.String(12))
    until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(120))

    __table_args__ = table_args(sa.CheckConstraint(_SCOPES, name="scope_known"), sa.Index("ix_risk_passes_member", "member_id", "scope"))


class RiskRuleVersion(Base):
    """One version of all velocity rules; the highest holds."""

    __tablename__ = "risk_rule_versions"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rules: Mapped[list[Any]]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(sa.String(80))


append_only(RiskRuleVersion)


class RiskTry(Base):
    """Something of value that went through from a device or to an address: what velocity rules count."""

    __tablename__ = "risk_tries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    mark: Mapped[str] = mapped_column(sa.String(90))
    way: Mapped[str] = mapped_column(sa.String(12))
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), index=True)
    tried_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = table_args(sa.Index("ix_risk_tries_counted", "mark", "way", "tried_at"))


class RiskRefusal(Base):
    """One refusal. ``once_key`` names what would be given by itself, so that a job that asks again does not list it again."""

    __tablename__ = "risk_refusals"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    occurred_at: Mapped[datetime]
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    way: Mapped[str] = mapped_column(sa.String(12))
    scope: Mapped[str] = mapped_column(sa.String(12))
    cause: Mapped[str] = mapped_column(sa.String(60))
    entry_id: Mapped[UUID | None]
    rule_code: Mapped[str | None] = mapped_column(sa.String(40))
    rule_version: Mapped[int | None]
    mark: Mapped[str | None] = mapped_column(sa.String(90))
    once_key: Mapped[str | None] = mapped_column(sa.String(80), unique=True)
    released_at: Mapped[datetime | None]
    released_by: Mapped[str | None] = mapped_column(sa.String(120))
    released_why: Mapped[str | None] = mapped_column(sa.String(500))

    __table_args__ = table_args(
        sa.CheckConstraint(_SCOPES, name="scope_known"),
        sa.CheckConstraint("(entry_id IS NULL) <> (rule_code IS NULL)", name="one_cause"),
        sa.CheckConstraint("(released_at IS NULL) = (released_by IS NULL)", name="released_by_somebody"),
        sa.Index("ix_risk_refusals_newest", "occurred_at", "id"),
        sa.Index("ix_risk_refusals_member", "member_id", "occurred_at"),
    )


register_version("risk_rule_versions")
