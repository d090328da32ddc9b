"""``flask --app wsgi staff …``: the first account of a new deployment, before anybody can log in to make one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import AppGroup

from server.kernel.actors import SystemActor
from server.kernel.errors import DomainError
from server.staff import service

if TYPE_CHECKING:
    from server.bootstrap import Core


command = AppGroup("staff", help="Look after staff accounts.")


@command.command("create")
@click.option("--email", required=True, help="the log-in name")
@click.option("--name", required=True, help="shown to colleagues and in the trail")
@click.option(
    "--role", "roles", multiple=True, required=True, help="operations, service, store, admin, security or auditor; may be repeated"
)
@click.password_option(help="asked for when left out, which keeps it out of the shell's history")
def create(email: str, name: str, roles: tuple[str, ...], password: str) -> None:
    """Open an account; the second factor is set up at the first log-in."""
    core: Core = current_app.extensions["huiban"]
    try:
        with core.db.transaction() as session:
            service.create(
                session,
                email=email,
                name=name,
                password=password,
                roles=roles,
                actor=SystemActor("flask staff create"),
                reason="command line",
                now=core.clock.now(),
            )
    except DomainError as refusal:
        wrong = "; ".join(f"{field}: {message}" for field, message in refusal.fields.items())
        raise click.ClickException(f"{refusal}{f' ({wrong})' if wrong else ''}") from refusal
    click.echo(f"created {email}")
