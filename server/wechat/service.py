"""Keeps what WeChat pushed, each push once."""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy.orm import Session

from server.kernel.crypto import Place, vault_of
from server.kernel.db import insert_if_absent
from server.kernel.ids import uuid7
from server.wechat.models import WeChatPush
from server.wechat.push import PushEvent

_KIND_CHARS, _EVENT_CHARS = 32, 64


def keep_push(session: Session, event: PushEvent, *, now: datetime) -> bool:
    """Store one verified push.

    Arguments:
        session: of the transaction that also holds the push's effect.
        event: as ``push.read`` returned it.
        now: present instant.

    Returns:
        False when it was stored before, so that its effect must not be repeated.
    """
    push_id = uuid7()
    content = json.dumps(dict(event.content), ensure_ascii=False)
    values = {
        "id": push_id,
        "key": event.key,
        "kind": event.kind[:_KIND_CHARS],
        "event": event.event[:_EVENT_CHARS],
        "content_sealed": vault_of(session).seal(content, Place("wechat_pushes", "content_sealed", push_id)),
        "occurred_at": event.occurred_at,
        "received_at": now,
    }
    return insert_if_absent(session, WeChatPush, values)
