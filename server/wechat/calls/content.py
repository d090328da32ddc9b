"""Content checks."""

from __future__ import annotations

from server.wechat.calls.client import Calls
from server.wechat.errors import WeChatRejectedError
from server.wechat.gateway.content import ContentScene, Suggestion, Verdict

_RISKY_CONTENT = 87014


class ContentCalls(Calls):
    """``ContentGateway`` over the network."""

    def check_text(self, openid: str, content: str, scene: ContentScene | int = ContentScene.COMMENT) -> Verdict:
        """Ask whether a text may be shown. See the Protocol."""
        body = {"version": 2, "openid": openid, "scene": int(scene), "content": content}
        try:
            answer = self._post("wxa/msg_sec_check", body)
        except WeChatRejectedError as error:
            if error.errcode == _RISKY_CONTENT:
                return Verdict(Suggestion.RISKY, _RISKY_CONTENT)
            raise
        result = answer.get("result") or {}
        try:
            suggestion = Suggestion(str(result.get("suggest")))
        except ValueError:
            # An answer we do not understand must not publish the text.
            suggestion = Suggestion.REVIEW
        trace_id = answer.get("trace_id")
        return Verdict(suggestion, int(result.get("label") or 0), str(trace_id) if trace_id else None)
