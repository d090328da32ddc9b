"""Subscribe messages."""

from __future__ import annotations

from typing import Any

from server.wechat.calls.client import Calls
from server.wechat.gateway.messages import SentMessage


class MessageCalls(Calls):
    """``MessageGateway`` over the network."""

    def send_subscribe_message(
        self, openid: str, template_id: str, data: dict[str, str], page: str | None = None, *, lang: str = "zh_CN"
    ) -> SentMessage:
        """Send one subscribe message. See the Protocol."""
        body: dict[str, Any] = {
            "touser": openid,
            "template_id": template_id,
            "data": {key: {"value": value} for key, value in data.items()},
            "miniprogram_state": self._program_state,
            "lang": lang,
        }
        if page:
            body["page"] = page
        answer = self._post("cgi-bin/message/subscribe/send", body)
        msg_id = answer.get("msgid")
        return SentMessage(str(msg_id) if msg_id is not None else None)
