"""A member's e-mail address: proved by a code, sealed, and read for sending alone.

An address is a member's once a code that was sent to it came back. Until then the one before it stays in use. A code works for fifteen
minutes and five tries, and a member can have few of them sent: the mails go to whatever address was typed in.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.audit import service as audit
from server.kernel.actors import Actor
from server.kernel.crypto import Place, vault_of
from server.kernel.db import insert_if_absent
from server.kernel.ids import uuid7
from server.kernel.outbox import publish
from server.members import events
from server.members.errors import EmailCodeInvalidError, EmailCodesTooManyError
from server.members.models import MemberEmail, MemberEmailCode
from server.members.rows import lock

CODE_LIFE = timedelta(minutes=15)
MOST_WRONG = 5
MOST_SENT = 3
WINDOW = timedelta(hours=1)
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class EmailView:
    """A member's address, masked, and the one that waits for its code."""

    masked: str | None
    verified_at: datetime | None
    pending_masked: str | None
    pending_until: datetime | None


@dataclass(frozen=True, slots=True)
class CodeToSend:
    """A code and where it goes; ``serial`` tells it from a later one."""

    address: str
    code: str
    serial: int


def ask(session: Session, member_id: UUID, address: str, *, actor: Actor, now: datetime) -> datetime:
    """Note an address that a member wants to use; a code is sent to it after the commit.

    Arguments:
        session: of an open transaction.
        member_id: whose.
        address: in its normal form (``server.mail.gateway.address_of``).
        actor: who asks.
        now: present instant.

    Returns:
        Until when the code works.

    Raises:
        EmailCodesTooManyError: enough codes were sent within the hour.
    """
    lock(session, member_id)
    row = _code_row(session, member_id)
    code_id = row.id if row is not None else uuid7()
    vault, code = vault_of(session), f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}d}"
    serial = row.serial + 1 if row is not None else 1
    in_window = row.sent_in_window if row is not None and row.window_until > now else 0
    if in_window >= MOST_SENT:
        raise EmailCodesTooManyError
    values = {
        "address_sealed": vault.seal(address, Place("member_email_codes", "address_sealed", code_id)),
        "code_sealed": vault.seal(code, Place("member_email_codes", "code_sealed", code_id)),
        "code_hash": _hash(session, code_id, serial, code),
        "serial": serial,
        "wrong": 0,
        "expires_at": now + CODE_LIFE,
        "sent_in_window": in_window + 1,
        "window_until": row.window_until if row is not None and in_window else now + WINDOW,
    }
    if row is None:
        session.add(MemberEmailCode(id=code_id, member_id=member_id, **values))
    else:
        for name, value in values.items():
            setattr(row, name, value)
    session.flush()
    publish(
        session,
        events.EMAIL_CODE_ASKED,
        key=f"{events.EMAIL_CODE_ASKED}:{code_id}:{serial}",
        aggregate_type="member",
        aggregate_id=member_id,
        payload={"member_id": str(member_id), "serial": serial},
        now=now,
    )
    audit.record(session, actor=actor, action="member.email_asked", subject_type="member", subject_id=member_id, now=now)
    return now + CODE_LIFE


def take_code(session: Session, member_id: UUID, serial: int, *, now: datetime) -> CodeToSend | None:
    """Return a code to send, once: whoever dies while sending it leaves a member who asks for another.

    Returns:
        None when it was taken before, is too old, or a later one was asked for.
    """
    row = _code_row(session, member_id)
    if row is None or row.serial != serial or row.code_sealed is None or row.expires_at <= now:
        return None
    vault = vault_of(session)
    found = CodeToSend(
        vault.open(row.address_sealed, Place("member_email_codes", "address_sealed", row.id)),
        vault.open(row.code_sealed, Place("member_email_codes", "code_sealed", row.id)),
        serial,
    )
    row.code_sealed = None
    session.flush()
    return found


def verify(session: Session, member_id: UUID, code: str, *, actor: Actor, now: datetime) -> bool:
    """Take an address into use when the code is the one that was sent to it.

    A wrong code must be counted, so it is told by the result and not by an error that would undo the count.

    Returns:
        False when the code is wrong, too old, or was tried too often.
    """
    lock(session, member_id)
    row = _code_row(session, member_id)
    if row is None or row.expires_at <= now or row.wrong >= MOST_WRONG:
        return False
    if not hmac.compare_digest(_hash(session, row.id, row.serial, code.strip()), row.code_hash):
        row.wrong += 1
        session.flush()
        return False
    vault = vault_of(session)
    address = vault.open(row.address_sealed, Place("member_email_codes", "address_sealed", row.id))
    row.expires_at = now
    _keep(session, member_id, address, now)
    audit.record(session, actor=actor, action="member.email_verified", subject_type="member", subject_id=member_id, now=now)
    return True


def give(session: Session, member_id: UUID, address: str, *, now: datetime) -> None:
    """Take an address into use that was proved elsewhere, in place of the one before it."""
    _keep(session, member_id, address, now)


def require_code(*, good: bool) -> None:
    """Refuse a code that was found wrong, once its count is committed.

    Raises:
        EmailCodeInvalidError: it was.
    """
    if not good:
        raise EmailCodeInvalidError


def remove(session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> None:
    """Give up a member's address, and one that waits for its code; again is fine."""
    lock(session, member_id)
    for model in (MemberEmail, MemberEmailCode):
        session.execute(sa.delete(model).where(model.member_id == member_id).execution_options(synchronize_session=False))
    audit.record(session, actor=actor, action="member.email_removed", subject_type="member", subject_id=member_id, now=now)


def erase(session: Session, member_ids: list[UUID]) -> None:
    """Delete the addresses of members who asked to be forgotten."""
    for model in (MemberEmail, MemberEmailCode):
        session.execute(sa.delete(model).where(model.member_id.in_(member_ids)).execution_options(synchronize_session=False))


def carry(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> None:
    """Give the survivor of a merge the other record's address, unless it has its own."""
    address = address_of(session, from_id)
    if address is not None and address_of(session, into_id) is None:
        _keep(session, into_id, address, now)
    erase(session, [from_id])


def address_of(session: Session, member_id: UUID) -> str | None:
    """Return a member's proved address. For sending only."""
    row = session.scalar(sa.select(MemberEmail).where(MemberEmail.member_id == member_id))
    return vault_of(session).open(row.address_sealed, Place("member_emails", "address_sealed", row.id)) if row is not None else None


def view(session: Session, member_id: UUID, *, now: datetime) -> EmailView:
    """Return a member's address, masked, and what waits for its code."""
    row = session.scalar(sa.select(MemberEmail).where(MemberEmail.member_id == member_id))
    waiting = session.scalar(sa.select(MemberEmailCode).where(MemberEmailCode.member_id == member_id, MemberEmailCode.expires_at > now))
    pending = None
    if waiting is not None:
        pending = vault_of(session).open(waiting.address_sealed, Place("member_email_codes", "address_sealed", waiting.id))
    address = address_of(session, member_id) if row is not None else None
    return EmailView(
        masked(address) if address else None,
        row.verified_at if row is not None else None,
        masked(pending) if pending else None,
        waiting.expires_at if waiting is not None else None,
    )


def masked(address: str) -> str:
    """Return an address of which only the first letter and the domain show."""
    name, _, domain = address.rpartition("@")
    return f"{name[:1]}***@{domain}"


def _keep(session: Session, member_id: UUID, address: str, now: datetime) -> None:
    vault, email_id = vault_of(session), uuid7()
    session.execute(sa.delete(MemberEmail).where(MemberEmail.member_id == member_id).execution_options(synchronize_session=False))
    values = {
        "id": email_id,
        "member_id": member_id,
        "address_sealed": vault.seal(address, Place("member_emails", "address_sealed", email_id)),
        "address_index": vault.index("email", address),
        "verified_at": now,
    }
    insert_if_absent(session, MemberEmail, values)


def _code_row(session: Session, member_id: UUID) -> MemberEmailCode | None:
    statement = sa.select(MemberEmailCode).where(MemberEmailCode.member_id == member_id)
    return session.scalar(statement.with_for_update().execution_options(populate_existing=True))


def _hash(session: Session, code_id: UUID, serial: int, code: str) -> str:
    # Under a key: six digits are guessed from a plain digest at once.
    return vault_of(session).index("email_code", f"{code_id}:{serial}:{code}")
