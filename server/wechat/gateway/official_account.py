"""The brand's Official Account: template messages to its followers, and who follows it.

It is an app of its own: its openids, secret and token are others than the mini-program's. A person is the same in both by the unionid,
which WeChat tells when both are bound to one Open Platform account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from server.wechat.gateway.messages import SentMessage

MOST_ASKED_AT_ONCE = 100
# errcodes of a refusal that is about the person and not about the message.
NOT_FOLLOWING = 43004
MUTED = 43101


@dataclass(frozen=True, slots=True)
class FollowerPage:
    """Some of those who follow the account; ``next_openid`` is where the next page begins, empty after the last."""

    openids: tuple[str, ...]
    next_openid: str


@dataclass(frozen=True, slots=True)
class Follower:
    """Somebody the account knows.

    Arguments:
        openid: in the Official Account.
        following: False for somebody who left.
        unionid: the person over all apps, when WeChat tells it.
    """

    openid: str
    following: bool
    unionid: str | None


class OfficialAccountGateway(Protocol):
    """The calls made for the Official Account. None may be made inside a transaction, since each waits for the network.

    All may raise ``WeChatUnavailableError`` and ``WeChatMisconfiguredError``.
    """

    @property
    def appid(self) -> str:
        """Return the account's app."""
        ...

    def send_template_message(
        self, openid: str, template_id: str, data: dict[str, str], *, client_msg_id: str, program: tuple[str, str] | None = None
    ) -> SentMessage:
        """Send one template message.

        Arguments:
            openid: of a follower.
            template_id: the account's template.
            data: field → value, already within WeChat's limits.
            client_msg_id: ours, at most 32 characters: for ten minutes WeChat sends one message for it, however often it is asked.
            program: appid and page of the mini-program that it opens.

        Raises:
            WeChatRejectedError: with ``errcode`` 43004 for somebody who does not follow, 43101 for one who muted the template.
        """
        ...

    def followers(self, next_openid: str = "") -> FollowerPage:
        """Return up to 10,000 followers, from one on."""
        ...

    def follower_infos(self, openids: Sequence[str]) -> list[Follower]:
        """Return what WeChat tells about up to 100 people."""
        ...
