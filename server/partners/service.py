"""Verbs that change partners and their keys."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.audit import service as audit
from server.kernel.actors import Actor
from server.kernel.crypto import Place, vault_of
from server.kernel.db import insert_if_absent, update_where
from server.kernel.ids import random_code, uuid7
from server.kernel.prepared import Autocommit
from server.partners import rules
from server.partners.errors import NonceReusedError, PartnerNameTakenError, PartnerNotFoundError, ScopeUnknownError, TooManyKeysError
from server.partners.models import Partner, PartnerKey, PartnerNonce

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: the only time its secret can be read."""

    partner_id: UUID
    key_id: str
    secret: str

    def __repr__(self) -> str:
        """Leave the secret out of anything that prints."""
        return f"NewKey({self.key_id!r})"


def create(
    session: Session,
    name: str,
    scopes: Sequence[str],
    *,
    actor: Actor,
    now: datetime,
    key_id: str | None = None,
    secret: str | None = None,
) -> NewKey:
    """Create a partner with its first key.

    Arguments:
        session: of an open transaction.
        name: unique, shown to staff.
        scopes: what it may do, of ``rules.SCOPES``.
        actor: who creates it.
        now: present instant.
        key_id: fixed only for demo data, otherwise random.
        secret: likewise.

    Raises:
        ScopeUnknownError: no scope, or one that does not exist.
        PartnerNameTakenError: the name is taken.
    """
    wanted = _checked_scopes(scopes)
    partner_id = uuid7()
    values = {"id": partner_id, "name": name.strip()[:80], "scopes": wanted, "active": True, "created_at": now}
    if not insert_if_absent(session, Partner, values):
        raise PartnerNameTakenError
    audit.record(
        session,
        actor=actor,
        action="partner.create",
        subject_type="partner",
        subject_id=partner_id,
        after={"name": values["name"], "scopes": wanted},
        now=now,
    )
    return add_key(session, partner_id, actor=actor, now=now, key_id=key_id, secret=secret)


def _checked_scopes(scopes: Sequence[str]) -> list[str]:
    wanted = sorted(set(scopes))
    if not wanted or not set(wanted) <= set(rules.SCOPES):
        raise ScopeUnknownError(fields={"scopes": ", ".join(rules.SCOPES)})
    return wanted


def _lock(session: Session, partner_id: UUID) -> Partner:
    partner = session.scalar(
        sa.select(Partner).where(Partner.id == partner_id).with_for_update().execution_options(populate_existing=True),
    )
    if partner is None:
        raise PartnerNotFoundError
    return partner


def add_key(
    session: Session,
    partner_id: UUID,
    *,
    actor: Actor,
    now: datetime,
    key_id: str | None = None,
    secret: str | None = None,
) -> NewKey:
    """Add a second key, so that the first can be replaced without a pause.

    Raises:
        PartnerNotFoundError: there is no such partner.
        TooManyKeysError: two keys are live.
    """
    _lock(session, partner_id)
    taken = set(session.scalars(sa.select(PartnerKey.slot).where(PartnerKey.partner_id == partner_id, PartnerKey.slot.is_not(None))))
    free = [slot for slot in range(1, rules.LIVE_KEYS + 1) if slot not in taken]
    if not free:
        raise TooManyKeysError
    row_id = uuid7()
    new = NewKey(partner_id, key_id or f"hk_{random_code(16)}", secret or secrets.token_urlsafe(_SECRET_BYTES))
    session.add(
        PartnerKey(
            id=row_id,
            partner_id=partner_id,
            key_id=new.key_id,
            secret_sealed=vault_of(session).seal(new.secret, Place("partner_keys", "secret_sealed", row_id)),
            slot=free[0],
            created_at=now,
        ),
    )
    session.flush()
    audit.record(
        session,
        actor=actor,
        action="partner_key.create",
        subject_type="partner",
        subject_id=partner_id,
        after={"key_id": new.key_id},
        now=now,
    )
    return new


def revoke_key(session: Session, key_id: str, *, actor: Actor, now: datetime) -> None:
    """Revoke a key at once. Revoking it again changes nothing.

    Raises:
        PartnerNotFoundError: there is no such key.
    """
    partner_id = session.scalar(sa.select(PartnerKey.partner_id).where(PartnerKey.key_id == key_id))
    if partner_id is None:
        raise PartnerNotFoundError
    revoked = update_where(
        session,
        sa.update(PartnerKey).where(PartnerKey.key_id == key_id, PartnerKey.slot.is_not(None)).values(slot=None, revoked_at=now),
    )
    if revoked:
        audit.record(
            session,
            actor=actor,
            action="partner_key.revoke",
            subject_type="partner",
            subject_id=partner_id,
            before={"key_id": key_id},
            now=now,
        )


def change(
    session: Session,
    partner_id: UUID,
    *,
    scopes: Sequence[str] | None = None,
    active: bool | None = None,
    actor: Actor,
    now: datetime,
) -> None:
    """Change what a partner may do, or switch it off or on. None leaves a thing as it is.

    Raises:
        PartnerNotFoundError: there is no such partner.
        ScopeUnknownError: no scope, or one that does not exist.
    """
    partner = _lock(session, partner_id)
    before = {"scopes": list(partner.scopes), "active": partner.active}
    if scopes is not None:
        partner.scopes = _checked_scopes(scopes)
    if active is not None:
        partner.active = active
    session.flush()
    audit.record(
        session,
        actor=actor,
        action="partner.change",
        subject_type="partner",
        subject_id=partner_id,
        before=before,
        after={"scopes": list(partner.scopes), "active": partner.active},
        now=now,
    )


def take_nonce(session: Session | Autocommit, key_id: str, nonce: str, *, now: datetime) -> None:
    """Take a nonce; of two requests that send the same one, one is let in.

    Raises:
        NonceReusedError: it was taken before.
    """
    values = {"id": uuid7(), "key_id": key_id, "nonce": nonce, "seen_at": now}
    if not insert_if_absent(session, PartnerNonce, values):
        raise NonceReusedError


def forget_nonces(session: Session, before: datetime, *, limit: int = 5000) -> int:
    """Delete up to ``limit`` nonces seen before an instant; return how many.

    ``before`` must lie at least ``2 × TOLERANCE_SECONDS`` back: a timestamp may be five minutes ahead when its nonce is taken.
    """
    ids = session.scalars(sa.select(PartnerNonce.id).where(PartnerNonce.seen_at < before).limit(limit)).all()
    if ids:
        session.execute(sa.delete(PartnerNonce).where(PartnerNonce.id.in_(ids)))
    return len(ids)
