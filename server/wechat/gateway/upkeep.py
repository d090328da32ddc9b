"""Looking after the connection: quotas, requests looked up by their number, the token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Quota:
    """How often an interface may still be called today.

    Arguments:
        daily_limit, used, left: calls.
        per_call_limit: calls that are allowed within ``per_seconds``; 0 when WeChat names no such limit.
        per_seconds: the length of that window.
    """

    daily_limit: int
    used: int
    left: int
    per_call_limit: int = 0
    per_seconds: int = 0


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """What WeChat remembers of one request: what concerns its fate, and nothing of what was sent.

    Arguments:
        invoked_at: when WeChat got it.
        cost_milliseconds: how long it took there.
        path: of its address, without query, for that holds the token.
        errcode: of the answer, when the answer could be read.
        errmsg: of the answer.
        caller: network address it came from.
    """

    invoked_at: datetime
    cost_milliseconds: int
    path: str
    errcode: int | None
    errmsg: str
    caller: str


@dataclass(frozen=True, slots=True)
class TokenState:
    """What is known of the access token, without the token.

    Arguments:
        kept: whether there is one.
        shared: whether all processes share it; False without Redis, or while it cannot be reached.
        age_seconds: since we got it.
        left_seconds: until it is replaced.
    """

    kept: bool
    shared: bool
    age_seconds: int = 0
    left_seconds: int = 0


class UpkeepGateway(Protocol):
    """For staff who look after the connection."""

    def quota(self, path: str) -> Quota:
        """Ask how often an interface may still be called today.

        Arguments:
            path: of the interface, ``/cgi-bin/message/subscribe/send`` for instance.

        Raises:
            WeChatRejectedError: WeChat does not know the interface.
        """
        ...

    def clear_quota(self) -> None:
        """Set all quotas of the app to zero used calls; ten times a month.

        Raises:
            WeChatRejectedError: with ``errcode`` 48006 when it was done ten times this month.
        """
        ...

    def request_record(self, rid: str) -> RequestRecord:
        """Look a request up by the number WeChat gave it; it is known for seven days.

        Raises:
            WeChatRejectedError: with ``errcode`` 76001 when it is not known.
        """
        ...

    def token_state(self) -> TokenState:
        """Tell about the access token. Nobody is called."""
        ...
