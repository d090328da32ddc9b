"""Statements that are built once, compiled once for each engine, and run on the driver's own cursor.

SQLAlchemy still says what the SQL is and how each value is stored, so a prepared statement is as portable as any other. What
is left out is what it does again at every execution: finding the compiled form, contexts, result objects. On the hottest reads
and writes that was most of the work of the web.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self, cast

import sqlalchemy
from sqlalchemy.exc import DBAPIError

from server.kernel.forms import Form

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    import sqlalchemy as sa
    from sqlalchemy.engine import Connection, Dialect, Engine
    from sqlalchemy.orm import Session
    from sqlalchemy.pool import PoolProxiedConnection

_IDLE_SECONDS = 5.0
_KEPT_SECONDS = 1800.0
# Under this name a connection of the pool keeps its cursor for prepared statements.
CURSOR = "huiban_cursor"


class Autocommit:
    """A driver's connection on which every statement is a transaction of its own. Only ``Prepared`` statements run on it.

    Unless it is ``durable``, what it writes may be lost when the database itself crashes before any later transaction committed: it is
    for reads then, and for marks that only guard what such a transaction does.

    Arguments:
        engine: whose connection it is.
        info: what a session of the same database carries (the vault, the zone).
        home: where it waits to be used again.
        durable: what it writes is safe on disk before the statement is answered, as with any transaction.
    """

    __slots__ = ("_born", "_home", "_proxied", "_used_at", "broken", "cursor", "engine", "info")

    def __init__(self, engine: Engine, info: dict[Any, Any], home: deque[Autocommit], *, durable: bool = False) -> None:
        self.engine = engine
        self.info = info
        self.broken = False
        self._home = home
        # Detached: it keeps none of the pool's places from the transactions, and the pool made it as it makes all of them.
        proxied: PoolProxiedConnection = engine.raw_connection()
        proxied.detach()
        self._proxied = proxied
        engine.dialect.set_isolation_level(proxied.dbapi_connection, "AUTOCOMMIT")  # type: ignore[arg-type]  # just connected
        self.cursor: Any = _new_cursor(engine.dialect, proxied)
        if engine.dialect.name == "postgresql" and not durable:
            # The log is written in order, so what is written here is safe on disk at the latest with the next transaction that commits:
            # whatever a request does, its nonce is not lost before it. Waiting for the disk twice took longer than all the rest.
            self.cursor.execute("SET synchronous_commit TO off")
        self._born = self._used_at = time.monotonic()

    def __enter__(self) -> Self:
        """Give the connection out; nobody else has it until the end of the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Take it back, unless it is broken."""
        if self.broken:
            self.close()
            return
        self._used_at = time.monotonic()
        self._home.append(self)

    def fit(self) -> bool:
        """Tell whether it can be used again: it is not too old, and if it was idle for a while it still answers."""
        present = time.monotonic()
        if present - self._born > _KEPT_SECONDS:
            return False
        if present - self._used_at < _IDLE_SECONDS:
            return True
        try:
            self.cursor.execute("SELECT 1")
            if self.engine.dialect.name != "postgresql":
                self.cursor.fetchall()
        except self.engine.dialect.loaded_dbapi.Error:
            return False
        return True

    def close(self) -> None:
        """End the connection."""
        self._proxied.close()


def lend(engine: Engine, info: dict[Any, Any], home: deque[Autocommit], *, durable: bool = False) -> Autocommit:
    """Return a connection that waits in ``home`` and is fit, or a new one of the same kind as those."""
    while home:
        try:
            kept = home.pop()
        except IndexError:  # another thread took the last
            break
        if kept.fit():
            return kept
        kept.close()
    return Autocommit(engine, info, home, durable=durable)


class Prepared:
    """A statement whose values are all parameters.

    Arguments:
        statement: built once; ``bindparam`` for every value that changes. No expanding ``IN``, whose text changes with its values.
        columns: of an INSERT without ``values``: which columns it fills.
    """

    def __init__(self, statement: sa.sql.ClauseElement, *, columns: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._columns = columns
        self._forms: dict[tuple[str, Any], Form] = {}

    def all(self, runner: Session | Autocommit, parameters: Mapping[str, Any]) -> list[Any]:
        """Run it and return every row, as named tuples.

        Arguments:
            runner: the session of an open transaction, or a connection that commits each statement.
            parameters: a value for each parameter; further ones are not looked at.

        Raises:
            DBAPIError: as from SQLAlchemy.
        """
        form, answer = self._run(runner, parameters)
        return form.rows(answer)

    def one_or_none(self, runner: Session | Autocommit, parameters: Mapping[str, Any]) -> Any:
        """Run it and return its first row, or None."""
        rows = self.all(runner, parameters)
        return rows[0] if rows else None

    def run(self, runner: Session | Autocommit, parameters: Mapping[str, Any]) -> int:
        """Run it and return how many rows it concerned."""
        return int(self._run(runner, parameters)[1].rowcount)

    def run_each(self, session: Session, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each of several sets of parameters."""
        if len(parameters) == 1:
            self.run(session, parameters[0])
        elif parameters:
            session.execute(self._statement, [dict(each) for each in parameters])  # type: ignore[call-overload]  # an executable

    def last_id(self, runner: Session | Autocommit, parameters: Mapping[str, Any]) -> int:
        """Run it and return what the driver reports as the last inserted id."""
        return int(self._run(runner, parameters)[1].lastrowid or 0)

    def run_last(self, session: Session, parameters: Mapping[str, Any]) -> None:
        """Run it at the end of the transaction, in one trip with the commit where the engine can; nobody waits for its result.

        Whatever else the transaction does comes after it all the same. What it breaks is raised there, or by the commit.
        """
        if session.get_bind().dialect.name == "postgresql":
            self._run(session, parameters, "execute_at_the_end")
        else:
            self.all(session, parameters)

    def _run(self, runner: Session | Autocommit, parameters: Mapping[str, Any], how: str = "execute") -> tuple[Form, Any]:
        place = _Place(runner)
        form, values = self.bound(place, parameters)
        try:
            answer = getattr(place.cursor, how)(form.sql, values)
        except place.dialect.loaded_dbapi.Error as error:
            raise place.wrapped(error, form.sql) from error
        except BaseException:
            place.broken_off()
            raise
        # The cursor for PostgreSQL gives each answer apart; one of a driver's is its own answer.
        return form, answer if place.dialect.name == "postgresql" else place.cursor

    def bound(self, place: _Place, parameters: Mapping[str, Any]) -> tuple[Form, Any]:
        """Return the form for a place, and the values as its cursor takes them."""
        dialect = place.dialect
        form = self._forms.get((dialect.name, dialect.server_version_info))
        if form is None:
            form = self._forms[dialect.name, dialect.server_version_info] = Form(self._statement, self._columns, dialect)
        values = form.bind(parameters)
        for listener in place.engine.dispatch.before_cursor_execute:
            # Who watches the statements of an engine sees these too.
            listener(place.connection, place.cursor, form.sql, values, None, False)
        return form, values


def together(session: Session, work: Sequence[tuple[Prepared, Mapping[str, Any]]]) -> list[list[Any]]:
    """Run several statements in their order, in one trip where the engine can; return the rows of each.

    Arguments:
        session: of an open transaction.
        work: the statements with their parameters; none needs what another gives.

    Raises:
        DBAPIError: as from SQLAlchemy, of the first that failed.
    """
    if session.get_bind().dialect.name != "postgresql":
        return [statement.all(session, parameters) for statement, parameters in work]
    place = _Place(session)
    bound = [statement.bound(place, parameters) for statement, parameters in work]
    try:
        answers = place.cursor.execute_all([(form.sql, values) for form, values in bound])
    except place.dialect.loaded_dbapi.Error as error:
        raise place.wrapped(error, "; ".join(form.sql for form, _ in bound)) from error
    return [form.rows(answer) for (form, _), answer in zip(bound, answers, strict=True)]


class _Place:
    """Where a statement runs."""

    __slots__ = ("connection", "cursor", "dialect", "engine", "runner")

    def __init__(self, runner: Session | Autocommit) -> None:
        self.runner = runner
        self.connection: Connection | None
        if isinstance(runner, Autocommit):
            self.connection, self.cursor, self.engine = None, runner.cursor, runner.engine
        else:
            # What the session still holds back is written first, as it is before its own statements.
            runner.flush()
            self.connection = runner.connection()
            self.cursor, self.engine = _cursor_of(self.connection), self.connection.engine
        self.dialect = self.engine.dialect

    def wrapped(self, error: Exception, sql: str) -> Exception:
        """Return a driver's error as SQLAlchemy would raise it; a connection that is gone is given up."""
        gone = self.dialect.is_disconnect(error, getattr(self.cursor, "connection", None), self.cursor)  # type: ignore[arg-type]  # a driver's
        if gone and self.connection is not None:
            self.connection.invalidate(error)
        elif isinstance(self.runner, Autocommit):
            # Whatever it was: such statements hardly ever fail, and a new connection is surely in order.
            self.runner.broken = True
        return _as_raised(error, sql, self.dialect, gone=gone)

    def broken_off(self) -> None:
        """Note that a statement was broken off in the middle (an interrupt): nobody knows what state the connection is in."""
        if isinstance(self.runner, Autocommit):
            self.runner.broken = True


class PreparedInsert:
    """An INSERT of whole rows: up to eight in one prepared statement, more of them by SQLAlchemy's own way for many.

    Arguments:
        table: every row gives each of its columns.
    """

    TOGETHER = 8

    def __init__(self, table: sa.Table) -> None:
        self._table = table
        self._insert = sqlalchemy.insert(table)
        self._by_count: dict[int, Prepared] = {}

    def run(self, session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows; nothing for none."""
        count = len(rows)
        if count > self.TOGETHER:
            session.execute(self._insert, [dict(row) for row in rows])
        elif count:
            self.of(count).run(session, numbered(rows))

    def of(self, count: int) -> Prepared:
        """Return the statement for so many rows, at most ``TOGETHER``; its parameters are ``numbered`` rows."""
        prepared = self._by_count.get(count)
        if prepared is None:
            prepared = self._by_count[count] = self._for(count)
        return prepared

    def _for(self, count: int) -> Prepared:
        columns = self._table.c
        return Prepared(
            self._insert.values(
                [
                    {column.name: sqlalchemy.bindparam(f"{column.name}_{place}", type_=column.type) for column in columns}
                    for place in range(count)
                ]
            )
        )


def numbered(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the parameters of several rows for one statement."""
    return {f"{name}_{place}": value for place, row in enumerate(rows) for name, value in row.items()}


def _cursor_of(connection: Connection) -> Any:
    info = connection.info
    cursor = info.get(CURSOR)
    if cursor is None:
        # One for the life of the connection: it is used by one thread at a time, and every result is read to its end at once.
        cursor = info[CURSOR] = _new_cursor(connection.dialect, connection.connection)
    return cursor


def _new_cursor(dialect: Dialect, proxied: PoolProxiedConnection) -> Any:
    if dialect.name != "postgresql":
        return proxied.cursor()
    from server.kernel.wire import WireCursor  # noqa: PLC0415 - psycopg is not needed by who has another engine

    return WireCursor(cast("Any", proxied.dbapi_connection))


def catch_up(connection: Connection | None, *_rest: Any) -> None:
    """Before a statement of SQLAlchemy's own, run what waits for the end of the transaction."""
    _wire(connection, "catch_up")


def commit_together(connection: Connection) -> None:
    """At a commit, run what waits for it in the same trip."""
    _wire(connection, "commit")


def roll_back(connection: Connection) -> None:
    """At a rollback, forget what waits for the commit, and keep what the server has prepared."""
    _wire(connection, "roll_back")


def reset(_driver: Any, entry: Any, _state: Any) -> None:
    """Do likewise for a connection that is given back in the middle of a transaction."""
    # One that was taken out of the pool has no entry, and no transactions.
    cursor = entry.info.get(CURSOR) if entry is not None else None
    if cursor is not None:
        cursor.roll_back()


# What a PostgreSQL engine listens to, so that prepared statements keep their place among SQLAlchemy's own.
LISTENERS = (
    ("before_cursor_execute", catch_up),
    ("commit", commit_together),
    ("rollback", roll_back),
    ("reset", reset),
)


def _wire(connection: Connection | None, verb: str) -> None:
    if connection is None or connection.closed or connection.invalidated:
        return
    cursor = connection.info.get(CURSOR)
    if cursor is None:
        return
    dialect = connection.dialect
    try:
        getattr(cursor, verb)()
    except dialect.loaded_dbapi.Error as error:
        raise _as_raised(error, verb, dialect) from error


def _as_raised(error: Exception, sql: str, dialect: Dialect, *, gone: bool = False) -> Exception:
    driver_error = dialect.loaded_dbapi.Error
    return DBAPIError.instance(
        sql, None, error, driver_error, hide_parameters=True, connection_invalidated=gone, dialect=dialect, ismulti=False
    )
