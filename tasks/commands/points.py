"""``flask --app wsgi points …``: prove the books, after a restore or whenever one wants to know; bring balances of an older system."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

from server.flows import opening
from server.kernel.actors import StaffActor
from server.kernel.errors import DomainError
from server.points import month_queries, openings, queries
from server.staff import queries as staff

if TYPE_CHECKING:
    from server.bootstrap import Core


command = AppGroup("points", help="Look after the points' ledger.")


@command.command("prove")
def prove() -> None:
    """Compare balance, lots and ledger for every member; exit 1 and list what differs."""
    core: Core = current_app.extensions["huiban"]
    with core.db.reading() as session:
        drifts = [*queries.prove(session), *month_queries.prove_months(session)]
    for drift in drifts:
        click.echo(str(drift))
    if drifts:
        raise SystemExit(1)
    click.echo("balance = lots = ledger for every member")


@command.command("import-balances")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--channel", default=opening.DEFAULT_CHANNEL, show_default=True, help="Of the external ids in the file.")
@click.option("--by", required=True, help="E-mail of the staff account that brings it; somebody else has to approve.")
@click.option("--reason", required=True, help="Why; whoever approves reads it.")
@click.option("--preview", is_flag=True, help="Only say what the file would give, and ask nobody.")
def import_balances(file: Path, channel: str, by: str, reason: str, preview: bool) -> None:
    """Bring opening balances from FILE (.csv, .csv.gz or .xlsx); somebody approves them in the console before anybody gets points."""
    core: Core = current_app.extensions["huiban"]
    now = core.clock.now()
    with core.db.reading() as session:
        account = staff.login_account(session, by)
        found = staff.find(session, account.id) if account is not None and account.active else None
    if found is None:
        raise click.BadParameter("no active staff account has this e-mail address", param_hint="--by")
    actor = StaffActor(found.id, found.name)
    try:
        opening_id = core.db.run(lambda session: opening.stage(session, file, name=file.name, channel=channel, actor=actor, now=now))
        with core.db.reading() as session:
            view = openings.find(session, opening_id)
        click.echo(f"{view.balances} balances, {view.points} points; {view.known} taken in before, {len(view.faults)} refused")
        if view.faults:
            errors = file.with_name(f"{file.name}.errors.csv")
            with errors.open("w", encoding="utf-8", newline="") as out:
                csv.writer(out).writerows([["line", "column", "reason"], *view.faults])
            click.echo(f"refused rows: {errors}")
        if not preview:
            asked = core.db.run(lambda session: opening.ask(session, opening_id, reason=reason, actor=actor, now=now))
            click.echo(f"waits for approval in the console: {asked}")
    except DomainError as refusal:
        raise click.ClickException(str(refusal)) from refusal
