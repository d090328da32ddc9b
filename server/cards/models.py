"""Tables of cards."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.cards.errors import CardNoTakenError
from server.kernel.db import Base, register_constraint, table_args


class Card(Base):
    """A card number. ``active_slot`` is the member's id on the one active card and empty on aliases (merged, legacy)."""

    __tablename__ = "cards"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), index=True)
    active_slot: Mapped[UUID | None] = mapped_column(unique=True)
    card_no: Mapped[str] = mapped_column(sa.String(32), unique=True)
    kind: Mapped[str] = mapped_column(sa.String(16))
    issued_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("kind IN ('active','merged','legacy')", name="kind_known"),
        sa.CheckConstraint("(kind = 'active') = (active_slot IS NOT NULL)", name="active_has_slot"),
    )


class CardCode(Base):
    """A dynamic member code, stored as a keyed hash only."""

    __tablename__ = "card_codes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(sa.ForeignKey("members.id"), index=True)
    code_hash: Mapped[str] = mapped_column(sa.String(80), unique=True)
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    redeemed_at: Mapped[datetime | None]
    redeemed_by: Mapped[str | None] = mapped_column(sa.String(80))


register_constraint("uq_cards_card_no", CardNoTakenError)
