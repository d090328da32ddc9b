"""The database: one declarative base, column types that mean the same on three engines, and transactions.

What SQLite, PostgreSQL and MariaDB/MySQL do differently stands here, in ``column_types``, ``engines`` and ``prepared``, and
nowhere else.
Edges open exactly one transaction; services take its session and never commit.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from collections import deque
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, registry

from server.kernel.append_only import guarded_tables, refusal_of
from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.kernel.copying import copy_writer
from server.kernel.errors import SavedMeanwhileError
from server.kernel.prepared import Autocommit, Prepared, catch_up, lend

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy.engine import Engine

    from server.kernel.crypto import Vault

Result = TypeVar("Result")
Statement = TypeVar("Statement", bound="sa.Select[*tuple[Any, ...]]")

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


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
        self._driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._info: dict[Any, Any] = {"vault": vault, "zone": zone}
        self._waiting: deque[Autocommit] = deque()
        self._waiting_durable: deque[Autocommit] = deque()

    def close(self) -> None:
        """Give the connections back."""
        self.close_kept()
        self.engine.dispose()

    def close_kept(self) -> None:
        """End the connections for single statements that nobody uses; the engine's own stay."""
        for waiting in (self._waiting, self._waiting_durable):
            while waiting:
                waiting.pop().close()

    def _session(self, engine: Engine) -> Session:
        return Session(engine, expire_on_commit=False, info=self._info)

    def autocommit(self, *, durable: bool = False) -> Autocommit:
        """Lend a connection for prepared statements of which each is a transaction of its own.

        For what every request asks: it costs a fraction of a session. Use it in a ``with`` block.

        Arguments:
            durable: for a statement that is a whole command: it is answered once it is safe on disk.
        """
        return lend(self.engine, self._info, self._waiting_durable if durable else self._waiting, durable=durable)

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
        """Open a session that only reads; on SQLite it takes no write lock.

        Raises:
            DBAPIError: the database failed, or is away.
        """
        # No rollback by hand: it would expire what was read, and closing the session ends the transaction all the same.
        with self._session(self._reader) as session:
            try:
                yield session
            except self._driver_error as error:
                # Making a connection of the pool a reading one asks MariaDB, and SQLAlchemy lets the driver's error for a connection that
                # was cut meanwhile pass as it is: whoever waits for the database to come back would not know it.
                raise OperationalError(None, None, error) from error

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


def zone_of(session: Session | Autocommit) -> ZoneInfo:
    """Return the shop's time zone, which every session and connection of ``Database`` carries."""
    zone: ZoneInfo = session.info["zone"]
    return zone


# --- What the engines say differently ---------------------------------------------------------------------------------

# 1305: a deadlock took the savepoint along with the whole transaction, and what is told is that it cannot be gone back to.
_MYSQL_TRANSIENT = {1205, 1213, 1020, 1305}
_POSTGRES_TRANSIENT = {"40001", "40P01", "55P03"}


def is_transient(error: DBAPIError) -> bool:
    """Tell whether an error is a deadlock, a lock timeout or a busy file: the same work may pass when tried again."""
    original: Any = error.orig
    if getattr(original, "sqlstate", None) in _POSTGRES_TRANSIENT:
        return True
    if isinstance(error, OperationalError) and "locked" in str(original):
        return True
    return bool(getattr(original, "args", None)) and original.args[0] in _MYSQL_TRANSIENT


def is_lock_timeout(error: DBAPIError) -> bool:
    """Tell whether a statement waited too long for a row that another transaction holds (never on SQLite)."""
    original: Any = error.orig
    return getattr(original, "sqlstate", None) == "55P03" or getattr(original, "args", (None,))[:1] == (1205,)


_constraint_errors: dict[str, type[Exception]] = {}


def register_constraint(name: str, error: type[Exception]) -> None:
    """Say which domain error a broken constraint means.

    Arguments:
        name: the constraint's full name, or ``table.column`` for a SQLite unique constraint (it reports no names).
        error: raised, without arguments, at the transaction's boundary.
    """
    _constraint_errors[name] = error


def register_version(table: str) -> None:
    """Say that a table holds versions numbered by ``version``: who writes one that was written meanwhile is told so.

    Arguments:
        table: its name; ``version`` is its primary key or unique in it.
    """
    for name in (f"pk_{table}", f"uq_{table}_version"):
        register_constraint(name, SavedMeanwhileError)


def constraint_of(error: DBAPIError) -> str | None:
    """Return the name of the constraint that was broken, as well as the engine tells it.

    MariaDB reports a broken CHECK as an OperationalError, hence any DBAPIError is taken. SQLite names a CHECK but reports
    a UNIQUE by its columns (``table.a, table.b``); those come back as ``uq_table_a_b``. MariaDB calls every primary key
    ``PRIMARY``; it comes back as ``pk_table``.
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
    name = next((group for group in found.groups() if group), None) if found else None
    written = re.match(r"INSERT INTO (\w+)", error.statement or "") if name == "PRIMARY" else None
    return f"pk_{written.group(1)}" if written else name


def error_of_constraint(error: DBAPIError) -> Exception | None:
    """Return the domain error registered for a broken constraint, or None."""
    name = constraint_of(error)
    known = _constraint_errors.get(name) if name else None
    return known() if known else None


def insert_if_absent(session: Session | Autocommit, model: type[Base], values: Mapping[str, Any]) -> bool:
    """Insert one row unless a unique key already holds it; wait for a concurrent insert of the same key to end.

    Arguments:
        session: of an open transaction, or a connection on which the insert is a transaction of its own.
        model: whose table; its key is a single column. The table may be append-only.
        values: column name → value, the key included: a new id, or a natural key that may be there already.

    Returns:
        True when this call inserted the row.
    """
    table = cast("sa.Table", model.__table__)
    return _insert_one_absent(session, table, values)


def absent(session: Session, model: type[Base], values: Mapping[str, Any]) -> tuple[Prepared, Mapping[str, Any]]:
    """Return the statement of ``insert_if_absent``, for who runs it together with others and need not know whether it inserted.

    Arguments:
        session: any of the database.
        model: whose table; not an append-only one.
        values: as for ``insert_if_absent``.
    """
    return _insert_one(cast("sa.Table", model.__table__), session.get_bind().dialect.name, tuple(values)), values


def insert_all_absent(session: Session, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert the rows whose unique keys are still free, in one statement.

    Returns:
        How many were inserted.
    """
    if not rows:
        return 0
    table = cast("sa.Table", model.__table__)
    dialect = session.get_bind().dialect.name
    if len(rows) == 1 or (table.name in guarded_tables() and dialect not in {"postgresql", "sqlite"}):
        return sum(_insert_one_absent(session, table, row) for row in rows)
    key = next(iter(table.primary_key.columns))
    # The values are parameters, never part of the statement: a statement with values in it would be compiled anew at every call.
    if dialect in {"postgresql", "sqlite"}:
        return len(session.execute(_insert_absent(table, key, dialect), [dict(row) for row in rows]).all())
    session.execute(_PRESENT_NONE)
    session.execute(_insert_absent(table, key, dialect), [dict(row) for row in rows])
    return len(rows) - int(session.scalar(_PRESENT_COUNT) or 0)


# MariaDB and MySQL count a row that was there as affected (SQLAlchemy sets CLIENT.FOUND_ROWS), INSERT IGNORE would turn errors of
# every kind into warnings, and a plain INSERT that fails keeps a shared lock, on which two that lost the race then block each other. So
# the rows that were there are counted where they are met, in the connection's last insert id, which no table of ours uses.
_PRESENT_NONE = sa.text("SELECT LAST_INSERT_ID(0)")
_PRESENT_COUNT = sa.text("SELECT LAST_INSERT_ID()")
_PRESENT = "LAST_INSERT_ID(LAST_INSERT_ID() + 1)"
_PRESENT_ONE = "LAST_INSERT_ID(1)"
_SIGNALLED = 1644


def _insert_one_absent(runner: Session | Autocommit, table: sa.Table, row: Mapping[str, Any]) -> bool:
    engine = runner.engine if isinstance(runner, Autocommit) else runner.get_bind()
    dialect = engine.dialect.name
    insert = _insert_one(table, dialect, tuple(row))
    if dialect in {"postgresql", "sqlite"}:
        return bool(insert.all(runner, row))
    try:
        return not insert.last_id(runner, row)
    except DBAPIError as error:
        # The guard of an append-only table stops the idle update, and so tells that the row is there. Only the statement is undone.
        original: Any = error.orig
        if original.args == (_SIGNALLED, refusal_of(table.name)):
            return False
        raise


@lru_cache(maxsize=256)
def _insert_one(table: sa.Table, dialect: str, columns: tuple[str, ...]) -> Prepared:
    return Prepared(_insert_absent(table, next(iter(table.primary_key.columns)), dialect, _PRESENT_ONE), columns=columns)


@lru_cache(maxsize=256)
def _insert_absent(table: sa.Table, key: sa.Column[Any], dialect: str, present: str = _PRESENT) -> Any:
    if dialect in {"postgresql", "sqlite"}:
        insert = (postgresql if dialect == "postgresql" else sqlite).insert(table)
        return insert.on_conflict_do_nothing().returning(key)
    kept = sa.case((sa.literal_column(present) > sa.literal_column("0"), key), else_=key)
    return mysql.insert(table).on_duplicate_key_update({key.name: kept})


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
    catch_up(connection)
    names = list(rows[0])
    writers = [copy_writer(table.c[name].type, connection.dialect) for name in names]
    columns = ", ".join(connection.dialect.identifier_preparer.quote(name) for name in names)
    statement = f"COPY {table.name} ({columns}) FROM STDIN"
    pairs = list(zip(names, writers, strict=True))
    text = "\n".join(["\t".join(["\\N" if (value := row[name]) is None else write(value) for name, write in pairs]) for row in rows])
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(text + "\n")
    except driver_error(session) as error:
        # COPY passes SQLAlchemy by, so its errors are put into the words that everybody else gets.
        raise DBAPIError.instance(statement, None, error, driver_error(session), hide_parameters=True) from error


def plan_anew(session: Session) -> None:
    """Let the engine plan every statement of this transaction for the tables as they are now.

    For work that fills tables from nothing: PostgreSQL keeps the plan of a statement that came often, and one made for an empty table
    reads all of it, over and over, when it is large. The other engines plan at every call.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_PLAN_ANEW)


_PLAN_ANEW = sa.text("SET LOCAL plan_cache_mode TO force_custom_plan")


def driver_error(session: Session) -> type[Exception]:
    """Return the base of the errors that the session's driver raises."""
    found: type[Exception] = session.get_bind().dialect.loaded_dbapi.Error
    return found


def one_of(session: Session, column: Any, values: Collection[Any]) -> sa.ColumnElement[bool]:
    """Return the condition that a column is one of many values.

    ``IN`` with hundreds of parameters is read anew by PostgreSQL's driver and planned anew at every call; an array is one parameter.

    Arguments:
        session: any.
        column: of a model or table.
        values: may be empty.
    """
    if session.get_bind().dialect.name == "postgresql":
        array: sa.ColumnElement[bool] = column == sa.any_(sa.bindparam(None, list(values), type_=postgresql.ARRAY(column.type)))
        return array
    found: sa.ColumnElement[bool] = column.in_(list(values))
    return found


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
