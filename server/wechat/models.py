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
