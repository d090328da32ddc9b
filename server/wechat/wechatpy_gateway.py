"""The adapter over wechatpy 1.8.18, put together from its groups of calls.

To add a call: its promise to a Protocol in ``gateway/``, the call to the group of the same name in ``calls/``, its counterpart
to ``emulator/`` and to the fake of the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.wechat.calls.client import Client
from server.wechat.calls.codes import CodeCalls
from server.wechat.calls.content import ContentCalls
from server.wechat.calls.links import LinkCalls
from server.wechat.calls.login import LoginCalls
from server.wechat.calls.messages import MessageCalls
from server.wechat.calls.templates import TemplateCalls
from server.wechat.calls.upkeep import UpkeepCalls
from server.wechat.token_cache import ProcessTokenCache, TokenCache, redis_token_cache

if TYPE_CHECKING:
    from config.settings import Settings
    from server.wechat.failures import Observer


class WeChatPyGateway(
    LoginCalls,
    MessageCalls,
    ContentCalls,
    CodeCalls,
    LinkCalls,
    TemplateCalls,
    UpkeepCalls,
):
    """``WeChatGateway`` over the network.

    Arguments:
        appid: of the mini-program.
        secret: its secret.
        base_url: WeChat's address, or an emulator's.
        tokens: where the access token is kept.
        program_state: which release of the mini-program a message opens: ``formal``, ``trial`` or ``developer``.
        observer: hears of every call that failed or was answered.
    """

    def __init__(
        self,
        appid: str,
        secret: str,
        *,
        base_url: str,
        tokens: TokenCache | None = None,
        program_state: str = "formal",
        observer: Observer | None = None,
    ) -> None:
        super().__init__(Client(appid, secret, base_url, tokens or ProcessTokenCache(), observer), program_state=program_state)


def gateway_from(settings: Settings, observer: Observer | None = None) -> WeChatPyGateway:
    """Return the gateway for the configured app, with the token in Redis where there is one.

    Arguments:
        settings: checked settings.
        observer: hears of every call that failed or was answered.
    """
    tokens = redis_token_cache(settings.redis_url, settings.wechat_appid) if settings.redis_url else ProcessTokenCache()
    return WeChatPyGateway(
        settings.wechat_appid,
        settings.wechat_secret,
        base_url=settings.wechat_api_base,
        tokens=tokens,
        program_state="formal" if settings.production else "developer",
        observer=observer,
    )
