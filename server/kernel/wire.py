"""A cursor on PostgreSQL for prepared statements alone: libpq's own calls, without what psycopg's cursor does anew at every execution.

psycopg's cursor reads the statement, looks for it among those it prepared, chooses how to write each value and waits in Python. A
statement that is built once needs none of it: it is prepared under a name of ours on each connection, its values go as text, and
the answer is read by psycopg's own loaders, so that a value comes back as from any other cursor. Several statements may go
together, in one trip to the server and back.
"""

from __future__ import annotations

import itertools
import select
import uuid
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

_IDLE = pq.TransactionStatus.IDLE
_OPEN = frozenset({pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR})
_SYNC = pq.ExecStatus.PIPELINE_SYNC
_GOOD = frozenset({pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK})
# The server has forgotten the statement, or what it reads has other columns than when it was prepared (a migration on a running product).
_TO_PREPARE_ANEW = frozenset({"26000", "0A000"})
_names = itertools.count(1)


class Answer:
    """What came back for one statement, as a cursor gives it."""

    __slots__ = ("_reader", "_result")

    lastrowid = 0

    def __init__(self, result: Any, reader: Any) -> None:
        self._result = result
        self._reader = reader

    @property
    def rowcount(self) -> int:
        """How many rows the statement concerned."""
        return self._result.command_tuples or 0

    @property
    def description(self) -> list[tuple[str, int]]:
        """Name and type of each column."""
        result = self._result
        return [((result.fname(place) or b"").decode(), result.ftype(place)) for place in range(result.nfields)]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows."""
        result = self._result
        self._reader.set_pgresult(result)
        rows: list[tuple[Any, ...]] = self._reader.load_rows(0, result.ntuples, tuple)
        return rows


class WireCursor:
    """What ``Prepared`` needs of a cursor.

    Arguments:
        driver: psycopg's connection. One thread at a time uses it, as any other.
    """

    __slots__ = ("_driver", "_names", "_poll", "_pq", "_reader", "_waiting")

    def __init__(self, driver: psycopg.Connection[Any]) -> None:
        self._driver = driver
        self._pq: Any = driver.pgconn
        self._names = _kept_by(driver)
        self._reader: Any = Transformer(driver)
        self._poll = select.poll()
        self._waiting: list[tuple[bytes, list[bytes | None]]] = []

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """The driver's connection."""
        return self._driver

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Answer:
        """Run a statement and what waited before it; in a transaction that has not begun, begin it in the same trip.

        Arguments:
            sql: with ``$1``, ``$2``… for its values.
            values: of plain types.

        Raises:
            psycopg.Error: as from any cursor.
        """
        name = self._names.get(sql) or self._prepare(sql)
        given = _written(values)
        if self._waiting or (self._pq.transaction_status == _IDLE and not self._driver.autocommit):
            waiting, self._waiting = self._waiting, []
            return Answer(self._together([*waiting, (name, given)])[-1], self._reader)
        return Answer(self._checked(self._pq.exec_prepared(name, given)), self._reader)

    def execute_all(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[Answer]:
        """Run several statements in one trip, in their order; the first that fails is the last that was done.

        Raises:
            psycopg.Error: of the first that failed.
        """
        results = self._together([(self._names.get(sql) or self._prepare(sql), _written(values)) for sql, values in statements])
        return [Answer(result, self._reader) for result in results]

    def execute_at_the_end(self, sql: str, values: Sequence[Any]) -> None:
        """Run a statement together with the commit, or before the next statement when there is one."""
        self._waiting.append((self._names.get(sql) or self._prepare(sql), _written(values)))

    def catch_up(self) -> None:
        """Run what waits for the end, now."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._together(waiting)

    def commit(self) -> None:
        """Run what waits and commit, in one trip; nothing when nothing waits, for then the driver commits as always.

        Raises:
            psycopg.Error: as from any statement, or from the commit.
        """
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._together(waiting, b"COMMIT")

    def roll_back(self) -> None:
        """Forget what waits and roll back. Psycopg's own rollback would have the server forget every statement as well."""
        self._waiting.clear()
        if self._pq.transaction_status in _OPEN:
            self._checked(self._pq.exec_(b"ROLLBACK"))

    def _prepare(self, sql: str) -> bytes:
        # The name is never used again, so a statement that is still there is in nobody's way.
        name = b"huiban_%d" % next(_names)
        self._checked(self._pq.prepare(name, sql.encode()))
        self._names[sql] = name
        return name

    def _checked(self, result: Any) -> Any:
        if result.status in _GOOD:
            return result
        error = error_from_result(result)
        if error.sqlstate in _TO_PREPARE_ANEW:
            self._names.clear()
        raise error

    def _together(self, statements: Sequence[tuple[bytes, list[bytes | None]]], last: bytes | None = None) -> list[Any]:
        connection = self._pq
        begins = connection.transaction_status == _IDLE and not self._driver.autocommit
        try:
            connection.enter_pipeline_mode()
            if begins:
                connection.send_query_params(_begin(self._driver), None)
            for name, given in statements:
                connection.send_query_prepared(name, given)
            if last is not None:
                connection.send_query_params(last, None)
            connection.pipeline_sync()
            results = self._answers()
            connection.exit_pipeline_mode()
        except BaseException:
            # Broken off in the middle: nobody knows what is still on its way.
            self._driver.close()
            raise
        for result in results:
            self._checked(result)
        return results[1:] if begins else results

    def _answers(self) -> list[Any]:
        connection = self._pq
        poll = self._poll
        poll.register(connection.socket, select.POLLIN | select.POLLOUT)
        while connection.flush():
            poll.poll()
            connection.consume_input()
        poll.modify(connection.socket, select.POLLIN)
        results: list[Any] = []
        while True:
            while connection.is_busy():
                poll.poll()
                connection.consume_input()
            result = connection.get_result()
            if result is None:
                continue
            if result.status == _SYNC:
                return results
            results.append(result)


def _kept_by(driver: psycopg.Connection[Any]) -> dict[str, bytes]:
    """Return the names of the statements that are prepared on a connection; it is emptied when psycopg has the server forget them.

    Psycopg says ``DEALLOCATE ALL`` after a savepoint was rolled back or an object dropped, and tells nobody; hence its own manager
    is listened to.
    """
    names: dict[str, bytes] = {}
    manager = driver._prepared  # noqa: SLF001 - there is no public way, and a test holds this one
    clear = manager.clear

    def clear_all() -> bool:
        cleared = clear()
        if cleared:
            names.clear()
        return cleared

    manager.clear = clear_all  # type: ignore[method-assign]  # of this connection alone
    return names


def _begin(driver: psycopg.Connection[Any]) -> bytes:
    level = driver.isolation_level
    return b"BEGIN" if level is None else b"BEGIN ISOLATION LEVEL " + level.name.replace("_", " ").encode()


def _text(value: str) -> bytes:
    written = value.encode()
    if b"\0" in written:
        # libpq would end the text there.
        message = "PostgreSQL text fields cannot contain NUL (0x00) bytes"
        raise psycopg.DataError(message)
    return written


class _Writers(dict[type, Callable[[Any], bytes]]):
    """How a value of each type is written; one of a subclass as its base."""

    def __missing__(self, kind: type) -> Callable[[Any], bytes]:
        for base in kind.__mro__[1:]:
            if base in self:
                self[kind] = self[base]
                return self[base]
        message = f"a prepared statement does not know how to write {kind.__name__}"
        raise TypeError(message)


_WRITERS = _Writers(
    {
        str: _text,
        int: lambda value: b"%d" % value,
        bool: lambda value: b"t" if value else b"f",
        uuid.UUID: lambda value: value.hex.encode(),
        datetime: lambda value: str(value).encode(),
        date: lambda value: str(value).encode(),
        bytes: lambda value: b"\\x" + value.hex().encode(),
        psycopg.Binary: lambda value: b"\\x" + bytes(value.obj).hex().encode(),
        Decimal: lambda value: str(value).encode(),
        float: lambda value: repr(value).encode(),
    }
)


def _written(values: Sequence[Any]) -> list[bytes | None]:
    writers = _WRITERS
    return [None if value is None else writers[value.__class__](value) for value in values]
