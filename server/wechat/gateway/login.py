"""Who somebody is: log-in, session keys and phone codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WeChatSession:
    """Who logged in.

    Arguments:
        openid: the person in this app.
        unionid: the person over all apps of one Open Platform account, when the app is bound to one.
        session_key: opens what older clients pass on encrypted; it never leaves the server, and is not even shown by ``repr``.
    """

    openid: str
    unionid: str | None = None
    session_key: str | None = field(default=None, repr=False)


class LoginGateway(Protocol):
    """Codes of the mini-program, traded for what they stand for."""

    def code_to_session(self, code: str) -> WeChatSession:
        """Trade a ``wx.login`` code, which works once and for five minutes.

        Raises:
            LoginCodeInvalidError: unknown, old or used; the client must call ``wx.login`` again.
            UserBlockedError: WeChat holds the user for high-risk.
        """
        ...

    def phone_number(self, code: str) -> str:
        """Trade a ``getPhoneNumber`` code for the phone number in E.164.

        Raises:
            PhoneCodeInvalidError: unknown, old or used.
        """
        ...

    def check_session(self, openid: str, session_key: str) -> bool:
        """Ask whether a session key is still the valid one of a person; any later ``wx.login`` may have replaced it."""
        ...

    def reset_session_key(self, openid: str, session_key: str) -> WeChatSession:
        """Have WeChat replace a valid session key, after a leak for instance.

        Raises:
            LoginCodeInvalidError: it is no longer valid; the client must call ``wx.login`` again.
        """
        ...
