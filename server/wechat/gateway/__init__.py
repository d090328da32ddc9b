"""What the product needs from WeChat, and nothing of how it is done; one module for each group of calls.

The adapter is ``wechatpy_gateway.WeChatPyGateway``; tests use a fake of this Protocol.
"""

from __future__ import annotations

from typing import Protocol

from server.wechat.gateway.codes import CodeGateway
from server.wechat.gateway.content import ContentGateway, ContentScene, Suggestion, Verdict
from server.wechat.gateway.links import LinkGateway
from server.wechat.gateway.login import LoginGateway, WeChatSession
from server.wechat.gateway.messages import MessageGateway, SentMessage
from server.wechat.gateway.templates import TemplateGateway
from server.wechat.gateway.upkeep import UpkeepGateway

__all__ = ["ContentScene", "SentMessage", "Suggestion", "Verdict", "WeChatGateway", "WeChatSession"]


class WeChatGateway(
    LoginGateway,
    MessageGateway,
    ContentGateway,
    CodeGateway,
    LinkGateway,
    TemplateGateway,
    UpkeepGateway,
    Protocol,
):
    """The calls the product makes. None may be made inside a transaction, since each waits for the network.

    All may raise ``WeChatUnavailableError`` and ``WeChatMisconfiguredError``.
    """

    @property
    def appid(self) -> str:
        """Return the app these calls are made for."""
        ...
