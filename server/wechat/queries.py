"""Reads of what WeChat pushed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.crypto import Place, vault_of
from server.wechat.models import WeChatPush

_MOST_EVENTS = 100


@dataclass(frozen=True, slots=True)
class StoredPush:
    """A push as it came.

    Arguments:
        id: ours.
        key: the same for its repetitions.
        event: in lower case.
        openid: whom it is about.
        occurred_at: WeChat's time.
        content: everything it said.
    """

    id: UUID
    key: str
    event: str
    openid: str
    occurred_at: datetime
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EventCount:
    """How often an event came, of those that are still kept."""

    kind: str
    event: str
    count: int
    last_at: datetime


def find_push(session: Session, push_id: UUID) -> StoredPush | None:
    """Return a push, opened, or None when it was forgotten."""
    row = session.get(WeChatPush, push_id)
    if row is None:
        return None
    content = json.loads(vault_of(session).open(row.content_sealed, Place("wechat_pushes", "content_sealed", row.id)))
    openid = str(content.get("OpenID") or content.get("FromUserName") or "")
    return StoredPush(row.id, row.key, row.event, openid, row.occurred_at, content)


def event_counts(session: Session) -> list[EventCount]:
    """Return which events came how often, the latest first."""
    count, last = sa.func.count(), sa.func.max(WeChatPush.received_at)
    statement = sa.select(WeChatPush.kind, WeChatPush.event, count, last).group_by(WeChatPush.kind, WeChatPush.event)
    return [EventCount(*row) for row in session.execute(statement.order_by(last.desc()).limit(_MOST_EVENTS))]
