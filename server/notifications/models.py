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


class NotificationRoute(Base):
    """The brand's order of channels for one message, where it differs from what the message declares; empty for none at all."""

    __tablename__ = "notification_routes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(40), unique=True)
    channels: Mapped[str] = mapped_column(sa.String(120))
    updated_at: Mapped[datetime]

    __table_args__ = table_args()


class NotificationCarrier(Base):
    """Which template of a provider's carries a message: of the Official Account, or of a provider of text messages.

    ``fields`` are ``[our field, the provider's name for it]`` in the order of the provider's places.
    """

    __tablename__ = "notification_carriers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(40))
    provider: Mapped[str] = mapped_column(sa.String(20))
    template_id: Mapped[str] = mapped_column(sa.String(64))
    fields: Mapped[list[Any]]
    updated_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("code", "provider"),
        sa.CheckConstraint("provider IN ('official_account','aliyun','tencent','local')", name="provider_known"),
    )


class NotificationAttempt(Base):
    """One try to reach a member over one channel, as it ended. It names nobody, and stays when the message is forgotten."""

    __tablename__ = "notification_attempts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    message_id: Mapped[UUID]
    member_id: Mapped[UUID]
    channel: Mapped[str] = mapped_column(sa.String(20))
    provider: Mapped[str] = mapped_column(sa.String(20))
    attempt: Mapped[int]
    outcome: Mapped[str] = mapped_column(sa.String(16))
    reason: Mapped[str | None] = mapped_column(sa.String(64))
    segments: Mapped[int | None]
    milliseconds: Mapped[int | None]
    occurred_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint(
            "outcome IN ('sent','refused','not_done','misconfigured','unknown','skipped','delivered','undelivered','decided')",
            name="outcome_known",
        ),
        sa.CheckConstraint("segments IS NULL OR segments >= 1", name="segments_positive"),
        sa.CheckConstraint("milliseconds IS NULL OR milliseconds >= 0", name="milliseconds_positive"),
        sa.Index("ix_notification_attempts_message", "message_id", "occurred_at", "id"),
        sa.Index("ix_notification_attempts_member", "member_id", "occurred_at", "id"),
        sa.Index("ix_notification_attempts_provider", "provider", "occurred_at"),
    )


append_only(NotificationAttempt)


class NotificationMessage(Base):
    """One message to one member: its inbox entry and the state of its push.

    ``key`` is the business fact. ``lease_until`` is set while a call may be under way. ``texts`` are the fields in full. ``channel`` is
    the one it is being tried on or ended on, ``tried`` lists those before it, failed ones with a mark; ``attempts`` counts all claims,
    ``tries`` those on this channel.
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
    channel: Mapped[str] = mapped_column(sa.String(20), default="subscribe")
    tried: Mapped[str] = mapped_column(sa.String(120), default="")
    provider: Mapped[str | None] = mapped_column(sa.String(20))
    segments: Mapped[int | None]
    attempts: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)
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
        sa.CheckConstraint("channel IN ('subscribe','official_account','sms','email')", name="channel_known"),
        sa.CheckConstraint("attempts >= 0", name="attempts_positive"),
        sa.CheckConstraint("tries >= 0 AND tries <= attempts", name="tries_within_attempts"),
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
