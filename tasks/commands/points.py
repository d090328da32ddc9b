"""``flask --app wsgi points …``: prove the books, after a restore or whenever one wants to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

from server.points import queries

if TYPE_CHECKING:
    from server.bootstrap import Core


command = AppGroup("points", help="Look after the points' ledger.")


@command.command("prove")
def prove() -> None:
    """Compare balance, lots and ledger for every member; exit 1 and list what differs."""
    core: Core = current_app.extensions["huiban"]
    with core.db.reading() as session:
        drifts = queries.prove(session)
    for drift in drifts:
        click.echo(str(drift))
    if drifts:
        raise SystemExit(1)
    click.echo("balance = lots = ledger for every member")
