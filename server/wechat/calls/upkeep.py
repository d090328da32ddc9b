"""Looking after the connection: quotas, requests looked up by their number, the token."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from server.wechat.calls.client import Calls, as_object
from server.wechat.errors import WeChatUnavailableError
from server.wechat.gateway.upkeep import Quota, RequestRecord, TokenState

_MESSAGE_CHARS = 200


class UpkeepCalls(Calls):
    """``UpkeepGateway`` over the network."""

    def quota(self, path: str) -> Quota:
        """Ask for a quota. See the Protocol."""
        answer = self._post("cgi-bin/openapi/quota/get", {"cgi_path": path})
        try:
            day, rate = answer["quota"], answer.get("rate_limit") or {}
            return Quota(
                int(day["daily_limit"]),
                int(day["used"]),
                int(day["remain"]),
                int(rate.get("call_count") or 0),
                int(rate.get("refresh_second") or 0),
            )
        except (KeyError, TypeError, ValueError):
            raise WeChatUnavailableError(_UNREADABLE) from None

    def clear_quota(self) -> None:
        """Clear all quotas. See the Protocol."""
        # By the secret and not by the token: the token's own quota may be what is used up.
        params = {"appid": self.appid, "appsecret": self._client.secret}
        as_object(self._client.call("post", "cgi-bin/clear_quota/v2", params=params, with_token=False))

    def request_record(self, rid: str) -> RequestRecord:
        """Look a request up. See the Protocol."""
        answer = self._post("cgi-bin/openapi/rid/get", {"rid": rid})
        try:
            found = answer["request"]
            errcode, errmsg = _outcome(found.get("response_body"))
            return RequestRecord(
                datetime.fromtimestamp(int(found["invoke_time"]), UTC),
                int(found.get("cost_in_ms") or 0),
                urlsplit(str(found.get("request_url") or "")).path,
                errcode,
                errmsg,
                str(found.get("client_ip") or ""),
            )
        except (KeyError, TypeError, ValueError, OverflowError, OSError):
            raise WeChatUnavailableError(_UNREADABLE) from None

    def token_state(self) -> TokenState:
        """Tell about the token. See the Protocol."""
        return self._client.tokens.state()


_UNREADABLE = "unreadable"


def _outcome(body: Any) -> tuple[int | None, str]:
    """Return code and text of an answer; the rest of it may hold a token or a person."""
    try:
        answer = json.loads(body)
        return int(answer["errcode"]), str(answer.get("errmsg") or "")[:_MESSAGE_CHARS]
    except (TypeError, KeyError, ValueError):
        return None, ""
