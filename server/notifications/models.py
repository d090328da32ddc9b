"""Tables of notifications."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.append_only import append_only
from server.kernel.db import Base, register_constraint, table_args
from server.notifications.errors import GrantShortError, TemplateIdTakenError


class NotificationTemplate(Base):
    """Which of WeChat's templates carries a message. ``field_keys`` maps our fields to WeChat's."""

    __tablename__ = "notification_templates"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(40), unique=True)
    wechat_template_id: Mapped[str] = mapped_column(sa.String(64), unique=True)
    field_keys: Mapped[dict[str, Any]]
    enabled: Mapped[bool] = mapped_column(default=True)
    updated_at: Mapped[datetime]


class NotificationMessage(Base):
    """One message to one member: its inbox entry and the state of its push.

    ``key`` is the business fact. ``lease_until`` is set while a call may be under way. ``texts`` are the fields in full.
    """

    __tablename__ = "notification_messages"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(191), unique=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    template: Mapped[str] = mapped_column(sa.String(40))
    topic: Mapped[str] = mapped_column(sa.String(16))
    texts: Mapped[dict[str, Any]]
    in_inbox: Mapped[bool] = mapped_column(default=True)
    read_at: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(sa.String(12))
    reason: Mapped[str | None] = mapped_column(sa.String(40))
    attempts: Mapped[int] = mapped_column(default=0)
    available_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    msg_id: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("state IN ('queued','sending','sent','delivered','failed','uncertain','skipped')", name="state_known"),
        sa.CheckConstraint("(state = 'sending') = (lease_until IS NOT NULL)", name="sending_has_lease"),
        sa.CheckConstraint("attempts >= 0", name="attempts_positive"),
        sa.Index("ix_notification_messages_due", "state", "available_at"),
        sa.Index("ix_notification_messages_inbox", "member_id", "in_inbox", "created_at", "id"),
        sa.Index("ix_notification_messages_newest", "created_at", "id"),
        sa.Index("ix_notification_messages_state", "state", "created_at", "id"),
        # What changed since the last time, for the sums by hour.
        sa.Index("ix_notification_messages_changed", "updated_at", "created_at"),
    )


class NotificationGrant(Base):
    """How many messages of one template a member still allows, and how many of those are held by calls under way."""

    __tablename__ = "notification_grants"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    template: Mapped[str] = mapped_column(sa.String(40))
    available: Mapped[int] = mapped_column(default=0)
    reserved: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("member_id", "template"),
        sa.CheckConstraint("available >= 0", name="available_positive"),
        sa.CheckConstraint("reserved >= 0", name="reserved_positive"),
        sa.Index("ix_notification_grants_reach", "template", "available"),
    )


class NotificationGrantEntry(Base):
    """One change of an allowance. ``key`` is what made it; the sums of all entries are the row in ``notification_grants``."""

    __tablename__ = "notification_grant_entries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(191), unique=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    template: Mapped[str] = mapped_column(sa.String(40))
    kind: Mapped[str] = mapped_column(sa.String(12))
    available_change: Mapped[int]
    reserved_change: Mapped[int]
    message_id: Mapped[UUID | None]
    occurred_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("kind IN ('credit','reserve','spend','release','empty','merge')", name="kind_known"),
        sa.Index("ix_notification_grant_entries_member", "member_id", "template", "occurred_at"),
        sa.Index("ix_notification_grant_entries_when", "occurred_at", "template", "kind"),
    )


class NotificationAccountTemplate(Base):
    """A template that the account at WeChat has, as it was seen there last."""

    __tablename__ = "notification_account_templates"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    template_id: Mapped[str] = mapped_column(sa.String(64), unique=True)
    title: Mapped[str] = mapped_column(sa.String(64))
    fields: Mapped[dict[str, Any]]
    one_time: Mapped[bool]
    seen_at: Mapped[datetime]

    __table_args__ = table_args()


append_only(NotificationGrantEntry)


class NotificationReceipt(Base):
    """What WeChat said about the delivery of a message; it may come before our own call has returned."""

    __tablename__ = "notification_receipts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    msg_id: Mapped[str] = mapped_column(sa.String(64), unique=True)
    error_code: Mapped[str] = mapped_column(sa.String(16))
    occurred_at: Mapped[datetime]


class NotificationPreference(Base):
    """A member's choice that differs from the default, by topic and channel."""

    __tablename__ = "notification_preferences"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"))
    topic: Mapped[str] = mapped_column(sa.String(16))
    channel: Mapped[str] = mapped_column(sa.String(16))
    allowed: Mapped[bool]
    updated_at: Mapped[datetime]

    __table_args__ = table_args(sa.UniqueConstraint("member_id", "topic", "channel"))


class NotificationQuietHours(Base):
    """A member's own quiet hours, in minutes of the shop's day; equal minutes mean none."""

    __tablename__ = "notification_quiet_hours"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), unique=True)
    from_minute: Mapped[int] = mapped_column(sa.SmallInteger)
    until_minute: Mapped[int] = mapped_column(sa.SmallInteger)
    updated_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("from_minute BETWEEN 0 AND 1439 AND until_minute BETWEEN 0 AND 1439", name="minutes_of_day"),
    )


register_constraint("ck_notification_grants_available_positive", GrantShortError)
register_constraint("ck_notification_grants_reserved_positive", GrantShortError)
register_constraint("uq_notification_templates_wechat_template_id", TemplateIdTakenError)
