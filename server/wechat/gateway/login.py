"""Who somebody is: log-in and phone codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WeChatSession:
    """Who logged in. WeChat's session key is not kept: nothing of ours needs it.

    Arguments:
        openid: the person in this app.
        unionid: the person over all apps of one Open Platform account, when the app is bound to one.
    """

    openid: str
    unionid: str | None = None


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
