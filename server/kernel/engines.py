"""How connections are made: one set-up for SQLite, PostgreSQL and MariaDB/MySQL, so that a transaction means the same on each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

from server.kernel.prepared import LISTENERS

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

LOCK_WAIT_SECONDS = 8
_IDLE_SECONDS = 5.0


def make_engine(url: str, *, pool_size: int = 8, lock_wait_seconds: int = LOCK_WAIT_SECONDS) -> Engine:
    """Return an engine set up alike for all three databases.

    SQLite gets WAL, enforced foreign keys and ``BEGIN IMMEDIATE`` for writers; the others READ COMMITTED, UTC and a
    lock timeout, so that no request waits for a lock without end.

    Arguments:
        url: SQLAlchemy URL (``sqlite:///…``, ``postgresql+psycopg://…``, ``mysql+pymysql://…``).
        pool_size: connections kept by this process.
        lock_wait_seconds: how long a statement waits for a row that another transaction holds (not SQLite, which has one writer).
    """
    parsed = sa.make_url(url)
    backend = parsed.get_backend_name()
    # Values are personal as often as not: a failure names its statement, never what it was given.
    options: dict[str, Any] = {"hide_parameters": True}
    if backend == "sqlite":
        # autocommit on the driver: its own implicit BEGIN comes too late and loses savepoints.
        options["connect_args"] = {"timeout": 15, "isolation_level": None, "check_same_thread": False}
        if parsed.database not in {None, "", ":memory:"}:
            options.update(pool_size=pool_size, max_overflow=pool_size)
    else:
        options.update(pool_size=pool_size, max_overflow=pool_size, isolation_level="READ COMMITTED", pool_recycle=1800)
    if backend == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        options["connect_args"] = {"options": f"-c timezone=UTC -c lock_timeout={lock_wait_seconds}s", "connect_timeout": 5}
    elif backend in {"mysql", "mariadb"}:
        parsed = parsed.set(drivername=f"{backend}+pymysql").update_query_dict({"charset": "utf8mb4"})
        options["connect_args"] = {
            "init_command": f"SET time_zone='+00:00', innodb_lock_wait_timeout={lock_wait_seconds}, "
            "sql_mode='STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO'",
            "connect_timeout": 5,
        }
    engine = sa.create_engine(parsed, **options)
    if backend == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", _ping_idle)
    if backend == "postgresql":
        for name, listener in LISTENERS:
            event.listen(engine, name, listener)
    return engine


def _note_use(_connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
    entry.info["used_at"] = time.monotonic()


def _ping_idle(connection: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: Any) -> None:
    # SQLAlchemy's pre-ping asks at every checkout, a third of the cost of a short request. A connection that was used a moment ago
    # lives, or the request fails with 503 and the pool is emptied.
    used_at = entry.info.get("used_at")
    if used_at is None or time.monotonic() - used_at < _IDLE_SECONDS:
        return
    cursor = connection.cursor()
    try:
        cursor.execute("SELECT 1")
        cursor.fetchall()
        connection.rollback()
    except Exception as error:
        raise sa.exc.DisconnectionError from error
    finally:
        cursor.close()


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=15000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads first and writes later fails with SQLITE_BUSY whatever the timeout.
    reading = connection.get_execution_options().get("huiban_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
