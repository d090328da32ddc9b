"""Which member uses which phone number, device and address; a mark that is blocked holds its member from the moment it is noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.kernel.crypto import vault_of
from server.kernel.db import insert_if_absent, update_where
from server.kernel.ids import uuid7
from server.members import queries as members
from server.risk import rules
from server.risk.models import RiskEntry, RiskHold, RiskMark, RiskPass, RiskSubject
from server.risk.queries import alive

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session


def mark_of(session: Session, kind: rules.Kind, text: str) -> str:
    """Return the blind index of a phone number in E.164 form, of a device's name as the client sent it, or of an address."""
    value = rules.normalised_address(text) if kind is rules.Kind.ADDRESS else text
    # Of a phone number the very index by which members are found, so that a number that comes in with a file is found too.
    return f"{kind}:{vault_of(session).index('phone' if kind is rules.Kind.PHONE else f'risk_{kind}', value)}"


def lock(session: Session, marks: Iterable[str], *, now: datetime) -> None:
    """Lock marks, in one order for everybody: whoever counts, blocks or notes one comes after the other."""
    for mark in sorted(marks):
        known = sa.update(RiskSubject).where(RiskSubject.mark == mark).values(seen_at=now)
        if not update_where(session, known) and not insert_if_absent(session, RiskSubject, {"mark": mark, "seen_at": now}):
            update_where(session, known)


def note_device(session: Session, member_id: UUID, device: str, *, now: datetime) -> None:
    """Remember, as a blind index, that a member logged in from a device."""
    _note(session, member_id, rules.Kind.DEVICE, device, now)


def note_address(session: Session, member_id: UUID, address: str, *, now: datetime) -> str | None:
    """Remember, as a blind index, where a member wants goods sent; return the mark, None for an address without a letter or digit."""
    return _note(session, member_id, rules.Kind.ADDRESS, address, now) if rules.normalised_address(address) else None


def note_phone(session: Session, member_id: UUID, *, now: datetime) -> None:
    """Remember, as a blind index, the phone number a member has now."""
    phone = members.phone_of(session, member_id)
    if phone is not None:
        _note(session, member_id, rules.Kind.PHONE, phone, now)


def _note(session: Session, member_id: UUID, kind: rules.Kind, text: str, now: datetime) -> str:
    mark = mark_of(session, kind, text)
    lock(session, [mark], now=now)
    seen = sa.update(RiskMark).where(RiskMark.member_id == member_id, RiskMark.mark == mark).values(seen_at=now)
    if not update_where(session, seen):
        values = {"id": uuid7(), "member_id": member_id, "kind": kind.value, "mark": mark, "seen_at": now}
        insert_if_absent(session, RiskMark, values)
    # The lock is held: an entry that is made at this moment either is seen here, or sees the mark when it comes.
    blocked = sa.select(RiskEntry).where(RiskEntry.mark == mark, RiskEntry.ended_at.is_(None), alive(RiskEntry.until, now))
    for entry in session.scalars(blocked).all():
        hold(session, member_id, entry, now=now)
    return mark


def hold(session: Session, member_id: UUID, entry: RiskEntry, *, now: datetime) -> int:
    """Hold a member for an entry in each of its scopes where staff let them not through; return how many holds are new."""
    free = set(session.scalars(sa.select(RiskPass.scope).where(RiskPass.member_id == member_id, alive(RiskPass.until, now))))
    made = 0
    for scope in rules.scopes_of(entry.scope):
        if scope not in free:
            cause = f"entry:{entry.id.hex}"
            made += put_hold(session, member_id, scope, cause, entry_id=entry.id, until=entry.until, now=now)
    return made


def put_hold(
    session: Session, member_id: UUID, scope: str, cause: str, *, entry_id: UUID | None, until: datetime | None, now: datetime
) -> bool:
    """Write down that a member is held; False when that stands already."""
    key = (RiskHold.member_id == member_id, RiskHold.scope == scope, RiskHold.cause == cause)
    if session.scalar(sa.select(RiskHold.id).where(*key)) is not None:
        update_where(session, sa.update(RiskHold).where(*key).values(until=until))
        return False
    values: dict[str, Any] = {
        "id": uuid7(),
        "member_id": member_id,
        "scope": scope,
        "cause": cause,
        "entry_id": entry_id,
        "until": until,
        "created_at": now,
    }
    return insert_if_absent(session, RiskHold, values)
