"""Members with points, for tests."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING
from uuid import UUID

from server.kernel.actors import PartnerActor, StaffActor, SystemActor
from server.kernel.amounts import Points
from server.kernel.ids import uuid7
from server.kernel.source import Source
from server.members import service as members
from server.points import service

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SYSTEM = SystemActor("test")
STAFF = StaffActor(uuid7(), "Li Na")
TILL = PartnerActor(uuid7(), "Till")
_numbers = count(1)


def a_source(key: str | None = None, namespace: str = "test") -> Source:
    """Return a source that nothing used yet, or the one named."""
    return Source(namespace, key or f"fact-{next(_numbers)}")


def a_member(session: Session, *, now: datetime, points: int = 0) -> UUID:
    """Enrol a member, with points at once available if wanted."""
    external = {"test": f"member-{next(_numbers)}-{uuid7().hex}"}
    member_id = members.enrol_unclaimed(session, phone=None, external_ids=external, actor=SYSTEM, now=now)
    if points:
        service.accrue(session, member_id, Points(points), source=a_source(), reason="Gift", actor=SYSTEM, now=now)
    return member_id
