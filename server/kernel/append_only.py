"""Tables whose rows are never changed or removed, held so by triggers on every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from server.kernel.db import Base

_guarded: list[str] = []


def append_only(model: type[Base]) -> None:
    """Guard a model's table: ``create_all`` then makes the triggers, as the migrations do."""
    table = sa.inspect(model).local_table
    name = str(getattr(table, "name", ""))
    _guarded.append(name)

    def create(_target: sa.Table, connection: Connection, **_options: Any) -> None:
        for statement in trigger_statements(name, connection.dialect.name):
            connection.exec_driver_sql(statement)

    event.listen(table, "after_create", create)


def guarded_tables() -> tuple[str, ...]:
    """Return the names of all guarded tables."""
    return tuple(_guarded)


def refusal_of(table: str) -> str:
    """Return what the guard of a table says when it refuses."""
    return f"{table} is append-only"


def trigger_statements(table: str, dialect: str) -> list[str]:
    """Return the statements that make one table append-only on one engine.

    Arguments:
        table: a name from our own models, never input.
        dialect: SQLAlchemy's dialect name.
    """
    refusal = refusal_of(table)
    if dialect == "postgresql":
        return [
            (
                f"CREATE OR REPLACE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN RAISE EXCEPTION '{refusal}'; END $$"
            ),
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_append_only()",
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()",
        ]
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
            for verb in ("UPDATE", "DELETE")
        ]
    return [
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{refusal}'"
        for verb in ("UPDATE", "DELETE")
    ]
