"""What is known of members, as a table to choose them by. Nothing personal that is sealed is among it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.members.models import Member

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    Bounds = tuple[UUID | None, UUID | None]

ACTIVE = "active"


def within(column: sa.ColumnElement[UUID] | sa.orm.InstrumentedAttribute[UUID], bounds: Bounds) -> list[sa.ColumnElement[bool]]:
    """Return the conditions that keep a column of member ids in a range: behind the first, up to the second; None for open."""
    after, until = bounds
    return [*([column > after] if after is not None else []), *([column <= until] if until is not None else [])]


def active(bounds: Bounds) -> sa.Subquery:
    """Return the active members of a range of ids, with what their own record says."""
    columns = (Member.id, Member.gender, Member.city, Member.birthday_month, Member.joined_via, Member.joined_at)
    return sa.select(*columns).where(Member.status == ACTIVE, *within(Member.id, bounds)).subquery("who")


def range_end(session: Session, after: UUID | None, count: int) -> UUID | None:
    """Return the last of the next so many members behind one, by id; None when fewer are left."""
    ids = sa.select(Member.id).where(*within(Member.id, (after, None))).order_by(Member.id)
    return session.scalar(ids.offset(count - 1).limit(1))
