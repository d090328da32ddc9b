"""The demonstration's connection to WeChat: a few failures that are over, pushes that came, and a member who withdrew an address."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from server.flows import wechat_push
from server.wechat import troubles
from server.wechat.failures import Failure
from server.wechat.push import PushEvent

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

_FAILURES = (
    (Failure(troubles.SEND_ENDPOINT, "47003", "66b2f1c4-0a7d3e21-5c9b4f10"), 3, timedelta(days=2)),
    (Failure("wxa/msg_sec_check", "timeout"), 2, timedelta(days=1, hours=3)),
    (Failure(troubles.SEND_ENDPOINT, "45011", "66b3a8d2-1b8e4f32-6dac5021"), 12, timedelta(hours=20)),
)
_OPENID = "demo-openid-004"


def load(session: Session, demo: DemoContext) -> None:
    """Load it."""
    appid = demo.core.settings.wechat_appid
    for failure, times, ago in _FAILURES:
        for number in range(times):
            troubles.note(session, failure, appid=appid, now=demo.now - ago + timedelta(minutes=number))
    withdrawn = {"OpenID": _OPENID, "AppID": appid, "RevokeInfo": "2"}
    for event, content, ago in (
        ("user_authorization_revoke", withdrawn, timedelta(days=3)),
        ("wxa_punish_event", {"FromUserName": "demo-platform", "illegal_reason": "存在诱导分享行为"}, timedelta(days=6)),
    ):
        at = demo.now - ago
        wechat_push.take_in(session, _push(event, content, at), appid=appid, credit=False, now=at)


def _push(event: str, content: dict[str, Any], at: datetime) -> PushEvent:
    openid = str(content.get("OpenID") or content["FromUserName"])
    return PushEvent("event", event, openid, at, (), f"demo:{event}", {"FromUserName": "demo-platform", "Event": event} | content)
