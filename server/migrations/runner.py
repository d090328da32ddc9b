"""Runs and writes migrations without a web application: for the supervisor, the command line and the tests."""

from __future__ import annotations

import fcntl
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from server.kernel.append_only import trigger_statements
from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.autogenerate.api import AutogenContext
    from alembic.operations import Operations
    from sqlalchemy.engine import Engine

_HERE = Path(__file__).parent
_WAIT_SECONDS = 600
_one_at_a_time = threading.Lock()


def configuration(**attributes: Any) -> Config:
    """Return Alembic's configuration for this folder."""
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("path_separator", "os")
    config.attributes.update(attributes)
    return config


def upgrade(engine: Engine) -> None:
    """Bring a database to the newest migration; safe to run from several threads, processes and hosts at once.

    One runs, the others wait: for PostgreSQL's advisory lock, MariaDB's named lock or a locked file beside the SQLite database.
    """
    # Alembic keeps the migration that runs in a module of its own, so a process runs one at a time.
    with _one_at_a_time, _only_one_host(engine), engine.connect() as connection:
        command.upgrade(configuration(connection=connection), "head")
        connection.commit()


def current(engine: Engine) -> str | None:
    """Return the newest migration that a database has."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def heads() -> list[str]:
    """Return the newest migrations there are; more than one is a mistake."""
    return list(ScriptDirectory.from_config(configuration()).get_heads())


@contextmanager
def _only_one_host(engine: Engine) -> Iterator[None]:
    dialect = engine.dialect.name
    if dialect == "sqlite":
        with Path(f"{engine.url.database}.migrating").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    take, give = (
        ("SELECT pg_advisory_lock(4851001)", "SELECT pg_advisory_unlock(4851001)")
        if dialect == "postgresql"
        else (f"SELECT GET_LOCK('huiban_migrations', {_WAIT_SECONDS})", "SELECT RELEASE_LOCK('huiban_migrations')")
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard:
        if dialect == "postgresql":
            guard.exec_driver_sql(f"SET lock_timeout = '{_WAIT_SECONDS}s'")
        guard.exec_driver_sql(take)
        try:
            yield
        finally:
            guard.exec_driver_sql(give)
            # The connection goes back to the pool, where the short timeout of requests holds again.
            guard.invalidate()


def render_item(kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:
    """Write our own column types into migrations by name."""
    if kind == "type" and isinstance(item, (UuidType, UtcDateTime, JsonDocument)):
        context.imports.add("from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType")
        return f"{type(item).__name__}()"
    return False


def guard_append_only(op: Operations, *tables: str) -> None:
    """Make tables append-only within a migration."""
    for table in tables:
        for statement in trigger_statements(table, op.get_bind().dialect.name):
            op.get_bind().exec_driver_sql(statement)
