"""Reads of segments: rules by version, and who a rule would choose now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.segments.models import SegmentRule
from server.segments.rules import Rule
from server.segments.selection import bearings, chosen

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from sqlalchemy.orm import Session

SAMPLE = 10


@dataclass(frozen=True, slots=True)
class SegmentView:
    """One version of a segment.

    Arguments:
        refresh_hours: how old its list may become before it is built anew.
        enabled: False for one that is not built any more; its last list goes on counting.
    """

    id: UUID
    code: str
    version: int
    name: str
    rule: Rule
    refresh_hours: int
    enabled: bool
    reason: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Preview:
    """Who a rule would choose at this moment.

    Arguments:
        size: how many members.
        sample: some of them, the newest records first.
        took_ms: milliseconds it took.
    """

    size: int
    sample: tuple[UUID, ...]
    took_ms: int


def versions(session: Session, code: str) -> list[SegmentView]:
    """Return the versions of a segment, the newest first; none when there is no such segment."""
    found = sa.select(SegmentRule).where(SegmentRule.code == code).order_by(SegmentRule.version.desc())
    return [_view(row) for row in session.scalars(found)]


def newest(session: Session) -> list[SegmentView]:
    """Return the newest version of each segment, by code."""
    last = sa.select(SegmentRule.code, sa.func.max(SegmentRule.version).label("version")).group_by(SegmentRule.code).subquery()
    found = sa.select(SegmentRule).join(last, sa.and_(last.c.code == SegmentRule.code, last.c.version == SegmentRule.version))
    return [_view(row) for row in session.scalars(found.order_by(SegmentRule.code))]


def names(session: Session) -> dict[str, str]:
    """Return code → name of every segment."""
    return {view.code: view.name for view in newest(session)}


def preview(session: Session, rule: Rule, *, now: datetime, zone: ZoneInfo) -> Preview:
    """Return who a rule would choose now, counted exactly; nothing is kept.

    Arguments:
        session: to read with.
        rule: without problems.
        now: present instant.
        zone: the shop's.
    """
    began = perf_counter()
    who = chosen(rule, bearings(session, now, zone)).subquery()
    size = session.scalar(sa.select(sa.func.count()).select_from(who)) or 0
    sample = session.scalars(sa.select(who.c.id).order_by(who.c.id.desc()).limit(SAMPLE)).all() if size else ()
    return Preview(int(size), tuple(sample), round((perf_counter() - began) * 1000))


def _view(row: Any) -> SegmentView:
    return SegmentView(
        id=row.id,
        code=row.code,
        version=row.version,
        name=row.name,
        rule=Rule.of_document(row.document),
        refresh_hours=row.refresh_hours,
        enabled=row.enabled,
        reason=row.reason,
        created_at=row.created_at,
        created_by=row.created_by,
    )
