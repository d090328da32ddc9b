"""The allowance ledger: one acceptance is one credit; reserved before a call, spent or released after it.

Every change is an entry with a unique key, written while the allowance's row is locked, so a repeated event changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.db import insert_if_absent, insert_rows, one_of, update_where
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


@dataclass(slots=True)
class Allowance:
    """The row of one member and template, locked; ``available`` goes down as a batch takes from it."""

    id: UUID
    member_id: UUID
    template: str
    available: int


@dataclass(frozen=True, slots=True)
class Reserved:
    """One allowance taken for the n-th call of a message."""

    allowance: Allowance
    message_id: UUID
    attempt: int


@dataclass(frozen=True, slots=True)
class End:
    """What becomes of the allowance that was held for the n-th call of a message."""

    member_id: UUID
    template: str
    message_id: UUID
    attempt: int
    how: GrantEnd


def lock_all(session: Session, member_ids: Sequence[UUID], templates: Sequence[str]) -> dict[tuple[UUID, str], Allowance]:
    """Lock what members allow of some templates, in one order, until the transaction ends; rows that are not there are left out."""
    if not member_ids:
        return {}
    of = NotificationGrant
    rows = session.execute(
        sa.select(of.id, of.member_id, of.template, of.available)
        .where(one_of(session, of.member_id, member_ids), one_of(session, of.template, templates))
        .order_by(of.member_id, of.template)
        .with_for_update()
    )
    return {(row.member_id, row.template): Allowance(row.id, row.member_id, row.template, row.available) for row in rows}


def reserve_all(session: Session, reserved: Sequence[Reserved], *, now: datetime) -> None:
    """Hold allowances for calls, out of rows that ``lock_all`` locked.

    Raises:
        GrantShortError: more was taken from a row than it had.
    """
    changes = [_Change(each.allowance, f"{each.message_id}:{each.attempt}:reserve", "reserve", -1, 1, each.message_id) for each in reserved]
    _change_all(session, changes, now)


def end_all_of(session: Session, ends: Sequence[End], *, now: datetime) -> None:
    """Spend or release what was held for calls, or empty an allowance when WeChat says there is none; see ``GrantEnd``."""
    ends = [each for each in ends if each.how is not GrantEnd.HOLD]
    locked = lock_all(session, sorted({each.member_id for each in ends}), sorted({each.template for each in ends}))
    changes = []
    for each in ends:
        # The row is there: something was reserved on it.
        allowance = locked[each.member_id, each.template]
        available = {GrantEnd.SPEND: 0, GrantEnd.RELEASE: 1, GrantEnd.EMPTY: -allowance.available}[each.how]
        allowance.available += available
        key = f"{each.message_id}:{each.attempt}:end"
        changes.append(_Change(allowance, key, each.how.value, available, -1, each.message_id))
    _change_all(session, changes, now)


@dataclass(frozen=True, slots=True)
class _Change:
    """One change of a locked row."""

    allowance: Allowance
    key: str
    kind: str
    available: int
    reserved: int
    message_id: UUID


def _change_all(session: Session, changes: Sequence[_Change], now: datetime) -> None:
    """Write changes down and sum them up: one statement for the entries, one for each sum that comes up."""
    sums: dict[UUID, tuple[int, int]] = {}
    for each in changes:
        before = sums.get(each.allowance.id, (0, 0))
        sums[each.allowance.id] = (before[0] + each.available, before[1] + each.reserved)
    alike: dict[tuple[int, int], list[UUID]] = {}
    for grant_id, moved in sums.items():
        alike.setdefault(moved, []).append(grant_id)
    of = NotificationGrant
    for (available, reserved), ids in alike.items():
        values = {"available": of.available + available, "reserved": of.reserved + reserved, "updated_at": now}
        update_where(session, sa.update(of).where(one_of(session, of.id, ids)).values(**values))
    insert_rows(
        session,
        NotificationGrantEntry,
        [
            {
                "id": uuid7(),
                "key": each.key,
                "member_id": each.allowance.member_id,
                "template": each.allowance.template,
                "kind": each.kind,
                "available_change": each.available,
                "reserved_change": each.reserved,
                "message_id": each.message_id,
                "occurred_at": now,
            }
            for each in changes
        ],
    )


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
