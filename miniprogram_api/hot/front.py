"""What stands before Flask: it finds the page for a request, and does around its answer what Flask's way does around each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from werkzeug.http import HTTP_STATUS_CODES

from config.logging import bind_request
from miniprogram_api import operation
from miniprogram_api.context import request_id_of
from miniprogram_api.hot.asked import Answered, Asked
from miniprogram_api.hot.claim import ClaimPage
from miniprogram_api.hot.home import HomePage
from server.kernel.ids import token_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from apiflask import APIFlask

    from miniprogram_api.limits import Rate
    from server.bootstrap import Core

    Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Page(Protocol):
    """One page before Flask. ``rule`` and ``endpoint`` are what Flask knows it by."""

    method: str
    rule: str
    endpoint: str

    def is_at(self, path: str) -> bool:
        """Tell whether an address is this page's."""
        ...

    def answer(self, asked: Asked) -> Answered | None:
        """Return the answer where it is a plain one, else None. Whatever it raises, Flask's way meets again."""
        ...


def init_app(app: APIFlask, core: Core, *, rate: Rate | None, headers: Sequence[tuple[str, str]]) -> None:
    """Answer the hottest pages before Flask does.

    Arguments:
        app: the web application, blueprints registered.
        core: what it stands on.
        rate: how often a caller may ask, counted where Flask's way counts; None for no limit.
        headers: what every answer carries.

    Raises:
        LookupError: a page has another address or name by now.
    """
    pages: list[Page] = [HomePage(core)]
    if core.db.engine.dialect.name == "postgresql":
        pages.append(ClaimPage(core, app))
    known = {(rule.rule, rule.endpoint, method) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    for page in pages:
        if (page.rule, page.endpoint, page.method) not in known:
            raise LookupError(page.endpoint)
    app.wsgi_app = _Front(app.wsgi_app, core, pages, rate, headers)  # type: ignore[method-assign]  # Flask's documented way


class _Front:
    def __init__(self, wsgi: Wsgi, core: Core, pages: Sequence[Page], rate: Rate | None, headers: Sequence[tuple[str, str]]) -> None:
        self._wsgi = wsgi
        self._core = core
        self._pages = pages
        self._rate = rate
        self._headers = list(headers)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ.get("QUERY_STRING"):
            method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
            for page in self._pages:
                if page.method == method and page.is_at(path):
                    answered = self._answered(page, path, environ, start_response)
                    if answered is not None:
                        return answered
                    break
        return self._wsgi(environ, start_response)

    def _answered(self, page: Page, path: str, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes] | None:
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        started = time.perf_counter()
        rate = self._rate
        caller = rate.caller(environ) if rate is not None else ""
        if rate is not None and not rate.has_room(caller, page.endpoint):
            return None
        request_id = request_id_of(environ.get("HTTP_X_REQUEST_ID", ""))
        asked = Asked(environ, path, token_hash(token.strip()), request_id, self._core.clock.now())
        try:
            answer = page.answer(asked)
        except Exception:  # noqa: BLE001 - Flask's way meets it again, and tells and records it as any failure
            return None
        if answer is None:
            return None
        if rate is not None and not rate.count(caller, page.endpoint) and page.method == "GET":
            # Others of the same caller were faster, and it is one too many. A command that was done is answered all the same.
            return None
        bind_request(request_id, page.method, path)
        operation.count(page.rule, page.method, answer.status, time.perf_counter() - started)
        headers = [
            ("Content-Type", answer.content_type),
            *self._headers,
            ("Content-Length", str(len(answer.body))),
            ("X-Request-Id", request_id),
        ]
        start_response(f"{answer.status} {HTTP_STATUS_CODES[answer.status]}", headers)
        return [answer.body]
