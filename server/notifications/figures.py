"""Figures of notifications for staff: how many members a message can reach, and the proof of the allowances."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.notifications.models import NotificationGrant, NotificationGrantEntry, NotificationMessage
from server.notifications.templates import REGISTRY


@dataclass(frozen=True, slots=True)
class Reach:
    """How many members one template could reach now, and how much is in their hands."""

    template: str
    label: str
    reachable: int
    allowances: int
    reserved: int
    waiting: int


@dataclass(frozen=True, slots=True)
class GrantDrift:
    """An allowance that its entries do not add up to; there should be none."""

    member_id: UUID
    template: str
    available: int
    available_by_entries: int
    reserved: int
    reserved_by_entries: int


def reach(session: Session) -> list[Reach]:
    """Return for every message how many members have an allowance for it, and how many messages wait."""
    rows = session.execute(
        sa.select(
            NotificationGrant.template,
            sa.func.sum(sa.case((NotificationGrant.available > 0, 1), else_=0)),
            sa.func.sum(NotificationGrant.available),
            sa.func.sum(NotificationGrant.reserved),
        ).group_by(NotificationGrant.template)
    )
    sums = {row[0]: (int(row[1] or 0), int(row[2] or 0), int(row[3] or 0)) for row in rows}
    waiting = {
        template: int(number)
        for template, number in session.execute(
            sa.select(NotificationMessage.template, sa.func.count())
            .where(NotificationMessage.state == "queued")
            .group_by(NotificationMessage.template)
        )
    }
    return [
        Reach(code, template.label, *sums.get(code, (0, 0, 0)), waiting=waiting.get(code, 0)) for code, template in sorted(REGISTRY.items())
    ]


def prove_grants(session: Session) -> list[GrantDrift]:
    """Return every allowance that differs from the sum of its entries."""
    entries = (
        sa.select(
            NotificationGrantEntry.member_id,
            NotificationGrantEntry.template,
            sa.func.sum(NotificationGrantEntry.available_change).label("available"),
            sa.func.sum(NotificationGrantEntry.reserved_change).label("reserved"),
        )
        .group_by(NotificationGrantEntry.member_id, NotificationGrantEntry.template)
        .subquery()
    )
    same = sa.and_(entries.c.member_id == NotificationGrant.member_id, entries.c.template == NotificationGrant.template)
    available, reserved = sa.func.coalesce(entries.c.available, 0), sa.func.coalesce(entries.c.reserved, 0)
    statement = (
        sa.select(NotificationGrant, available, reserved)
        .outerjoin(entries, same)
        .where(sa.or_(NotificationGrant.available != available, NotificationGrant.reserved != reserved))
    )
    return [
        GrantDrift(row.member_id, row.template, row.available, int(by_available), row.reserved, int(by_reserved))
        for row, by_available, by_reserved in session.execute(statement)
    ]
