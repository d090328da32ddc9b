"""Tables of WeChat: what its server pushed to us, keys of its sessions, and calls that failed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.db import Base, table_args


class WeChatPush(Base):
    """One verified push. ``key`` is the same for its repetitions.

    The content names a person and is sealed; ``openid_index`` finds it when that person is to be forgotten.
    """

    __tablename__ = "wechat_pushes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(64), unique=True)
    kind: Mapped[str] = mapped_column(sa.String(32))
    event: Mapped[str] = mapped_column(sa.String(64))
    content_sealed: Mapped[str] = mapped_column(sa.Text)
    openid_index: Mapped[str | None] = mapped_column(sa.String(80), index=True)
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.Index("ix_wechat_pushes_event", "event", "occurred_at"),
        sa.Index("ix_wechat_pushes_received", "received_at"),
    )


class WeChatSessionKey(Base):
    """The key of a person's latest log-in, sealed, for what older clients pass on encrypted. It is forgotten within a day."""

    __tablename__ = "wechat_session_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    openid_index: Mapped[str] = mapped_column(sa.String(80), unique=True)
    key_sealed: Mapped[str] = mapped_column(sa.String(400))
    expires_at: Mapped[datetime] = mapped_column(index=True)


class WeChatFailure(Base):
    """How often and when last an interface failed with one code. While ``paused_until`` is set it is not over."""

    __tablename__ = "wechat_failures"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    appid: Mapped[str] = mapped_column(sa.String(64))
    endpoint: Mapped[str] = mapped_column(sa.String(80))
    code: Mapped[str] = mapped_column(sa.String(32))
    rid: Mapped[str | None] = mapped_column(sa.String(64))
    occurrences: Mapped[int] = mapped_column(default=1)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)
    paused_until: Mapped[datetime | None]
    pauses: Mapped[int] = mapped_column(default=0)

    __table_args__ = table_args(
        sa.UniqueConstraint("appid", "endpoint", "code"),
        sa.CheckConstraint("(paused_until IS NULL) = (pauses = 0)", name="pause_whole"),
    )


class OfficialAccountFollower(Base):
    """Somebody who follows, or followed, the Official Account. ``unionid_index`` is what makes them a member's.

    ``changed_at`` is when they last followed or left, ``asked_at`` when WeChat was asked for the unionid, ``seen_at`` when anything told
    of them last.
    """

    __tablename__ = "official_account_followers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    appid: Mapped[str] = mapped_column(sa.String(32))
    openid_index: Mapped[str] = mapped_column(sa.String(80))
    openid_sealed: Mapped[str] = mapped_column(sa.String(400))
    unionid_index: Mapped[str | None] = mapped_column(sa.String(80), index=True)
    following: Mapped[bool]
    changed_at: Mapped[datetime]
    asked_at: Mapped[datetime | None]
    seen_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("appid", "openid_index"),
        sa.Index("ix_official_account_followers_unasked", "appid", "following", "asked_at", "id"),
    )


class OfficialAccountWalk(Base):
    """The walk through the list of an account's followers that is under way, or the last one that ended."""

    __tablename__ = "official_account_walks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    appid: Mapped[str] = mapped_column(sa.String(32), unique=True)
    started_at: Mapped[datetime]
    next_sealed: Mapped[str | None] = mapped_column(sa.String(400))
    seen: Mapped[int]
    moved_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = table_args(sa.CheckConstraint("seen >= 0", name="seen_positive"))
