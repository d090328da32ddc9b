"""Card numbers of an older system, taken over for members we know by card, phone, or a shop's own id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from server.cards import queries as card_queries
from server.cards import service as cards
from server.cards.errors import CardNoTakenError
from server.kernel.errors import DomainError
from server.kernel.text import N_
from server.members import queries as members
from server.members.errors import MemberNotFoundError
from server.members.rules import LIVE_STATUSES, normalised_phone

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

IMPORTED = N_("Taken over from an older system")
ADDED, SAME, REFUSED = "added", "same", "refused"


@dataclass(frozen=True, slots=True)
class LegacyRow:
    """One number and whose it is: by our card number, a phone, or an id in a channel; all that are told must be of one member."""

    legacy_no: str
    card_no: str = ""
    phone: str = ""
    channel: str = ""
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row: ``added``, ``same`` (it stood for the member before) or ``refused`` with the column and a code."""

    result: str
    column: str = ""
    reason: str = ""


class _RowRefusedError(Exception):
    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


def take_in(session: Session, rows: Sequence[LegacyRow], *, preview: bool = False, actor: Actor, now: datetime) -> list[Outcome]:
    """Add many numbers, or only look what adding them would do; no row stops another.

    Arguments:
        session: of an open transaction.
        rows: at most some hundreds.
        preview: write nothing.
        actor: who takes them over.
        now: present instant.

    Returns:
        What became of each row, in their order.
    """
    return [_one(session, row, preview=preview, actor=actor, now=now) for row in rows]


def _one(session: Session, row: LegacyRow, *, preview: bool, actor: Actor, now: datetime) -> Outcome:
    try:
        member_id = _member_of(session, row)
        if preview:
            number = cards.checked_legacy_no(row.legacy_no)
            holder = card_queries.by_card_no(session, number)
            if holder not in {None, member_id}:
                raise CardNoTakenError
            return Outcome(ADDED if holder is None else SAME)
        with session.begin_nested():
            added = cards.add_alias(session, member_id, row.legacy_no, reason=IMPORTED, actor=actor, now=now)
    except _RowRefusedError as wrong:
        return Outcome(REFUSED, wrong.column, wrong.reason)
    except DomainError as refusal:
        return Outcome(REFUSED, "legacy_no", refusal.code)
    return Outcome(ADDED if added else SAME)


def _member_of(session: Session, row: LegacyRow) -> UUID:
    found: dict[str, UUID | None] = {}
    if row.card_no:
        found["card_no"] = card_queries.by_card_no(session, row.card_no)
    if row.phone:
        try:
            found["phone"] = members.by_phone(session, normalised_phone(row.phone))
        except DomainError as refusal:
            raise _RowRefusedError("phone", refusal.code) from refusal
    if row.external_id:
        found["external_id"] = members.by_external(session, row.channel, row.external_id)
    if not found:
        raise _RowRefusedError("card_no", "member_missing")
    for column, member_id in found.items():
        if member_id is None:
            raise _RowRefusedError(column, MemberNotFoundError.code)
    (first, *others) = set(found.values())
    if others or first is None:
        raise _RowRefusedError(",".join(found), "members_differ")
    # Held until the number is written: a merge under way would not see it.
    standing = members.resolve(session, first, hold=True)
    if standing is None or members.require(session, standing).status not in LIVE_STATUSES:
        raise _RowRefusedError(",".join(found), MemberNotFoundError.code)
    return standing
