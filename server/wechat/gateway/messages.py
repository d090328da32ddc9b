"""Subscribe messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message WeChat took in.

    Arguments:
        msg_id: WeChat's number of it, as text since it exceeds 2^53; not every answer carries one.
    """

    msg_id: str | None = None


class MessageGateway(Protocol):
    """Messages to members."""

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
