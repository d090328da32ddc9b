"""Tables of partners."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.db import Base, register_constraint, table_args
from server.partners.errors import PartnerNameTakenError, TooManyKeysError


class Partner(Base):
    """A system that may call us."""

    __tablename__ = "partners"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(80), unique=True)
    scopes: Mapped[list[Any]]
    active: Mapped[bool]
    created_at: Mapped[datetime]


class PartnerKey(Base):
    """One key of a partner. ``slot`` is 1 or 2 while it is live."""

    __tablename__ = "partner_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    partner_id: Mapped[UUID] = mapped_column(sa.ForeignKey("partners.id"))
    key_id: Mapped[str] = mapped_column(sa.String(32), unique=True)
    secret_sealed: Mapped[str] = mapped_column(sa.String(400))
    slot: Mapped[int | None] = mapped_column(sa.SmallInteger)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    __table_args__ = table_args(
        sa.UniqueConstraint("partner_id", "slot"),
        sa.CheckConstraint("slot IS NULL OR slot IN (1, 2)", name="slot_known"),
        sa.CheckConstraint("(slot IS NULL) = (revoked_at IS NOT NULL)", name="live_has_slot"),
    )


class PartnerNonce(Base):
    """A nonce that was taken; kept as long as its timestamp would still be accepted."""

    __tablename__ = "partner_nonces"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    key_id: Mapped[str] = mapped_column(sa.String(32))
    nonce: Mapped[str] = mapped_column(sa.String(64))
    seen_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = table_args(sa.UniqueConstraint("key_id", "nonce"))


register_constraint("uq_partners_name", PartnerNameTakenError)
register_constraint("uq_partner_keys_partner_id_slot", TooManyKeysError)
