"""Content checks."""

from __future__ import annotations

from server.wechat.calls.client import Calls
from server.wechat.errors import WeChatRejectedError, WeChatUnavailableError
from server.wechat.gateway.content import ContentScene, Suggestion, Verdict

_RISKY_CONTENT = 87014
_IMAGE = 2


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

    def check_image(self, openid: str, url: str, scene: ContentScene | int = ContentScene.COMMENT) -> str:
        """Have WeChat look at a picture. See the Protocol."""
        body = {"version": 2, "openid": openid, "scene": int(scene), "media_url": url, "media_type": _IMAGE}
        trace_id = str(self._post("wxa/media_check_async", body).get("trace_id") or "")
        if not trace_id:
            # Whatever was answered, nothing of it could ever be found again.
            reason = "unreadable"
            raise WeChatUnavailableError(reason)
        return trace_id
