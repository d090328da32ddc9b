"""Keeps what WeChat pushed, each push once, and forgets it in time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.crypto import Place, vault_of
from server.kernel.db import insert_if_absent
from server.kernel.ids import uuid7
from server.wechat.models import WeChatPush
from server.wechat.push import PushEvent

_KIND_CHARS, _EVENT_CHARS = 32, 64


def keep_push(session: Session, event: PushEvent, *, now: datetime) -> UUID | None:
    """Store one verified push.

    Arguments:
        session: of the transaction that also holds the push's effect.
        event: as ``push.read`` returned it.
        now: present instant.

    Returns:
        Its id, or None when it was stored before, so that its effect must not be repeated.
    """
    push_id = uuid7()
    content = json.dumps(dict(event.content), ensure_ascii=False)
    values = {
        "id": push_id,
        "key": event.key,
        "kind": event.kind[:_KIND_CHARS],
        "event": event.event[:_EVENT_CHARS],
        "content_sealed": vault_of(session).seal(content, Place("wechat_pushes", "content_sealed", push_id)),
        "openid_index": vault_of(session).index("openid", event.openid) if event.openid else None,
        "occurred_at": event.occurred_at,
        "received_at": now,
    }
    return push_id if insert_if_absent(session, WeChatPush, values) else None


def forget_old_pushes(session: Session, before: datetime, *, limit: int = 2000) -> int:
    """Delete up to ``limit`` pushes that were received before an instant; return how many."""
    ids = session.scalars(
        sa.select(WeChatPush.id).where(WeChatPush.received_at < before).order_by(WeChatPush.received_at).limit(limit)
    ).all()
    if ids:
        session.execute(sa.delete(WeChatPush).where(WeChatPush.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


def forget_pushes(session: Session, openid_indexes: Sequence[str]) -> None:
    """Delete every push about some openids.

    Arguments:
        session: of an open transaction.
        openid_indexes: blind indexes of kind ``openid``.
    """
    if openid_indexes:
        session.execute(
            sa.delete(WeChatPush).where(WeChatPush.openid_index.in_(openid_indexes)).execution_options(synchronize_session=False)
        )
