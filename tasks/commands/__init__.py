"""The command line: every module here with a click command named ``command`` becomes one of ``flask --app wsgi …``."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask


def init_app(app: Flask) -> None:
    """Register the commands of this folder."""
    for module in pkgutil.iter_modules(__path__):
        command = getattr(import_module(f"{__name__}.{module.name}"), "command", None)
        if command is not None:
            app.cli.add_command(command)
