"""The HTTP of members (``/api/v1``), of partners (``/partner/v1``) and of those who call us back (``/callbacks``).

Handlers read the request, open exactly one transaction, call one service or flow, and shape the answer. No rule lives here.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from miniprogram_api import openapi, problems

if TYPE_CHECKING:
    from apiflask import APIBlueprint, APIFlask


def init_app(app: APIFlask) -> None:
    """Register every blueprint: each module of ``v1``, ``partner`` and ``callbacks`` that has a ``bp``."""
    problems.init_app(app)
    openapi.init_app(app)
    for blueprint in blueprints():
        app.register_blueprint(blueprint)


def blueprints() -> list[APIBlueprint]:
    """Return the blueprints found, in order of their modules' names. Each carries its full ``url_prefix``."""
    found = []
    for part in ("v1", "partner", "callbacks"):
        package = importlib.import_module(f"{__name__}.{part}")
        for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
            blueprint = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "bp", None)
            if blueprint is not None:
                found.append(blueprint)
    return found
