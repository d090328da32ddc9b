"""Runs and writes migrations without a web application: for the supervisor, the command line and the tests."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import server
from server.kernel.append_only import trigger_statements
from server.kernel.db import JsonDocument, UtcDateTime, UuidType

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext
    from alembic.operations import Operations
    from sqlalchemy.engine import Engine

_HERE = Path(__file__).parent
_LOCK_SECONDS = 10


def load_models() -> None:
    """Import every module that declares tables, so that the metadata is whole."""
    for module in pkgutil.walk_packages(server.__path__, "server."):
        if module.name.rpartition(".")[2] == "models" or module.name.startswith("server.kernel."):
            importlib.import_module(module.name)


def configuration(**attributes: Any) -> Config:
    """Return Alembic's configuration for this folder."""
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("path_separator", "os")
    config.attributes.update(attributes)
    return config


def upgrade(engine: Engine) -> None:
    """Bring a database to the newest migration; safe to run from several processes at once.

    A PostgreSQL advisory lock, a MariaDB named lock or SQLite's write lock lets one run and the others wait. Waiting for a table's lock is
    bounded, so that a migration never holds up the members' requests behind it.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard:
        _take_lock(guard)
        try:
            with engine.connect() as connection:
                command.upgrade(configuration(connection=connection), "head")
                connection.commit()
        finally:
            _release_lock(guard)


def current(engine: Engine) -> str | None:
    """Return the newest migration that a database has."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def heads() -> list[str]:
    """Return the newest migrations there are; more than one is a mistake."""
    return list(ScriptDirectory.from_config(configuration()).get_heads())


def _take_lock(guard: sa.Connection) -> None:
    dialect = guard.dialect.name
    if dialect == "postgresql":
        guard.exec_driver_sql("SET lock_timeout = 0")
        guard.exec_driver_sql("SELECT pg_advisory_lock(4851001)")
    elif dialect in {"mysql", "mariadb"}:
        guard.exec_driver_sql("SELECT GET_LOCK('huiban_migrations', 600)")


def _release_lock(guard: sa.Connection) -> None:
    dialect = guard.dialect.name
    if dialect == "postgresql":
        guard.exec_driver_sql("SELECT pg_advisory_unlock(4851001)")
        guard.exec_driver_sql(f"SET lock_timeout = '{_LOCK_SECONDS}s'")
    elif dialect in {"mysql", "mariadb"}:
        guard.exec_driver_sql("SELECT RELEASE_LOCK('huiban_migrations')")


def render_item(kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:
    """Write our own column types into migrations by name."""
    if kind == "type" and isinstance(item, (UuidType, UtcDateTime, JsonDocument)):
        context.imports.add("from server.kernel.db import JsonDocument, UtcDateTime, UuidType")
        return f"{type(item).__name__}()"
    return False


def guard_append_only(op: Operations, *tables: str) -> None:
    """Make tables append-only within a migration."""
    for table in tables:
        for statement in trigger_statements(table, op.get_bind().dialect.name):
            op.get_bind().exec_driver_sql(statement)
