from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from werkzeug.serving import make_server

from server.wechat.emulator.app import create_app
from server.wechat.emulator.platform import Platform
from server.wechat.token_cache import ProcessTokenCache, TokenCache
from server.wechat.wechatpy_gateway import WeChatPyGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.wechat.failures import Observer

APPID, SECRET = "wxtest", "canary-secret"


@dataclass
class Emulator:
    platform: Platform
    base_url: str

    def gateway(self, *, secret: str = SECRET, tokens: TokenCache | None = None, observer: Observer | None = None) -> WeChatPyGateway:
        return WeChatPyGateway(APPID, secret, base_url=self.base_url, tokens=tokens or ProcessTokenCache(), observer=observer)

    def count(self, path: str) -> int:
        return [call.path for call in self.platform.calls].count(path)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    platform = Platform(APPID, SECRET)
    server = make_server("127.0.0.1", 0, create_app(platform), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Emulator(platform, f"http://127.0.0.1:{server.server_port}/")
    server.shutdown()
    thread.join()
    server.server_close()
