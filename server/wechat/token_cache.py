"""Where the access token is kept between calls: in Redis for all processes, or within this one.

Invariant: however many workers find no token at once, one of them fetches it and the others wait for that. WeChat is
asked in the stable mode (``/cgi-bin/stable_token``), which returns the same token as long as it is valid, so that
a fetch by two is wasteful but never harmful; that is why a broken Redis only costs calls.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import redis
import structlog

from server.kernel.ids import new_token
from server.wechat.gateway.upkeep import TokenState

_log = structlog.get_logger("wechat")

# WeChat renews a token during its last five minutes, so it is not trusted longer than up to them.
_RENEWAL_SECONDS = 300
_SHORTEST_SECONDS = 30
_LOCK_SECONDS = 20
_POLL_SECONDS = 0.05
_WAIT_SECONDS = 14.0
# So long a process believes in the token it saw last. Asking Redis with each of five hundred calls a second was a fifth of their cost;
# a token that is no longer good is told by WeChat itself, and dropped.
_BELIEVED_SECONDS = 5.0

# Delete the key only while it still holds our value: a lock or token that changed meanwhile is somebody else's.
_DELETE_IF_SAME = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"


@dataclass(frozen=True, slots=True)
class FreshToken:
    """A token as WeChat gave it.

    Arguments:
        token: opaque, up to 512 characters.
        expires_in_seconds: how long it lives from now.
    """

    token: str
    expires_in_seconds: int

    @property
    def keep_seconds(self) -> int:
        """Return how long it may be kept."""
        return max(self.expires_in_seconds - _RENEWAL_SECONDS, _SHORTEST_SECONDS)


Fetch = Callable[[], FreshToken]


class TokenCache(Protocol):
    """Keeps one app's token."""

    def get(self, fetch: Fetch) -> str:
        """Return the token, fetched by one caller when there is none."""
        ...

    def drop(self, token: str) -> None:
        """Forget this token, unless a newer one is kept by now."""
        ...

    def state(self) -> TokenState:
        """Tell about the token, without the token."""
        ...


class ProcessTokenCache:
    """Keeps the token within this process.

    Arguments:
        seconds: a clock that only ever moves forward.
    """

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._token: str | None = None
        self._until = 0.0
        self._since = 0.0

    def get(self, fetch: Fetch) -> str:
        """Return the token, fetched by one thread when there is none."""
        with self._lock:
            if self._token is None or self._seconds() >= self._until:
                fresh = fetch()
                self._since = self._seconds()
                self._token, self._until = fresh.token, self._since + fresh.keep_seconds
            return self._token

    def drop(self, token: str) -> None:
        """Forget this token, unless a newer one is kept by now."""
        with self._lock:
            if self._token == token:
                self._token = None

    def state(self) -> TokenState:
        """Tell about the token of this process."""
        with self._lock:
            at = self._seconds()
            if self._token is None or at >= self._until:
                return TokenState(kept=False, shared=False)
            return TokenState(kept=True, shared=False, age_seconds=int(at - self._since), left_seconds=int(self._until - at))


class RedisTokenCache:
    """Keeps the token for all processes that share a Redis.

    Arguments:
        client: with short timeouts; it may answer bytes or text.
        appid: whose token.
    """

    def __init__(self, client: redis.Redis, appid: str) -> None:
        self._redis: Any = client
        self._key = f"huiban:wechat:{appid}:token"
        self._lock_key = f"{self._key}:lock"
        self._since_key = f"{self._key}:since"
        self._fallback = ProcessTokenCache()
        self._seen: tuple[str, float] | None = None

    def get(self, fetch: Fetch) -> str:
        """Return the token, fetched by one worker when there is none; without Redis, from this process alone."""
        seen = self._seen
        if seen is not None and time.monotonic() < seen[1]:
            return seen[0]
        try:
            token = self._shared(fetch)
        except redis.RedisError as error:
            _log.warning("wechat.token_cache_unreachable", error=type(error).__name__)
            return self._fallback.get(fetch)
        self._seen = (token, time.monotonic() + _BELIEVED_SECONDS)
        return token

    def _shared(self, fetch: Fetch) -> str:
        deadline = time.monotonic() + _WAIT_SECONDS
        while True:
            kept = self._redis.get(self._key)
            if kept is not None:
                return _text(kept)
            mine = new_token()
            if self._redis.set(self._lock_key, mine, nx=True, ex=_LOCK_SECONDS):
                try:
                    return self._fill(fetch)
                finally:
                    self._redis.eval(_DELETE_IF_SAME, 1, self._lock_key, mine)
            if time.monotonic() >= deadline:
                # Whoever holds the lock hangs; a fetch of our own returns the same token.
                return fetch().token
            time.sleep(_POLL_SECONDS)

    def _fill(self, fetch: Fetch) -> str:
        kept = self._redis.get(self._key)
        if kept is not None:
            return _text(kept)
        fresh = fetch()
        self._redis.set(self._since_key, int(time.time()), ex=fresh.keep_seconds)
        self._redis.set(self._key, fresh.token, ex=fresh.keep_seconds)
        return fresh.token

    def state(self) -> TokenState:
        """Tell about the shared token; without Redis, about this process's."""
        try:
            left = int(self._redis.ttl(self._key))
            if left <= 0:
                return TokenState(kept=False, shared=True)
            since = self._redis.get(self._since_key)
        except redis.RedisError:
            return self._fallback.state()
        age = int(time.time()) - int(since) if since is not None else 0
        return TokenState(kept=True, shared=True, age_seconds=max(age, 0), left_seconds=left)

    def drop(self, token: str) -> None:
        """Forget this token, unless a newer one is kept by now."""
        self._fallback.drop(token)
        seen = self._seen
        if seen is not None and seen[0] == token:
            self._seen = None
        try:
            self._redis.eval(_DELETE_IF_SAME, 1, self._key, token)
        except redis.RedisError as error:
            _log.warning("wechat.token_cache_unreachable", error=type(error).__name__)


def redis_token_cache(url: str, appid: str) -> RedisTokenCache:
    """Return a cache in the Redis at an address; a Redis that hangs holds no request longer than a second."""
    client = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
    return RedisTokenCache(client, appid)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
