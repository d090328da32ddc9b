"""Reads of partners."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.crypto import Place, vault_of
from server.kernel.prepared import Autocommit, Prepared
from server.partners import models


@dataclass(frozen=True, slots=True)
class PartnerKey:
    """A live key, opened for checking a signature. Never leaves the server."""

    partner_id: UUID
    name: str
    key_id: str
    secret: str
    scopes: frozenset[str]
    active: bool

    def __repr__(self) -> str:
        """Leave the secret out of anything that prints."""
        return f"PartnerKey({self.key_id!r}, {self.name!r})"


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as staff see it."""

    key_id: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class PartnerView:
    """A partner as staff see it."""

    id: UUID
    name: str
    scopes: list[str]
    active: bool
    created_at: datetime
    keys: list[KeyView]


# Built once, and columns only: every call of a partner runs it.
_LIVE_KEY = Prepared(
    sa.select(
        models.PartnerKey.id,
        models.PartnerKey.secret_sealed,
        models.Partner.id.label("partner_id"),
        models.Partner.name,
        models.Partner.scopes,
        models.Partner.active,
    )
    .join_from(models.PartnerKey, models.Partner, models.Partner.id == models.PartnerKey.partner_id)
    .where(models.PartnerKey.key_id == sa.bindparam("key_id"), models.PartnerKey.slot.is_not(None))
)


def key(session: Session | Autocommit, key_id: str) -> PartnerKey | None:
    """Return a key that is live, or None; ``active`` tells whether its partner is."""
    row = _LIVE_KEY.one_or_none(session, {"key_id": key_id})
    if row is None:
        return None
    secret = vault_of(session).open(row.secret_sealed, Place("partner_keys", "secret_sealed", row.id))
    return PartnerKey(row.partner_id, row.name, key_id, secret, frozenset(row.scopes), row.active)


def list_partners(session: Session) -> list[PartnerView]:
    """Return all partners with their keys, by name."""
    partners = session.scalars(sa.select(models.Partner).order_by(models.Partner.name)).all()
    keys = session.scalars(sa.select(models.PartnerKey).order_by(models.PartnerKey.created_at, models.PartnerKey.id)).all()
    by_partner: dict[UUID, list[KeyView]] = {}
    for row in keys:
        by_partner.setdefault(row.partner_id, []).append(KeyView(row.key_id, row.created_at, row.revoked_at))
    return [PartnerView(row.id, row.name, list(row.scopes), row.active, row.created_at, by_partner.get(row.id, [])) for row in partners]


def find(session: Session, partner_id: UUID) -> PartnerView | None:
    """Return one partner, or None."""
    return next((view for view in list_partners(session) if view.id == partner_id), None)


def by_name(session: Session, name: str) -> UUID | None:
    """Return the partner of a name."""
    return session.scalar(sa.select(models.Partner.id).where(models.Partner.name == name))
