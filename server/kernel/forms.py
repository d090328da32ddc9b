"""What a prepared statement is for one engine: its text, how values go in, and what its rows mean."""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.expression import ColumnElement


class Form:
    """The compiled form of a statement for one engine."""

    __slots__ = ("_columns", "_dialect", "_processors", "_row", "bind", "sql")

    def __init__(self, statement: Any, columns: Sequence[str] | None, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=None if columns is None else list(columns))
        if compiled.post_compile_params or compiled.literal_execute_params:
            message = f"the text of this statement depends on its values: {compiled}"
            raise ValueError(message)
        self.sql, names = _text_of(compiled, dialect)
        self.bind: Callable[[Mapping[str, Any]], Any] = _binder(compiled, names, dialect)
        self._columns: list[ColumnElement[Any]] = list(statement.exported_columns)
        make: Any = namedtuple  # noqa: PYI024 - its names are known at run time only
        row = make("Row", [str(column.key) for column in self._columns])
        self._row = row._make
        self._processors: list[tuple[int, Callable[[Any], Any]]] | None = None
        self._dialect = dialect

    def rows(self, cursor: Any) -> list[Any]:
        """Return the rows that came back, as what the columns' types mean; none of a statement that gives none."""
        if not self._columns:
            return []
        rows = cursor.fetchall()
        return self._read(rows, cursor) if rows else []

    def _read(self, rows: Sequence[Any], cursor: Any) -> list[Any]:
        processors = self._processors
        if processors is None:
            processors = []
            for place, column in enumerate(self._columns):
                # Some types look at what the driver says the column is, hence at the first result only.
                kind = column.type.dialect_impl(self._dialect)
                found = kind.result_processor(self._dialect, cursor.description[place][1])
                if found is not None:
                    processors.append((place, found))
            self._processors = processors
        make = self._row
        if not processors:
            return [make(row) for row in rows]
        read = []
        for row in rows:
            values = list(row)
            for place, process in processors:
                values[place] = process(values[place])
            read.append(make(values))
        return read


class _Numbers(dict[str, str]):
    """Gives each parameter that a text names a number, in the order in which they are met."""

    def __missing__(self, name: str) -> str:
        number = self[name] = f"${len(self) + 1}"
        return number


def _text_of(compiled: Any, dialect: Dialect) -> tuple[str, list[str]]:
    """Return the text as its engine's cursor wants it, and the names of the parameters in their order."""
    if dialect.name == "postgresql":
        # ``$1``, ``$2``… as PostgreSQL itself writes them.
        numbers = _Numbers()
        return str(compiled) % numbers, list(numbers)
    return str(compiled), list(compiled.positiontup if compiled.positional else compiled.binds)


def _binder(compiled: Any, names: Sequence[str], dialect: Dialect) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that turns parameters into what the driver takes."""
    wanted: list[tuple[str, str | None, Callable[[Any], Any] | None, Any]] = []
    defaults = {column.key: column.default for column in (*compiled.insert_prefetch, *compiled.update_prefetch)}
    for name in names:
        parameter = compiled.binds[name]
        process = parameter.type.dialect_impl(dialect).bind_processor(dialect)
        default = defaults.get(name)
        if default is not None:
            if not default.is_scalar:
                message = f"the default of {name} is made anew for each row: give it a value"
                raise ValueError(message)
            wanted.append((name, None, None, default.arg if process is None else process(default.arg)))
        elif parameter.required:
            wanted.append((name, parameter.key, process, None))
        else:
            value = parameter.effective_value
            wanted.append((name, None, None, value if process is None else process(value)))

    if compiled.positional or dialect.name == "postgresql":

        def in_order(parameters: Mapping[str, Any]) -> list[Any]:
            return [
                fixed if key is None else parameters[key] if process is None else process(parameters[key])
                for _, key, process, fixed in wanted
            ]

        return in_order

    def by_name(parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: fixed if key is None else parameters[key] if process is None else process(parameters[key])
            for name, key, process, fixed in wanted
        }

    return by_name
