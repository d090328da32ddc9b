"""What WeChat's server push says about messages: acceptances, switches thrown, deliveries."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from server.kernel.db import insert_if_absent
from server.kernel.ids import uuid7
from server.members import queries as members
from server.notifications import delivery, grants, queries
from server.notifications.models import NotificationReceipt
from server.notifications.rules import NO_LINES, Lines
from server.wechat.push import PushEvent, PushItem

POPUP = "subscribe_msg_popup_event"
CHANGE = "subscribe_msg_change_event"
SENT = "subscribe_msg_sent_event"
EVENTS = frozenset({POPUP, CHANGE, SENT})


def apply(session: Session, event: PushEvent, *, appid: str, credit: bool, now: datetime, lines: Lines = NO_LINES) -> None:
    """Do what a push says about messages; one that says nothing about them changes nothing.

    Arguments:
        session: of the transaction that stored the push, so that this is done once.
        event: the push.
        appid: the app it came from.
        credit: whether acceptances are credited from these events (``grant_source=event``).
        now: present instant.
        lines: what other channels are connected, for a message that did not arrive.
    """
    if event.event not in EVENTS:
        return
    member_id = members.by_openid(session, event.openid, appid) if event.items else None
    for item in event.items:
        code = queries.code_of(session, item.get("TemplateId"))
        if code is not None:
            _take_item(session, event, item, member_id, code, credit=credit, now=now, lines=lines)


def _take_item(
    session: Session,
    event: PushEvent,
    item: PushItem,
    member_id: UUID | None,
    code: str,
    *,
    credit: bool,
    now: datetime,
    lines: Lines,
) -> None:
    if event.event == SENT:
        _take_receipt(session, item, member_id, code, event.occurred_at, lines=lines, now=now)
        return
    if member_id is None:
        return
    status = item.get("SubscribeStatusString")
    if event.event == POPUP and status.startswith("accept") and credit:
        grants.credit(session, member_id, code, event_key=f"popup:{event.key}:{code}", now=now)
    elif event.event == CHANGE and status == "reject":
        grants.empty(session, member_id, code, event_key=f"change:{event.key}:{code}", now=now)


def _take_receipt(
    session: Session, item: PushItem, member_id: UUID | None, code: str, occurred_at: datetime, *, lines: Lines, now: datetime
) -> None:
    msg_id, error_code = item.get("MsgID"), item.get("ErrorCode") or "0"
    if not msg_id:
        return
    # Kept even when no message is known by it yet: the receipt may be here before our own call has returned.
    values = {"id": uuid7(), "msg_id": msg_id[:64], "error_code": error_code[:16], "occurred_at": occurred_at}
    insert_if_absent(session, NotificationReceipt, values)
    delivery.receive_receipt(
        session, member_id, code, msg_id=msg_id[:64], error_code=error_code[:16], occurred_at=occurred_at, now=now, lines=lines
    )
