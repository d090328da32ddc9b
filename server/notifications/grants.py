"""The allowance ledger: one acceptance is one credit; reserved before a call, spent or released after it.

Every change is an entry with a unique key, written while the allowance's row is locked, so a repeated event changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.db import insert_if_absent
from server.kernel.ids import uuid7
from server.notifications.models import NotificationGrant, NotificationGrantEntry
from server.notifications.rules import GrantEnd


def credit(session: Session, member_id: UUID, template: str, *, event_key: str, now: datetime) -> bool:
    """Add one allowance.

    Arguments:
        session: of an open transaction.
        member_id: who accepted.
        template: code of the message.
        event_key: the acceptance, unique.
        now: present instant.

    Returns:
        False when this acceptance was credited before.
    """
    row = _locked(session, member_id, template, now)
    if _known(session, event_key):
        return False
    _change(session, row, event_key, "credit", (1, 0), None, now)
    return True


def reserve(session: Session, member_id: UUID, template: str, *, message_id: UUID, attempt: int, now: datetime) -> bool:
    """Hold one allowance for a call; False when there is none."""
    row = _locked(session, member_id, template, now)
    if row.available < 1:
        return False
    _change(session, row, f"{message_id}:{attempt}:reserve", "reserve", (-1, 1), message_id, now)
    return True


def end(session: Session, member_id: UUID, template: str, how: GrantEnd, *, message_id: UUID, attempt: int, now: datetime) -> None:
    """Spend or release what was held for a call, or empty the allowance when WeChat says there is none."""
    if how is GrantEnd.HOLD:
        return
    row = _locked(session, member_id, template, now)
    changes = {GrantEnd.SPEND: (0, -1), GrantEnd.RELEASE: (1, -1), GrantEnd.EMPTY: (-row.available, -1)}
    _change(session, row, f"{message_id}:{attempt}:end", how.value, changes[how], message_id, now)


def empty(session: Session, member_id: UUID, template: str, *, event_key: str, now: datetime) -> None:
    """Forget all allowances that are not held: the member switched this template off."""
    row = _locked(session, member_id, template, now)
    if row.available and not _known(session, event_key):
        _change(session, row, event_key, "empty", (-row.available, 0), None, now)


def hold(session: Session, member_id: UUID, templates: Sequence[str]) -> None:
    """Lock a member's allowances of several kinds, in one order, until the transaction ends."""
    statement = (
        sa.select(NotificationGrant.id)
        .where(NotificationGrant.member_id == member_id, NotificationGrant.template.in_(templates))
        .order_by(NotificationGrant.template)
        .with_for_update()
    )
    session.execute(statement).all()


def merge(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> int:
    """Move the allowances of one member to another and return how many kinds were moved.

    What is held moves too, with the messages it is held for.
    """
    rows = session.scalars(sa.select(NotificationGrant).where(NotificationGrant.member_id == from_id)).all()
    for found in rows:
        source, target = _locked(session, from_id, found.template, now), _locked(session, into_id, found.template, now)
        moved = (source.available, source.reserved)
        if moved != (0, 0):
            _change(session, source, f"merge:{from_id}:{into_id}:{found.template}:out", "merge", (-moved[0], -moved[1]), None, now)
            _change(session, target, f"merge:{from_id}:{into_id}:{found.template}:in", "merge", moved, None, now)
    return len(rows)


def end_all(session: Session, member_id: UUID, *, now: datetime) -> None:
    """Take back everything a member still allowed, for they leave."""
    for template in session.scalars(sa.select(NotificationGrant.template).where(NotificationGrant.member_id == member_id)).all():
        empty(session, member_id, template, event_key=f"left:{member_id}:{template}", now=now)


def _known(session: Session, key: str) -> bool:
    statement = sa.select(NotificationGrantEntry.id).where(NotificationGrantEntry.key == key)
    return session.scalar(statement) is not None


def _locked(session: Session, member_id: UUID, template: str, now: datetime) -> NotificationGrant:
    statement = (
        sa.select(NotificationGrant)
        .where(NotificationGrant.member_id == member_id, NotificationGrant.template == template)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    row = session.scalar(statement)
    if row is None:
        values = {"id": uuid7(), "member_id": member_id, "template": template, "available": 0, "reserved": 0, "updated_at": now}
        insert_if_absent(session, NotificationGrant, values)
        row = session.scalars(statement).one()
    return row


def _change(
    session: Session,
    row: NotificationGrant,
    key: str,
    kind: str,
    change: tuple[int, int],
    message_id: UUID | None,
    now: datetime,
) -> None:
    row.available += change[0]
    row.reserved += change[1]
    row.updated_at = now
    session.add(
        NotificationGrantEntry(
            id=uuid7(),
            key=key,
            member_id=row.member_id,
            template=row.template,
            kind=kind,
            available_change=change[0],
            reserved_change=change[1],
            message_id=message_id,
            occurred_at=now,
        )
    )
    session.flush()
