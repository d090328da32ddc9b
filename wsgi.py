"""The composition root of the web: builds the application, and nothing at import."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from apiflask import APIFlask
from flask import Response, g, request
from flask_babel import Babel
from werkzeug.middleware.proxy_fix import ProxyFix

import admin
import miniprogram_api
import tasks.commands
from config.locale import LOCALE_DIR, ensure_compiled, select_locale
from config.logging import bind_request, configure_logging
from config.settings import load_settings
from miniprogram_api import limits, operation
from server.bootstrap import Core, build_core

if TYPE_CHECKING:
    from config.settings import Settings

_MAX_BODY_BYTES = 12 * 1024 * 1024


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
        core = build_core(settings)
    settings = core.settings
    app = APIFlask(
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
    operation.init_app(app)
    miniprogram_api.init_app(app)
    limits.init_app(app, member_rate=settings.rate_limit, login_rate=settings.login_rate_limit)
    admin.init_app(app)
    tasks.commands.init_app(app)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]  # Flask's documented way
    return app


def _open_request() -> None:
    given = request.headers.get("X-Request-Id", "")
    fit = 8 <= len(given) <= 64 and given.replace("-", "").isalnum() and given.isascii()  # noqa: PLR2004 - 8 to 64 characters
    g.request_id = given if fit else secrets.token_hex(16)
    bind_request(g.request_id, request.method, request.path)


def _close_request(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("X-Frame-Options", "DENY")
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response
