"""The database: one declarative base, column types that mean the same on three engines, and transactions.

Dialect differences between SQLite, PostgreSQL and MariaDB/MySQL live in this module and nowhere else.
Edges open exactly one transaction; services take its session and never commit.
"""

from __future__ import annotations

import json
import random
import re
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, registry
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Connection, Dialect, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

    from server.kernel.crypto import Vault

Result = TypeVar("Result")

_IDLE_SECONDS = 5.0
Statement = TypeVar("Statement", bound="sa.Select[*tuple[Any, ...]]")

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class UuidType(TypeDecorator[uuid.UUID]):
    """A UUID: native on PostgreSQL, sixteen bytes elsewhere."""

    impl = sa.LargeBinary(16)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        """Return the column type of one engine."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.UUID(as_uuid=True))
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.BINARY(16))
        return dialect.type_descriptor(sa.LargeBinary(16))

    def process_bind_param(self, value: uuid.UUID | None, dialect: Dialect) -> Any:
        """Turn a UUID into what the engine stores."""
        if value is None or dialect.name == "postgresql":
            return value
        return value.bytes

    def process_result_value(self, value: Any, dialect: Dialect) -> uuid.UUID | None:  # noqa: ARG002 - per engine
        """Turn what the engine stored into a UUID."""
        if value is None or isinstance(value, uuid.UUID):
            return value
        return uuid.UUID(bytes=bytes(value))


class UtcDateTime(TypeDecorator[datetime]):
    """An instant in UTC to the microsecond; aware in Python, refused when naive.

    ``timestamptz`` on PostgreSQL, ``DATETIME(6)`` on MariaDB, ISO text of fixed width on SQLite.
    """

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        """Return the column type of one engine."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True, precision=6))
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware instant into what the engine stores."""
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"an instant needs a time zone: {value!r}"
            raise ValueError(message)
        instant = value.astimezone(UTC)
        return instant if dialect.name == "postgresql" else instant.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Turn what the engine stored into an aware instant in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JsonDocument(TypeDecorator[Any]):
    """A JSON document: a snapshot or a rule, never anything that is queried."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        """Return the column type of one engine."""
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.LONGTEXT())
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - any JSON
        """Turn a document into text, keys in order so that equal documents are equal texts."""
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - any JSON
        """Turn text back into the document."""
        return None if value is None else json.loads(value)


class Base(DeclarativeBase):
    """The base of every model. A model of a domain is private to that domain's service and queries."""

    registry = registry(
        metadata=sa.MetaData(naming_convention=NAMING),
        type_annotation_map={
            uuid.UUID: UuidType(),
            datetime: UtcDateTime(),
            int: sa.BigInteger(),
            str: sa.String(191),
            dict[str, Any]: JsonDocument(),
            list[Any]: JsonDocument(),
        },
    )
    __table_args__: Any = {  # noqa: RUF012 - SQLAlchemy asks for a plain dictionary here
        "mysql_engine": "InnoDB",
        "mysql_charset": "utf8mb4",
        "mysql_collate": "utf8mb4_bin",
    }


def table_args(*constraints: sa.schema.SchemaItem) -> tuple[Any, ...]:
    """Return ``__table_args__`` for a model with constraints and indexes, the engine options included."""
    return (*constraints, Base.__table_args__)


def make_engine(url: str, *, pool_size: int = 8) -> Engine:
    """Return an engine set up alike for all three databases.

    SQLite gets WAL, enforced foreign keys and ``BEGIN IMMEDIATE`` for writers; the others READ COMMITTED, UTC and a
    lock timeout, so that no request waits for a lock without end.

    Arguments:
        url: SQLAlchemy URL (``sqlite:///…``, ``postgresql+psycopg://…``, ``mysql+pymysql://…``).
        pool_size: connections kept by this process.
    """
    parsed = sa.make_url(url)
    backend = parsed.get_backend_name()
    options: dict[str, Any] = {}
    if backend == "sqlite":
        # autocommit on the driver: its own implicit BEGIN comes too late and loses savepoints.
        options["connect_args"] = {"timeout": 15, "isolation_level": None, "check_same_thread": False}
        if parsed.database not in {None, "", ":memory:"}:
            options.update(pool_size=pool_size, max_overflow=pool_size)
    else:
        options.update(pool_size=pool_size, max_overflow=pool_size, isolation_level="READ COMMITTED", pool_recycle=1800)
    if backend == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        options["connect_args"] = {"options": "-c timezone=UTC -c lock_timeout=8s", "connect_timeout": 5}
    elif backend in {"mysql", "mariadb"}:
        parsed = parsed.set(drivername=f"{backend}+pymysql").update_query_dict({"charset": "utf8mb4"})
        options["connect_args"] = {
            "init_command": "SET time_zone='+00:00', innodb_lock_wait_timeout=8, "
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


class Database:
    """Opens sessions. One for each process; the composition root owns it.

    Arguments:
        engine: from ``make_engine``.
        vault: seals and opens personal columns; every session carries it.
        zone: the shop's time zone; every session carries it.
    """

    def __init__(self, engine: Engine, vault: Vault, zone: ZoneInfo) -> None:
        self.engine = engine
        self.vault = vault
        self.zone = zone
        # Under READ COMMITTED every statement sees its own snapshot in a transaction or out of it, so reading needs no BEGIN.
        sqlite_file = engine.dialect.name == "sqlite"
        self._reader = engine.execution_options(**({"huiban_reading": True} if sqlite_file else {"isolation_level": "AUTOCOMMIT"}))

    def _session(self, engine: Engine) -> Session:
        return Session(engine, expire_on_commit=False, info={"vault": self.vault, "zone": self.zone})

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open a session of its own that commits at the end, or rolls back when anything is raised.

        Raises:
            DomainError: a named constraint that was broken, as the error registered for it.
        """
        with self._session(self.engine) as session:
            try:
                yield session
                session.commit()
            except DBAPIError as error:
                session.rollback()
                known = error_of_constraint(error)
                if known is not None:
                    raise known from error
                raise

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that only reads; on SQLite it takes no write lock."""
        # No rollback by hand: it would expire what was read, and closing the session ends the transaction all the same.
        with self._session(self._reader) as session:
            yield session

    def run(self, work: Callable[[Session], Result], *, attempts: int = 5) -> Result:
        """Do one piece of work in a transaction, and again when the engine broke it off for a deadlock.

        Only for work without side effects outside the database: everything of a broken attempt was rolled back.

        Arguments:
            work: gets the session, must not commit.
            attempts: how often to try in all.

        Returns:
            What ``work`` returned in the attempt that was committed.
        """
        for attempt in range(1, attempts + 1):
            try:
                with self.transaction() as session:
                    return work(session)
            except DBAPIError as error:
                if attempt == attempts or not is_transient(error):
                    raise
                time.sleep(random.uniform(0.005, 0.03) * attempt)  # noqa: S311 - spreads retries, guards nothing
        raise AssertionError  # pragma: no cover - the last attempt returns or raises


def zone_of(session: Session) -> ZoneInfo:
    """Return the shop's time zone, which every session of ``Database`` carries."""
    zone: ZoneInfo = session.info["zone"]
    return zone


# --- What the engines say differently ---------------------------------------------------------------------------------

_MYSQL_TRANSIENT = {1205, 1213, 1020}
_POSTGRES_TRANSIENT = {"40001", "40P01", "55P03"}


def is_transient(error: DBAPIError) -> bool:
    """Tell whether an error is a deadlock, a lock timeout or a busy file: the same work may pass when tried again."""
    original: Any = error.orig
    if getattr(original, "sqlstate", None) in _POSTGRES_TRANSIENT:
        return True
    if isinstance(error, OperationalError) and "locked" in str(original):
        return True
    return bool(getattr(original, "args", None)) and original.args[0] in _MYSQL_TRANSIENT


_constraint_errors: dict[str, type[Exception]] = {}


def register_constraint(name: str, error: type[Exception]) -> None:
    """Say which domain error a broken constraint means.

    Arguments:
        name: the constraint's full name, or ``table.column`` for a SQLite unique constraint (it reports no names).
        error: raised, without arguments, at the transaction's boundary.
    """
    _constraint_errors[name] = error


def constraint_of(error: DBAPIError) -> str | None:
    """Return the name of the constraint that was broken, as well as the engine tells it.

    MariaDB reports a broken CHECK as an OperationalError, hence any DBAPIError is taken. SQLite names a CHECK but reports
    a UNIQUE by its columns (``table.a, table.b``); those come back as ``uq_table_a_b``.
    """
    original: Any = error.orig
    diagnostics = getattr(original, "diag", None)
    if diagnostics is not None and diagnostics.constraint_name:
        return str(diagnostics.constraint_name)
    text = str(original)
    found = re.search(r"UNIQUE constraint failed: ([\w., ]+)", text)
    if found:
        columns = [column.split(".") for column in found.group(1).split(", ")]
        return "_".join(["uq", columns[0][0], *(column[-1] for column in columns)])
    found = re.search(r"CHECK constraint failed: (\w+)|for key '(?:\w+\.)?(\w+)'|CONSTRAINT `(\w+)`", text)
    return next((group for group in found.groups() if group), None) if found else None


def error_of_constraint(error: DBAPIError) -> Exception | None:
    """Return the domain error registered for a broken constraint, or None."""
    name = constraint_of(error)
    known = _constraint_errors.get(name) if name else None
    return known() if known else None


def insert_if_absent(session: Session, model: type[Base], values: Mapping[str, Any]) -> bool:
    """Insert one row unless a unique key already holds it; wait for a concurrent insert of the same key to end.

    Arguments:
        session: of an open transaction.
        model: whose table; its key is a single column.
        values: column name → value, the key (a new id) included.

    Returns:
        True when this call inserted the row.
    """
    return insert_all_absent(session, model, [values]) == 1


def insert_all_absent(session: Session, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows whose unique keys are still free, in one statement.

    Returns:
        How many were inserted.
    """
    if not rows:
        return 0
    table = cast("sa.Table", model.__table__)
    key = next(iter(table.primary_key.columns))
    dialect = session.get_bind().dialect.name
    statement = _insert_absent(table, key, dialect)
    # The values are parameters, never part of the statement: a statement with values in it would be compiled anew at every call.
    parameters: Any = dict(rows[0]) if len(rows) == 1 else [dict(row) for row in rows]
    if dialect in {"postgresql", "sqlite"}:
        return len(session.execute(statement, parameters).all())
    # Not INSERT IGNORE, which would turn errors of every kind into warnings; and since a row that was there counts as
    # matched, ours are told by their keys, which were made before the insert.
    session.execute(statement, parameters)
    ours = [row[key.name] for row in rows]
    return int(session.scalar(sa.select(sa.func.count()).select_from(table).where(key.in_(ours))) or 0)


@lru_cache(maxsize=256)
def _insert_absent(table: sa.Table, key: sa.Column[Any], dialect: str) -> Any:
    if dialect in {"postgresql", "sqlite"}:
        insert = (postgresql if dialect == "postgresql" else sqlite).insert(table)
        return insert.on_conflict_do_nothing().returning(key)
    return mysql.insert(table).on_duplicate_key_update({key.name: key})


def insert_rows(session: Session, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert many rows by the engine's fastest way: ``COPY`` on PostgreSQL, many rows in one statement elsewhere.

    Arguments:
        session: of an open transaction.
        model: whose table.
        rows: column name → value; every row has the same columns, and defaults are not filled in.
    """
    if not rows:
        return
    table: Any = sa.inspect(model).local_table
    if session.get_bind().dialect.name != "postgresql":
        session.execute(sa.insert(table), list(rows))
        return
    connection = session.connection()
    names = list(rows[0])
    # What SQLAlchemy would do to each value of an INSERT, COPY has to be given done.
    converters = [table.c[name].type.dialect_impl(connection.dialect).bind_processor(connection.dialect) for name in names]
    columns = ", ".join(connection.dialect.identifier_preparer.quote(name) for name in names)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([row[name] if convert is None else convert(row[name]) for name, convert in zip(names, converters, strict=True)])


def update_where(session: Session, statement: sa.Update, parameters: Mapping[str, Any] | None = None) -> int:
    """Run a conditional UPDATE and return how many rows met the condition.

    Arguments:
        session: of an open transaction.
        statement: the UPDATE; one of a model is not synchronised with the objects of the session.
        parameters: values of a statement that was built once, by the names of its ``bindparam``.

    On MariaDB the driver reports matched rows (SQLAlchemy sets CLIENT.FOUND_ROWS), as the other engines do.
    """
    result: Any = session.execute(statement, dict(parameters) if parameters else None, execution_options={"synchronize_session": False})
    return int(result.rowcount)


def lock_skipping(statement: Statement) -> Statement:
    """Lock the rows a statement finds and pass over those another transaction has locked.

    SQLite has one writer at a time (``BEGIN IMMEDIATE``) and renders no lock clause at all.
    """
    return statement.with_for_update(skip_locked=True)
