"""Links that open the mini-program from outside WeChat."""

from __future__ import annotations

from typing import Any

from server.wechat.calls.client import Calls
from server.wechat.errors import WeChatUnavailableError

_LONGEST_DAYS = 30
_QUERY_CHARS = 1024
# expire_type 1 counts days from now instead of naming an instant.
_BY_DAYS = 1


class LinkCalls(Calls):
    """``LinkGateway`` over the network."""

    def url_scheme(self, page: str, query: str = "", *, days: int = _LONGEST_DAYS) -> str:
        """Return a ``weixin://`` link. See the Protocol."""
        target = self._target(page, query, days)
        expiry = {"is_expire": True, "expire_type": _BY_DAYS, "expire_interval": days}
        return _link(self._post("wxa/generatescheme", {"jump_wxa": target, **expiry}), "openlink")

    def url_link(self, page: str, query: str = "", *, days: int = _LONGEST_DAYS) -> str:
        """Return an ``https://`` link. See the Protocol."""
        target = self._target(page, query, days)
        return _link(self._post("wxa/generate_urllink", {**target, "expire_type": _BY_DAYS, "expire_interval": days}), "url_link")

    def _target(self, page: str, query: str, days: int) -> dict[str, Any]:
        if not 1 <= days <= _LONGEST_DAYS or len(query) > _QUERY_CHARS:
            message = f"a link works for 1 to {_LONGEST_DAYS} days and carries at most {_QUERY_CHARS} characters"
            raise ValueError(message)
        return {"path": page, "query": query, "env_version": self._release}


def _link(answer: dict[str, Any], name: str) -> str:
    if not answer.get(name):
        reason = "unreadable"
        raise WeChatUnavailableError(reason)
    return str(answer[name])
