"""The adapter over wechatpy 1.8.18, put together from its groups of calls.

To add a call: its promise to a Protocol in ``gateway/``, the call to the group of the same name in ``calls/``, its counterpart
to ``emulator/`` and to the fake of the tests.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from server.wechat.calls.client import Client
from server.wechat.calls.codes import CodeCalls
from server.wechat.calls.content import ContentCalls
from server.wechat.calls.login import LoginCalls
from server.wechat.calls.messages import MessageCalls
from server.wechat.token_cache import ProcessTokenCache, TokenCache, redis_token_cache

if TYPE_CHECKING:
    from config.settings import Settings


class WeChatPyGateway(
    LoginCalls,
    MessageCalls,
    ContentCalls,
    CodeCalls,
):
    """``WeChatGateway`` over the network.

    Arguments:
        appid: of the mini-program.
        secret: its secret.
        base_url: WeChat's address, or an emulator's.
        tokens: where the access token is kept.
        program_state: which release of the mini-program a message opens: ``formal``, ``trial`` or ``developer``.
    """

    def __init__(self, appid: str, secret: str, *, base_url: str, tokens: TokenCache | None = None, program_state: str = "formal") -> None:
        super().__init__(Client(appid, secret, base_url, tokens or ProcessTokenCache()), program_state=program_state)


def gateway_from(settings: Settings) -> WeChatPyGateway:
    """Return the gateway for the configured app, with the token in Redis where there is one."""
    # urllib3 writes whole addresses, and ours carry the secret and the token.
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    tokens = redis_token_cache(settings.redis_url, settings.wechat_appid) if settings.redis_url else ProcessTokenCache()
    return WeChatPyGateway(
        settings.wechat_appid,
        settings.wechat_secret,
        base_url=settings.wechat_api_base,
        tokens=tokens,
        program_state="formal" if settings.production else "developer",
    )
