"""Reads of cards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.cards.models import Card


@dataclass(frozen=True, slots=True)
class CardView:
    """A member's active card."""

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
    return session.scalar(sa.select(Card.member_id).where(Card.card_no == card_no.strip()))


def aliases_of(session: Session, member_id: UUID) -> list[str]:
    """Return the other numbers that stand for a member."""
    return list(
        session.scalars(sa.select(Card.card_no).where(Card.member_id == member_id, Card.kind != "active").order_by(Card.issued_at)),
    )
