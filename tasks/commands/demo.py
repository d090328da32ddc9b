"""``flask --app wsgi demo``: load the demonstration and show its log-ins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import with_appcontext

from tasks.demo import load_demo

if TYPE_CHECKING:
    from server.bootstrap import Core


@click.command("demo")
@with_appcontext
def command() -> None:
    """Load the demonstration, once for each database, and print its log-ins."""
    core: Core = current_app.extensions["huiban"]
    if core.settings.production:
        raise click.ClickException("the demonstration is never loaded in production")
    click.echo(json.dumps(load_demo(core), ensure_ascii=False, indent=2))
