"""``flask --app wsgi tiers …``: work out the growth of stored orders, and prove the books of growth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

from server.tiers import proofs
from tasks.jobs.tiers import build_growth

if TYPE_CHECKING:
    from server.bootstrap import Core


command = AppGroup("tiers", help="Look after growth and tiers.")


@command.command("build")
def build() -> None:
    """Work out the growth of orders that have none, after an import or the first rule; safe to repeat and to interrupt."""
    core: Core = current_app.extensions["huiban"]
    total = 0
    while done := build_growth(core):
        total += done
    click.echo(f"{total} orders were worked out")


@command.command("prove")
def prove() -> None:
    """Compare every cached growth with its ledger; exit 1 and list what differs."""
    core: Core = current_app.extensions["huiban"]
    with core.db.reading() as session:
        drifts = proofs.prove(session)
    for drift in drifts:
        click.echo(str(drift))
    if drifts:
        raise SystemExit(1)
    click.echo("growth = ledger for every member")
