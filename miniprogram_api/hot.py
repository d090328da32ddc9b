"""The home page before Flask: the hottest answer by far, and most of its cost was finding the way to it.

What Flask's way does for ``GET /api/v1/me`` is done here by the same functions: guard and page in one statement of ``flows.home``, rate,
request id, log, metrics, headers. Only the plain, good answer is given here. Whatever is out of the ordinary (no token or one that is
not good, a caller who knocks too often, a query string, a failure) is left to Flask's way, which asks everything again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from config.logging import bind_request
from miniprogram_api import operation
from miniprogram_api.context import request_id_of
from miniprogram_api.idempotent import to_json
from miniprogram_api.v1.me import home_body
from server.files import service as files
from server.flows import home as home_flow
from server.kernel.ids import token_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from uuid import UUID

    from apiflask import APIFlask

    from miniprogram_api.limits import Rate
    from server.bootstrap import Core

    Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_PATH = "/api/v1/me"
_ENDPOINT = "v1_me.home"


def init_app(app: APIFlask, core: Core, *, rate: Rate | None, headers: Sequence[tuple[str, str]]) -> None:
    """Answer the home page before Flask does.

    Arguments:
        app: the web application, blueprints registered.
        core: what it stands on.
        rate: how often a caller may ask, counted where Flask's way counts; None for no limit.
        headers: what every answer carries.

    Raises:
        LookupError: the page has another address or name by now.
    """
    if not any((rule.rule, rule.endpoint) == (_PATH, _ENDPOINT) for rule in app.url_map.iter_rules()):
        raise LookupError(_ENDPOINT)
    app.wsgi_app = _Home(app.wsgi_app, core, rate, headers)  # type: ignore[method-assign]  # Flask's documented way


class _Home:
    def __init__(self, wsgi: Wsgi, core: Core, rate: Rate | None, headers: Sequence[tuple[str, str]]) -> None:
        self._wsgi = wsgi
        self._core = core
        self._rate = rate
        self._headers = [("Content-Type", "application/json"), *headers]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == _PATH and environ["REQUEST_METHOD"] == "GET" and not environ.get("QUERY_STRING"):
            scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
            if scheme.lower() == "bearer" and token:
                answer = self._answer(environ, token)
                if answer is not None:
                    body, headers = answer
                    start_response("200 OK", headers)
                    return [body]
        return self._wsgi(environ, start_response)

    def _answer(self, environ: dict[str, Any], token: str) -> tuple[bytes, list[tuple[str, str]]] | None:
        started = time.perf_counter()
        core, rate = self._core, self._rate
        caller = rate.caller(environ) if rate is not None else ""
        if rate is not None and not rate.has_room(caller, _ENDPOINT):
            return None
        try:
            present = core.clock.now()
            with core.db.autocommit() as runner:
                page = home_flow.of_token(runner, token_hash(token.strip()), now=present)
            if page is None:
                return None

            def address(upload_id: UUID) -> str:
                return files.signed_address(upload_id, secret_key=core.settings.secret_key, now=present)

            body = to_json(home_body(page, address))
        except Exception:  # noqa: BLE001 - Flask's way meets it again, and tells and records it as any failure
            return None
        if rate is not None and not rate.count(caller, _ENDPOINT):
            return None
        request_id = request_id_of(environ.get("HTTP_X_REQUEST_ID", ""))
        bind_request(request_id, "GET", _PATH)
        operation.count(_PATH, "GET", 200, time.perf_counter() - started)
        return body, [*self._headers, ("Content-Length", str(len(body))), ("X-Request-Id", request_id)]
