"""The staff console at ``/admin/``: Flask-Admin underneath, our own shell on top.

Every module of ``admin.views`` that has a ``VIEWS`` list is a part of it; see ``docs/extend-console.md`` for how to add one.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, request, session
from flask_admin import Admin
from flask_admin.theme import Bootstrap4Theme

from admin import auth, formats, readonly, shell
from admin.base import safe_next

if TYPE_CHECKING:
    from flask import Flask
    from flask.typing import ResponseReturnValue


def init_app(app: Flask) -> None:
    """Register the console with an application whose core is in ``app.extensions["huiban"]``."""
    from admin.views.workbench import WorkbenchView  # noqa: PLC0415 - views stand on this package

    assets = Blueprint("console_assets", __name__, static_folder="static", static_url_path="/admin/assets", template_folder="templates")
    if hasattr(assets, "enable_openapi") or app.__class__.__name__ == "APIFlask":
        assets.enable_openapi = False  # type: ignore[attr-defined]  # APIFlask would look for schemas
    assets.add_url_rule("/admin/language/<code>", "language", _language)
    assets.add_url_rule("/admin", "root", _root)
    app.register_blueprint(assets)
    readonly.init_app(app)
    auth.init_app(app)
    formats.init_app(app)
    views = collect_views()
    app.extensions["console_views"] = views
    console = Admin(
        name="Huiban 会伴",
        theme=Bootstrap4Theme(base_template="console/base.html"),
        csp_nonce_generator=shell.csp_nonce,
        index_view=next(view for view in views if isinstance(view, WorkbenchView)),
    )
    console.add_views(*(view for view in views if not isinstance(view, WorkbenchView)))
    console.init_app(app)
    shell.init_app(app)


def collect_views() -> list[Any]:
    """Return a new instance of every view: each item of each module's ``VIEWS`` is a view class or a function that makes a view."""
    package = importlib.import_module(f"{__name__}.views")
    found: list[Any] = []
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        part = importlib.import_module(f"{package.__name__}.{module.name}")
        found.extend(make() for make in getattr(part, "VIEWS", ()))
    return found


def _language(code: str) -> ResponseReturnValue:
    """Switch the console's language and go back to the page it was asked on."""
    session["language"] = "en" if code == "en" else "zh_CN"
    return redirect(safe_next(request.args.get("next"), "/admin/"))


def _root() -> ResponseReturnValue:
    return redirect("/admin/")
