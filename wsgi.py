"""The composition root of the web: builds the application, and nothing at import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from apiflask import APIFlask
from flask import Flask, Request, Response, g, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_babel import Babel
from werkzeug.middleware.proxy_fix import ProxyFix

import admin
import miniprogram_api
import tasks.commands
from config.locale import LOCALE_DIR, ensure_compiled, select_locale
from config.logging import bind_request, configure_logging
from config.settings import load_settings
from miniprogram_api import hot, limits, operation
from miniprogram_api.context import request_id_of
from server.bootstrap import Core, build_core
from server.kernel import idempotency

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings

_MAX_BODY_BYTES = 12 * 1024 * 1024
_CONSOLE = "/admin"


class ConsoleSessions(SecureCookieSessionInterface):
    """Sessions in signed cookies for the console; the API knows no cookies, so its requests open none."""

    def open_session(self, app: Flask, request: Request) -> SessionMixin | None:  # type: ignore[override]  # the null session is one
        """Open the session of a request to the console."""
        return super().open_session(app, request) if request.path.startswith(_CONSOLE) else self.make_null_session(app)


class Web(APIFlask):
    """The web application."""

    session_interface = ConsoleSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is: none of ours is asynchronous, and asking a dozen times a request costs."""
        return func


_SAFE_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
    # An answer for programs is no page: whatever a browser is made to take it for, nothing in it runs and nothing frames it.
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cache-Control", "no-store"),
)
_TLS = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")


def create_app(settings: Settings | None = None, *, core: Core | None = None) -> APIFlask:
    """Build the web application.

    Arguments:
        settings: checked settings; read from the environment when neither they nor a core are given.
        core: a core that exists already (tests).

    Raises:
        UnsafeSettingsError: when the environment is not fit to start with.
    """
    if core is None:
        settings = settings or load_settings()
        configure_logging(settings.log_level, settings.log_format)
        core = build_core(settings, lock_wait_seconds=idempotency.WAIT_SECONDS)
    settings = core.settings
    app = Web(
        __name__,
        title="Huiban 会伴",
        version="1.0",
        spec_path="/openapi.json",
        docs_path=None,
        json_errors=False,
        static_folder=None,  # type: ignore[arg-type]  # Flask takes None for «no static files»; APIFlask's hint is narrower
    )
    app.config.update(
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=_MAX_BODY_BYTES,
        BABEL_DEFAULT_LOCALE="zh_CN",
        BABEL_TRANSLATION_DIRECTORIES=str(LOCALE_DIR),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.production,
    )
    app.extensions["huiban"] = core
    ensure_compiled()
    Babel(app, locale_selector=select_locale, default_timezone=settings.timezone)
    app.before_request(_open_request)
    app.after_request(_close_request)
    if settings.production:
        app.after_request(_insist_on_tls)
    operation.init_app(app)
    miniprogram_api.init_app(app)
    rate = limits.init_app(app, member_rate=settings.rate_limit, login_rate=settings.login_rate_limit)
    _add_console(app)
    tasks.commands.init_app(app)
    hot.init_app(app, core, rate=rate, headers=[*_SAFE_HEADERS, _TLS] if settings.production else _SAFE_HEADERS)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]  # Flask's documented way
    return app


def _add_console(app: APIFlask) -> None:
    """Add the console, whose hooks leave the API alone: finding out who is signed in was half the cost of a small request."""
    hooks: tuple[Any, Any] = (app.before_request_funcs, app.after_request_funcs)
    known = [len(kept[None]) for kept in hooks]
    admin.init_app(app)
    for kept, count in zip(hooks, known, strict=True):
        kept[None][count:] = [_for_console(hook) for hook in kept[None][count:]]


def _for_console(hook: Callable[..., Any]) -> Callable[..., Any]:
    def run(*response: Response) -> Any:
        if request.path.startswith(_CONSOLE):
            return hook(*response)
        return response[0] if response else None

    return run


def _open_request() -> None:
    # Each look through Flask's proxies costs as much as the look itself.
    asked: Request = cast("Any", request)._get_current_object()  # noqa: SLF001 - Werkzeug's documented way
    g.request_id = request_id_of(asked.headers.get("X-Request-Id", ""))
    bind_request(g.request_id, asked.method, asked.path)


def _close_request(response: Response) -> Response:
    headers = response.headers
    headers["X-Request-Id"] = g.get("request_id", "")
    for name, value in _SAFE_HEADERS:
        if name not in headers:
            headers.add(name, value)
    return response


def _insist_on_tls(response: Response) -> Response:
    response.headers.setdefault(*_TLS)
    return response
