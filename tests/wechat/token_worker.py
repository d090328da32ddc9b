"""One cold worker: waits for a file, asks WeChat for one thing, and says when and with which token. Run as a process of its own."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

from server.wechat.token_cache import redis_token_cache
from server.wechat.wechatpy_gateway import WeChatPyGateway


def main() -> None:
    """Run."""
    base_url, redis_url, appid, secret, gun = sys.argv[1:]
    gateway = WeChatPyGateway(appid, secret, base_url=base_url, tokens=redis_token_cache(redis_url, appid))
    print("ready", flush=True)
    while not Path(gun).exists():
        time.sleep(0.005)
    began = time.perf_counter()
    passed = gateway.check_text("o1", "你好").passed
    token = hashlib.sha256(gateway._client.access_token.encode()).hexdigest()[:12]
    print(passed, token, f"{(time.perf_counter() - began) * 1000:.0f}", flush=True)


if __name__ == "__main__":
    main()
