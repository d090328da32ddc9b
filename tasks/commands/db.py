"""``flask --app wsgi db …``: bring the database to the newest migration, tell which it has, and what its role needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

if TYPE_CHECKING:
    from server.bootstrap import Core


def prepare_database(core: Core) -> None:
    """Bring a database to the newest migration; safe from several processes at once, and quick when nothing is to do."""
    from server.migrations import runner  # noqa: PLC0415 - the web builds these commands too and has no use for Alembic

    runner.upgrade(core.db.engine)


command = AppGroup("db", help="Migrations of the database.")


@command.command("upgrade")
def upgrade() -> None:
    """Bring the database to the newest migration."""
    from server.migrations import runner  # noqa: PLC0415 - as above

    core: Core = current_app.extensions["huiban"]
    prepare_database(core)
    click.echo(f"the database is at {runner.current(core.db.engine)}")


@command.command("current")
def current() -> None:
    """Tell which migration the database has; exit 1 when it is not the newest."""
    from server.migrations import runner  # noqa: PLC0415 - as above

    core: Core = current_app.extensions["huiban"]
    has = runner.current(core.db.engine)
    click.echo(has or "none")
    if [has] != runner.heads():
        raise SystemExit(1)


@command.command("grants")
@click.option("--engine", type=click.Choice(["postgresql", "mariadb"]), required=True)
@click.option("--role", help="As the engine writes it; huiban_app unless given.")
def grants(engine: str, role: str | None) -> None:
    """Print the SQL that leaves the application's role what it needs: no change of what is append-only."""
    from server.kernel.grants import grant_statements  # noqa: PLC0415 - as above

    for statement in grant_statements(engine, role or {"postgresql": "huiban_app", "mariadb": "'huiban_app'@'%'"}[engine]):
        click.echo(f"{statement};")
