"""``flask --app wsgi queues …``: the state of the outbox, and putting dead deliveries back to work."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING
from uuid import UUID

import click
from flask import current_app
from flask.cli import AppGroup

from server.audit import service as audit
from server.kernel.actors import SystemActor
from server.operations import queries, service

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core


command = AppGroup("queues", help="Look after the outbox.")


@command.command("health")
def health() -> None:
    """Print how much waits, was given up or is uncertain; exit 1 when anything needs a person."""
    core: Core = current_app.extensions["huiban"]
    with core.db.reading() as session:
        state = queries.queue_health(session, core.clock.now())
    for name, value in asdict(state).items():
        click.echo(f"{name}: {value}")
    if state.dead or state.uncertain:
        raise SystemExit(1)


@command.command("stuck")
def stuck() -> None:
    """List deliveries that were given up or are uncertain."""
    core: Core = current_app.extensions["huiban"]
    with core.db.reading() as session:
        for row in queries.stuck_deliveries(session):
            click.echo(f"{row.id} {row.state} {row.subscription} attempts={row.attempts} {row.error or ''}")


@command.command("retry")
@click.argument("delivery_id", type=click.UUID)
def retry(delivery_id: UUID) -> None:
    """Put one dead delivery back to work."""
    core: Core = current_app.extensions["huiban"]

    def work(session: Session) -> None:
        now = core.clock.now()
        service.retry_delivery(session, delivery_id, now=now)
        audit.record(
            session, actor=SystemActor("flask queues"), action="delivery.retry", subject_type="delivery", subject_id=delivery_id, now=now
        )

    core.db.run(work)
    click.echo("ok")
