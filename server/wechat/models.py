"""Tables of WeChat: what its server pushed to us."""

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
