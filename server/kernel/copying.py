"""How values are written for PostgreSQL's COPY, the fastest way to bring many rows in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.engine import Dialect

# What COPY's text form gives a meaning of its own; NUL is refused by the server as in any other statement.
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def copy_writer(kind: sa.types.TypeEngine[Any], dialect: Dialect) -> Callable[[Any], str]:
    """Return what writes a column's values for COPY: told once for a column, since a history has millions of values."""
    if isinstance(kind, UuidType):
        return _hex_of
    if isinstance(kind, UtcDateTime):
        return lambda value: cast("datetime", kind.process_bind_param(value, dialect)).isoformat()
    if isinstance(kind, JsonDocument):
        return lambda value: _escaped(cast("str", kind.process_bind_param(value, dialect)))
    if isinstance(kind, sa.Boolean):
        return lambda value: "t" if value else "f"
    if isinstance(kind, sa.Integer | sa.Date):
        return str
    if isinstance(kind, sa.String):
        return _escaped
    message = f"COPY does not know how to write {kind!r}"
    raise TypeError(message)


def _hex_of(value: uuid.UUID) -> str:
    return value.hex


def _escaped(text: str) -> str:
    # Nearly every text is plain, and looking is cheaper than translating.
    return text if text.isprintable() and "\\" not in text else text.translate(_COPY_ESCAPES)
