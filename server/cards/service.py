"""Verbs that change cards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.audit import service as audit
from server.cards import queries, rules
from server.cards.errors import (
    AliasReasonMissingError,
    CardNoTakenError,
    LegacyNumberInvalidError,
    LegacyNumberReservedError,
    MemberCodeMalformedError,
    MemberCodeOldError,
    MemberCodeUnknownError,
    MemberCodeUsedError,
)
from server.cards.models import Card, CardCode
from server.kernel.actors import Actor
from server.kernel.crypto import vault_of
from server.kernel.db import insert_if_absent, update_where
from server.kernel.ids import uuid7

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class CodeView:
    """A dynamic code as the member's phone shows it."""

    code: str
    expires_at: datetime


def issue(session: Session, member_id: UUID, *, now: datetime) -> queries.CardView:
    """Return a member's card, issued now when they had none. Two calls at once give one card."""
    for _ in range(_ATTEMPTS):
        held = queries.of_member(session, member_id)
        if held is not None:
            return held
        values = {
            "id": uuid7(),
            "member_id": member_id,
            "active_slot": member_id,
            "card_no": rules.new_card_no(),
            "kind": "active",
            "issued_at": now,
        }
        # Either the member's slot was filled meanwhile, or the number is one in 10¹¹ that somebody has: look again.
        if insert_if_absent(session, Card, values):
            return queries.CardView(member_id, str(values["card_no"]), now)
    raise CardNoTakenError


def add_alias(session: Session, member_id: UUID, card_no: str, *, reason: str, actor: Actor, now: datetime) -> bool:
    """Let a number of an older system stand for a member. Adding it again for the same member changes nothing.

    Arguments:
        session: of an open transaction.
        member_id: who holds the old card.
        card_no: as it is printed; kept as ``rules.normalised_card_no`` has it.
        reason: why, kept in the audit trail.
        actor: who adds it.
        now: present instant.

    Returns:
        False when it stood for this member before.

    Raises:
        AliasReasonMissingError: no reason.
        LegacyNumberInvalidError: it cannot be a card number.
        LegacyNumberReservedError: it has the form of our own numbers or codes.
        CardNoTakenError: the number stands for somebody else.
    """
    if not reason.strip():
        raise AliasReasonMissingError(fields={"reason": AliasReasonMissingError.message})
    number = checked_legacy_no(card_no)
    values = {"id": uuid7(), "member_id": member_id, "active_slot": None, "card_no": number, "kind": "legacy", "issued_at": now}
    if not insert_if_absent(session, Card, values):
        if queries.by_card_no(session, number) != member_id:
            raise CardNoTakenError
        return False
    audit.record(
        session,
        actor=actor,
        action="card.alias_add",
        subject_type="member",
        subject_id=member_id,
        # The trail is never emptied, so it names the card by its end, as a member who left is forgotten with theirs.
        after={"card_no": f"****{number[-4:]}"},
        reason=reason.strip()[:500],
        now=now,
    )
    return True


def checked_legacy_no(text: str) -> str:
    """Return a number of an older system as it is kept.

    Raises:
        LegacyNumberInvalidError: it cannot be a card number.
        LegacyNumberReservedError: it has the form of our own numbers or codes.
    """
    number = rules.normalised_card_no(text)
    if not 0 < len(number) <= rules.LEGACY_CHARS or not number.isascii() or not number.isprintable():
        raise LegacyNumberInvalidError(fields={"legacy_no": LegacyNumberInvalidError.message})
    if rules.is_card_no(number) or rules.is_code(number):
        raise LegacyNumberReservedError(fields={"legacy_no": LegacyNumberReservedError.message})
    return number


def new_code(session: Session, member_id: UUID, *, now: datetime) -> CodeView:
    """Return a fresh dynamic code for a member.

    An earlier code stays valid until it expires or is redeemed: the phone fetches the next one shortly before the present one
    ends, and the one on the screen must not die while the till is reading it.
    """
    expires_at = now + timedelta(seconds=rules.CODE_SECONDS)
    vault = vault_of(session)
    for _ in range(_ATTEMPTS):
        code = rules.new_code()
        values = {
            "id": uuid7(),
            "member_id": member_id,
            "code_hash": vault.index("member_code", code),
            "issued_at": now,
            "expires_at": expires_at,
            "redeemed_at": None,
            "redeemed_by": None,
        }
        if insert_if_absent(session, CardCode, values):
            return CodeView(code, expires_at)
    raise MemberCodeUnknownError(fields={"member_code": "unknown"})


def redeem_code(session: Session, code: str, *, actor: Actor, now: datetime) -> UUID:
    """Return whose code it is, and make it worthless: of two tills that read one code, one gets the member.

    Raises:
        MemberCodeMalformedError: not a member code at all.
        MemberCodeUsedError, MemberCodeOldError, MemberCodeUnknownError: as they say; all ``member_code_expired``.
    """
    code = code.strip()
    if not rules.is_code(code):
        raise MemberCodeMalformedError(fields={"member_code": f"{rules.CODE_DIGITS} digits"})
    code_hash = vault_of(session).index("member_code", code)
    redeemed = update_where(
        session,
        sa.update(CardCode)
        .where(CardCode.code_hash == code_hash, CardCode.redeemed_at.is_(None), CardCode.expires_at > now)
        .values(redeemed_at=now, redeemed_by=f"{actor.kind}:{actor.ref}"[:80]),
    )
    row = session.execute(sa.select(CardCode.member_id, CardCode.redeemed_at).where(CardCode.code_hash == code_hash)).one_or_none()
    if row is None:
        raise MemberCodeUnknownError(fields={"member_code": "unknown"})
    if not redeemed:
        if row.redeemed_at is not None:
            raise MemberCodeUsedError(fields={"member_code": "used"})
        raise MemberCodeOldError(fields={"member_code": "expired"})
    member_id: UUID = row.member_id
    return member_id


def forget_codes(session: Session, before: datetime, *, limit: int = 5000) -> int:
    """Delete up to ``limit`` codes that expired before an instant; return how many."""
    ids = session.scalars(sa.select(CardCode.id).where(CardCode.expires_at < before).limit(limit)).all()
    if ids:
        session.execute(sa.delete(CardCode).where(CardCode.id.in_(ids)))
    return len(ids)


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> dict[str, int]:
    """Let the cards of one member stand for another; the survivor keeps its own active card.

    Returns:
        What moved, for the merge journal.
    """
    keeps_own = queries.of_member(session, into_id) is not None
    if keeps_own:
        update_where(
            session,
            sa.update(Card).where(Card.active_slot == from_id).values(member_id=into_id, active_slot=None, kind="merged"),
        )
    else:
        update_where(session, sa.update(Card).where(Card.active_slot == from_id).values(member_id=into_id, active_slot=into_id))
    moved = update_where(session, sa.update(Card).where(Card.member_id == from_id).values(member_id=into_id))
    update_where(session, sa.update(CardCode).where(CardCode.member_id == from_id).values(member_id=into_id))
    issue(session, into_id, now=now)
    return {"card_aliases": moved}


def forget_member(session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> int:  # noqa: ARG001 - the agreed signature
    """Delete the card numbers and codes of a member who leaves; return how many numbers."""
    session.execute(sa.delete(CardCode).where(CardCode.member_id == member_id).execution_options(synchronize_session=False))
    result: Any = session.execute(sa.delete(Card).where(Card.member_id == member_id).execution_options(synchronize_session=False))
    return int(result.rowcount)
