"""``flask --app wsgi init``: the first start of a deployment, safe to repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import with_appcontext

from server.flows import first_start
from server.kernel.actors import SystemActor
from tasks.commands.db import prepare_database

if TYPE_CHECKING:
    from server.bootstrap import Core


@click.command("init")
@with_appcontext
def command() -> None:
    """Bring the database up to date, make tiers and earning rules where there are none, and say what is left to do."""
    core: Core = current_app.extensions["huiban"]
    prepare_database(core)
    made = core.db.run(lambda session: first_start.prepare(session, actor=SystemActor("flask init"), now=core.clock.now()))
    click.echo(f"tiers defined: {made.tiers}, earning rules written: {made.rules}")
    if not made.staffed:
        click.echo("to do: open the first account with: flask --app wsgi staff create --role security …")
    if not made.templates:
        click.echo("to do: choose WeChat's message templates in the console; until then messages stand in the inbox only")
