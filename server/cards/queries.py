"""Reads of cards."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.cards import rules
from server.cards.models import Card
from server.kernel.db import one_of
from server.kernel.pagination import Page, PageRequest, keyset, page_of


@dataclass(frozen=True, slots=True)
class CardView:
    """A member's active card."""

    member_id: UUID
    card_no: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class AliasView:
    """A number of an older system that stands for a member."""

    id: UUID
    member_id: UUID
    card_no: str
    issued_at: datetime


def of_member(session: Session, member_id: UUID) -> CardView | None:
    """Return a member's active card, or None while none was issued."""
    row = session.execute(sa.select(Card.member_id, Card.card_no, Card.issued_at).where(Card.active_slot == member_id)).one_or_none()
    return CardView(row.member_id, row.card_no, row.issued_at) if row is not None else None


def numbers_of(session: Session, member_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the active card numbers of many members in one statement; members without a card are left out."""
    if not member_ids:
        return {}
    rows = session.execute(sa.select(Card.active_slot, Card.card_no).where(Card.active_slot.in_(member_ids)))
    return {row.active_slot: row.card_no for row in rows}


def by_card_no(session: Session, card_no: str) -> UUID | None:
    """Return whom a card number stands for, numbers of merged members and legacy numbers included."""
    return session.scalar(sa.select(Card.member_id).where(Card.card_no == rules.normalised_card_no(card_no)))


def by_card_nos(session: Session, card_nos: Collection[str]) -> dict[str, UUID]:
    """Return whom many card numbers stand for (see ``by_card_no``), by number as it was typed; those that nobody has are left out."""
    kept = {card_no: rules.normalised_card_no(card_no) for card_no in card_nos}
    rows = session.execute(sa.select(Card.card_no, Card.member_id).where(one_of(session, Card.card_no, set(kept.values())))).all()
    holders: dict[str, UUID] = {row.card_no: row.member_id for row in rows}
    return {card_no: holders[number] for card_no, number in kept.items() if number in holders}


def aliases_of(session: Session, member_id: UUID) -> list[str]:
    """Return the other numbers that stand for a member."""
    return list(
        session.scalars(sa.select(Card.card_no).where(Card.member_id == member_id, Card.kind != "active").order_by(Card.issued_at)),
    )


def legacy_numbers(session: Session, page: PageRequest, *, card_no: str | None = None) -> Page[AliasView]:
    """Return the numbers of older systems, the last added first.

    Arguments:
        session: any.
        page: which page.
        card_no: only this one.
    """
    statement = sa.select(Card).where(Card.kind == "legacy")
    if card_no:
        statement = statement.where(Card.card_no == rules.normalised_card_no(card_no))
    rows = session.scalars(keyset(statement, Card.issued_at, Card.id, page)).all()
    return page_of(rows, page, lambda row: (row.issued_at, row.id)).map(
        lambda row: AliasView(row.id, row.member_id, row.card_no, row.issued_at)
    )
