"""Recognising the member who stands at a till."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from server.cards import queries as card_queries
from server.cards import service as cards
from server.flows import home
from server.kernel.actors import Actor
from server.members import queries as members
from server.members.errors import MemberNotFoundError
from server.members.rules import normalised_phone


@dataclass(frozen=True, slots=True)
class Identified:
    """What a till learns of a member: enough to greet, earn and redeem, no personal data beyond the first look."""

    member_id: UUID
    status: str
    nickname: str | None
    phone_masked: str | None
    card_no: str | None
    tier_code: str
    points_available: int


def identify(
    session: Session, *, member_code: str | None, phone: str | None, card_no: str | None, actor: Actor, now: datetime
) -> Identified:
    """Return the member behind a dynamic code, a phone number or a card number; a code is worthless afterwards.

    Arguments:
        session: of an open transaction.
        member_code: what the member's phone shows.
        phone: as typed; taken as Chinese without a country code.
        card_no: a present, merged or legacy number.
        actor: the till.
        now: present instant.

    Raises:
        MemberCodeExpiredError: the code was used, is too old or unknown.
        MemberNotFoundError: nobody has this phone or card number.
    """
    if member_code is not None:
        found: UUID | None = cards.redeem_code(session, member_code, actor=actor, now=now)
    elif phone is not None:
        found = members.by_phone(session, normalised_phone(phone))
    else:
        found = card_queries.by_card_no(session, card_no or "")
    if found is None:
        raise MemberNotFoundError
    return of_member(session, found, now=now)


def of_member(session: Session, member_id: UUID, *, now: datetime) -> Identified:
    """Return what a till may know of a member; the id of a merged record leads to its survivor.

    Raises:
        MemberNotFoundError: there is no such member.
    """
    survivor = members.resolve(session, member_id)
    if survivor is None:
        raise MemberNotFoundError
    page = home.of_member(session, survivor, now=now)
    return Identified(page.member_id, page.status, page.nickname, page.phone_masked, page.card_no, page.tier_code, page.points_available)
