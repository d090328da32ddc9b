"""Rate limits for each caller: a token where one is shown, otherwise the network address.

Counted in the memory of each web process, so that a Redis that is down neither refuses nor delays a member; with N processes a caller may
reach N times the rate. The limit stops loops and scripts, it is not a quota: stock and per-member limits are constraints of the database.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from flask import request
from flask_limiter import Limiter
from flask_limiter.errors import RateLimitExceeded
from limits import parse_many

from miniprogram_api.problems import problem_of
from server.kernel.errors import TooManyError

if TYPE_CHECKING:
    from apiflask import APIFlask
    from flask import Response

_LIMITED = ("/api/", "/partner/")
_LOG_IN = "v1_auth.wechat"


def init_app(app: APIFlask, *, member_rate: str, login_rate: str) -> Rate | None:
    """Limit the calls of members and partners.

    Arguments:
        app: the web application, blueprints registered.
        member_rate: for each caller, such as ``1200 per minute``; empty switches the limits off.
        login_rate: log-ins from one network address.

    Returns:
        What counts the calls, for who answers before Flask; None without limits.
    """
    if not member_rate:
        return None
    limiter = Limiter(
        key_func=_caller,
        app=app,
        storage_uri="memory://",
        strategy="fixed-window",
        default_limits=[member_rate],
        headers_enabled=False,
    )
    limiter.request_filter(_is_free)
    # By name, so that a log-in that is renamed stops the start instead of losing its limit.
    log_in = app.view_functions[_LOG_IN]
    app.view_functions[_LOG_IN] = limiter.limit(login_rate)(log_in)  # type: ignore[assignment]  # the decorator also takes async views
    app.register_error_handler(RateLimitExceeded, _on_limit)
    return Rate(limiter, member_rate)


class Rate:
    """The members' rate, counted together with the calls that take Flask's way.

    Arguments:
        limiter: whose counts.
        rate: as it was configured.
    """

    def __init__(self, limiter: Limiter, rate: str) -> None:
        self._strategy = limiter.limiter
        self._items = parse_many(rate)

    @staticmethod
    def caller(environ: dict[str, Any]) -> str:
        """Return who calls, as it is counted."""
        shown = environ.get("HTTP_AUTHORIZATION") or environ.get("HTTP_X_HUIBAN_KEY")
        if shown:
            return hashlib.sha256(shown.encode()).hexdigest()
        return environ.get("REMOTE_ADDR") or "unknown"

    def has_room(self, caller: str, endpoint: str) -> bool:
        """Tell whether a caller may call once more, without counting."""
        return all(self._strategy.test(item, caller, endpoint) for item in self._items)

    def count(self, caller: str, endpoint: str) -> bool:
        """Count a call; False when others of the same caller were faster and it is one too many."""
        # Every one is counted, whichever is over.
        return all([self._strategy.hit(item, caller, endpoint) for item in self._items])  # noqa: C419 - as said


def _caller() -> str:
    return Rate.caller(request.environ)


def _is_free() -> bool:
    return not request.path.startswith(_LIMITED)


def _on_limit(error: RateLimitExceeded) -> Response:
    expiry = error.limit.limit.get_expiry() if error.limit is not None else 60
    return problem_of(TooManyError(retry_after_seconds=int(expiry)))
