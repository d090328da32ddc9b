"""What WeChat's server push says about the Official Account: who follows, who left, what became of template messages."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from server.notifications import routing
from server.notifications.routes import OFFICIAL_ACCOUNT
from server.notifications.rules import Lines
from server.wechat import followers
from server.wechat import service as wechat
from server.wechat.push import PushEvent

FOLLOWED = "subscribe"
LEFT = "unsubscribe"
SENT = "templatesendjobfinish"
_GOOD = "success"


def take_in(session: Session, event: PushEvent, *, appid: str, lines: Lines, now: datetime) -> bool:
    """Store one verified push and do what it says, once.

    Arguments:
        session: of an open transaction.
        event: the push.
        appid: of the account.
        lines: what channels are connected, for a message that did not arrive.
        now: present instant.

    Returns:
        False when it was taken in before.
    """
    if not wechat.keep_push(session, event, now=now):
        return False
    if event.event in {FOLLOWED, LEFT}:
        following = event.event == FOLLOWED
        followers.note_followed(session, appid, event.openid, following=following, now=now, occurred_at=event.occurred_at)
    elif event.event == SENT:
        status = str(event.content.get("Status") or "")
        # "failed:user block", "failed: system failed"; the words after the colon say why.
        code = "0" if status == _GOOD else status.partition(":")[2].strip().replace(" ", "_") or "failed"
        number = str(event.content.get("MsgID") or event.content.get("MsgId") or "")
        if number:
            routing.receive(session, OFFICIAL_ACCOUNT, number, code, occurred_at=event.occurred_at, lines=lines, now=now)
    return True
