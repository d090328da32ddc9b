"""The frame every page stands in, for pages that no view of the console renders itself."""

from __future__ import annotations

import hashlib
import secrets
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import current_app, g, render_template, request, session, url_for
from flask_babel import get_locale
from flask_wtf.csrf import generate_csrf

from admin.base import ConsoleView, console_url_or_none, may, signed_in
from admin.menu import build_menu, group_title
from server.staff.permissions import ROLES_BY_CODE

if TYPE_CHECKING:
    from flask import Flask, Response

STATIC = Path(__file__).parent / "static"


def render_shell(template: str, **values: Any) -> str:
    """Render a page inside the shell without a view."""
    return render_template(template, admin_view=None, **values)


def csp_nonce() -> str:
    """Return this request's nonce for inline scripts and styles."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    return str(g.csp_nonce)


@cache
def _version(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]


def asset(name: str) -> str:
    """Return the address of one of our own static files; it changes with the file, so browsers may keep it for a year."""
    return url_for("console_assets.static", filename=name, v=_version(name))


def init_app(app: Flask) -> None:
    """Give the shell's values to the templates, and its headers to the responses."""
    app.context_processor(_values)
    app.after_request(_headers)


def _values() -> dict[str, Any]:
    if not request.path.startswith("/admin"):
        return {}
    staff = signed_in()
    views = [view for view in current_app.extensions["console_views"] if isinstance(view, ConsoleView)]
    return {
        "asset": asset,
        "csp_nonce": csp_nonce,
        "csrf_token": generate_csrf,
        "console_url_or_none": console_url_or_none,
        "may": may,
        "menu": build_menu(views) if staff else [],
        "group_title": group_title,
        "staff": staff,
        "staff_roles": [ROLES_BY_CODE[role].name for role in staff.roles if role in ROLES_BY_CODE] if staff else [],
        "language": "zh" if str(get_locale()).startswith("zh") else "en",
        "page_language": "zh-CN" if str(get_locale()).startswith("zh") else "en",
        "demo": not current_app.extensions["huiban"].settings.production,
        "rise": session.get("rise", "red"),
    }


def _headers(response: Response) -> Response:
    if not request.path.startswith("/admin"):
        return response
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' 'nonce-{csp_nonce()}'; style-src 'self' 'nonce-{csp_nonce()}'; "
        "style-src-attr 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
    )
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
    if current_app.extensions["huiban"].settings.production:
        response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    versioned = request.endpoint in {"console_assets.static", "console_workbench.static"} and response.status_code == 200  # noqa: PLR2004 - found
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if versioned else "no-store"
    return response
