"""Pages by key: a list is read on from the last row seen, on ``(occurred_at, id)``, newest first."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import and_, or_

from server.kernel.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Select
    from sqlalchemy.orm import InstrumentedAttribute

MAX_LIMIT = 100
DEFAULT_LIMIT = 20

Item = TypeVar("Item")
Other = TypeVar("Other")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page is wanted.

    Arguments:
        limit: rows, 1 to 100.
        after: the last row already seen, or None for the first page.
    """

    limit: int = DEFAULT_LIMIT
    after: tuple[datetime, UUID] | None = None

    @classmethod
    def of(cls, limit: int | None, cursor: str | None) -> PageRequest:
        """Read the ``limit`` and ``cursor`` of a request.

        Raises:
            InvalidError: for a limit outside 1–100 or a cursor that we never gave.
        """
        wanted = DEFAULT_LIMIT if limit is None else limit
        if not 1 <= wanted <= MAX_LIMIT:
            raise InvalidError(fields={"limit": f"1–{MAX_LIMIT}"})
        return cls(wanted, _read_cursor(cursor) if cursor else None)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page and the way to the next (None at the end)."""

    items: Sequence[Item]
    next_cursor: str | None

    def map(self, convert: Callable[[Item], Other]) -> Page[Other]:
        """Return the same page with every item converted."""
        return Page([convert(item) for item in self.items], self.next_cursor)


def keyset(
    statement: Select[Any],
    occurred_at: InstrumentedAttribute[datetime],
    row_id: InstrumentedAttribute[UUID],
    request: PageRequest,
) -> Select[Any]:
    """Order a statement newest first and bound it to one page, plus the one row that tells whether more follow."""
    if request.after is not None:
        at, last_id = request.after
        statement = statement.where(or_(occurred_at < at, and_(occurred_at == at, row_id < last_id)))
    return statement.order_by(occurred_at.desc(), row_id.desc()).limit(request.limit + 1)


def page_of(rows: Sequence[Item], request: PageRequest, key: Callable[[Item], tuple[datetime, UUID]]) -> Page[Item]:
    """Cut what ``keyset`` brought into a page.

    Arguments:
        rows: up to ``limit + 1`` rows.
        request: the page that was asked for.
        key: gives a row's ``(occurred_at, id)``.
    """
    if len(rows) <= request.limit:
        return Page(rows, None)
    kept = rows[: request.limit]
    return Page(kept, _write_cursor(*key(kept[-1])))


def _write_cursor(at: datetime, row_id: UUID) -> str:
    micros = round(at.timestamp() * 1_000_000)
    return base64.urlsafe_b64encode(f"{micros}.{row_id.hex}".encode()).rstrip(b"=").decode()


def _read_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        micros, _, row_id = text.partition(".")
        seconds, rest = divmod(int(micros), 1_000_000)
        at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
        return at, UUID(hex=row_id)
    except (binascii.Error, ValueError, OverflowError, OSError) as error:
        raise InvalidError(fields={"cursor": "unknown cursor"}) from error
