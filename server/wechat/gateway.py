"""What the product needs from WeChat, and nothing of how it is done.

The adapter is ``wechatpy_gateway.WeChatPyGateway``; tests use a fake of this Protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
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


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message WeChat took in.

    Arguments:
        msg_id: WeChat's number of it, as text since it exceeds 2^53; not every answer carries one.
    """

    msg_id: str | None = None


class Suggestion(StrEnum):
    """What the content check says should happen."""

    PASS = "pass"  # noqa: S105 - WeChat's own word
    REVIEW = "review"
    RISKY = "risky"


class ContentScene(IntEnum):
    """Where a text will be seen."""

    PROFILE = 1
    COMMENT = 2
    FORUM = 3
    SOCIAL_LOG = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """The content check's answer.

    Arguments:
        suggestion: pass, review or risky.
        label: WeChat's reason (100 is normal, 20001 politics, 20002 pornography, 20006 crime…).
        trace_id: for WeChat's support.
    """

    suggestion: Suggestion = Suggestion.PASS
    label: int = 100
    trace_id: str | None = None

    @property
    def passed(self) -> bool:
        """Tell whether the text may be shown."""
        return self.suggestion is Suggestion.PASS


class WeChatGateway(Protocol):
    """The calls the product makes. None may be made inside a transaction, since each waits for the network.

    All may raise ``WeChatUnavailableError`` and ``WeChatMisconfiguredError``.
    """

    @property
    def appid(self) -> str:
        """Return the app these calls are made for."""
        ...

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

    def send_subscribe_message(
        self, openid: str, template_id: str, data: dict[str, str], page: str | None = None, *, lang: str = "zh_CN"
    ) -> SentMessage:
        """Send one subscribe message, spending one allowance of that person and template.

        Arguments:
            openid: to whom.
            template_id: WeChat's template.
            data: field → value, already within WeChat's limits.
            page: path in the mini-program to open.
            lang: of WeChat's own words around it.

        Raises:
            WeChatRejectedError: with ``errcode`` 43101 when the person refused or has no allowance left.
        """
        ...

    def check_text(self, openid: str, content: str, scene: ContentScene | int = ContentScene.COMMENT) -> Verdict:
        """Ask whether a text may be shown to others; the person must have been active within two hours.

        Arguments:
            openid: who wrote it.
            content: at most 2,500 characters.
            scene: where it will be seen.

        Raises:
            WeChatRejectedError: the check cannot be done for this person now.
        """
        ...

    def qr_code(self, scene: str, page: str) -> bytes:
        """Return the image of a mini-program code.

        Arguments:
            scene: at most 32 visible ASCII characters without ``%``.
            page: path without leading slash or query.

        Raises:
            WeChatRejectedError: WeChat does not know the page.
        """
        ...
