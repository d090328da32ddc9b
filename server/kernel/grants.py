"""What the application's own role may do in the database: everything it needs, and nothing that would change what is append-only.

Triggers refuse a change of an append-only table to everybody; without the privilege the application could not even drop the triggers, or
pass by them. Migrations are run by the owner of the tables, and what is granted is granted anew after each.
"""

from __future__ import annotations

from server.kernel.append_only import guarded_tables
from server.kernel.db import Base

# Alembic's own table: the application reads how far the database is.
_VERSIONS = "alembic_version"


def grant_statements(dialect: str, role: str) -> list[str]:
    """Return the statements that leave a role exactly what the application needs, whatever it had before.

    They are run by the owner in the application's database, after its migrations. All models are loaded.

    Arguments:
        dialect: ``postgresql``, or ``mariadb`` for MySQL too.
        role: as the engine writes it (``huiban_app``; ``'huiban_app'@'%'``), from our own hands, never input.

    Raises:
        ValueError: an engine that knows no roles.
    """
    guarded = sorted(guarded_tables())
    free = sorted(set(Base.metadata.tables) - set(guarded))
    cleared = {
        "postgresql": [f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}", f"GRANT USAGE ON SCHEMA public TO {role}"],
        "mariadb": [f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {role}"],
    }
    if dialect not in cleared:
        message = f"{dialect} has no roles"
        raise ValueError(message)
    return [
        *cleared[dialect],
        f"GRANT SELECT ON {_VERSIONS} TO {role}",
        *(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}" for table in free),
        # So "insert unless it is there" is beyond an append-only table on MariaDB, which says it by an update.
        *(f"GRANT SELECT, INSERT ON {table} TO {role}" for table in guarded),
    ]
