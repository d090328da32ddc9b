"""What a push of WeChat's sets in motion. Stored once, answered at once: what takes time is told by outbox and done by workers.

Acceptances of messages are credited in the same transaction, since the mini-program asks for them right after the tap; everything
else is an event, which whoever has the duty hears.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from server.kernel.outbox import publish
from server.notifications import pushes as notifications
from server.notifications.rules import NO_LINES, Lines
from server.wechat import events, withdrawn
from server.wechat import service as wechat
from server.wechat.push import PushEvent

MEDIA_CHECK = "wxa_media_check"
TRADE_PREFIX = "trade_manage_"
KNOWN = frozenset({*notifications.EVENTS, *withdrawn.EVENTS, MEDIA_CHECK})
_TRACE_CHARS = 64


def is_known(event: str) -> bool:
    """Tell whether something follows from an event; others are stored and listed."""
    return event in KNOWN or event.startswith(TRADE_PREFIX)


def take_in(session: Session, event: PushEvent, *, appid: str, credit: bool, now: datetime, lines: Lines = NO_LINES) -> bool:
    """Store one verified push and set in motion what it says, once.

    Arguments:
        session: of an open transaction.
        event: the push.
        appid: the app it came from.
        credit: whether acceptances are credited from these events (``grant_source=event``).
        now: present instant.
        lines: what other channels are connected, for a message that did not arrive.

    Returns:
        False when it was taken in before.
    """
    push_id = wechat.keep_push(session, event, now=now)
    if push_id is None:
        return False
    notifications.apply(session, event, appid=appid, credit=credit, now=now, lines=lines)
    told = _news(event)
    if told is not None:
        topic, facts = told
        _tell(session, topic, push_id, facts, now)
    return True


def _news(event: PushEvent) -> tuple[str, dict[str, Any]] | None:
    if event.event == MEDIA_CHECK:
        result = event.content.get("result")
        verdict = result if isinstance(result, dict) else {}
        facts = {
            "trace_id": _word(event.content.get("trace_id")),
            "suggest": _word(verdict.get("suggest")),
            "label": _word(verdict.get("label")),
        }
        return events.MEDIA_CHECKED, facts
    if event.event.startswith(TRADE_PREFIX):
        return events.TRADE_EVENT, {"event": event.event}
    return (events.DATA_WITHDRAWN, {}) if event.event in withdrawn.EVENTS else None


def _tell(session: Session, topic: str, push_id: UUID, facts: dict[str, Any], now: datetime) -> None:
    publish(
        session,
        topic,
        key=f"{topic}:{push_id}",
        aggregate_type="wechat_push",
        aggregate_id=push_id,
        payload={"push_id": str(push_id), **facts},
        now=now,
    )


def _word(value: Any) -> str:
    return str(value)[:_TRACE_CHARS] if isinstance(value, str | int) else ""
