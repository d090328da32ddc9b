"""Images of mini-program codes."""

from __future__ import annotations

import requests

from server.wechat.calls.client import Calls
from server.wechat.errors import WeChatUnavailableError


class CodeCalls(Calls):
    """``CodeGateway`` over the network."""

    def qr_code(self, scene: str, page: str) -> bytes:
        """Return the image of a mini-program code. See the Protocol."""
        body = {"scene": scene, "page": page, "check_path": self._program_state == "formal", "env_version": "release"}
        if self._program_state != "formal":
            body["env_version"] = "trial" if self._program_state == "trial" else "develop"
        answer = self._client.call("post", "wxa/getwxacodeunlimit", data=body)
        # wechatpy hands over whatever is not JSON, an error page of a proxy included.
        if isinstance(answer, requests.Response) and answer.headers.get("Content-Type", "").startswith("image/"):
            return answer.content
        raise WeChatUnavailableError("unreadable")
