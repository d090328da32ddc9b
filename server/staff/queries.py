"""Reads of staff accounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.staff.models import StaffAccount, StaffRecoveryCode, StaffRole, StaffSession
from server.staff.permissions import permissions_of
from server.staff.rules import SESSION_IDLE, SESSION_LIFE, normal_email

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class StaffView:
    """An account as lists and pages show it."""

    id: UUID
    name: str
    email: str
    roles: tuple[str, ...]
    active: bool
    second_factor: bool
    locked_until: datetime | None
    last_login_at: datetime | None
    last_login_address: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who a session belongs to and what they may do now."""

    id: UUID
    name: str
    email: str
    roles: tuple[str, ...]
    permissions: frozenset[str]
    uniquifier: str


@dataclass(frozen=True, slots=True)
class SessionView:
    """A browser that an account is signed in with."""

    id: UUID
    device: str
    address: str
    began_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class LoginAccount:
    """What the first step of a log-in needs."""

    id: UUID
    password_hash: str
    active: bool
    locked_until: datetime | None
    second_factor: bool


def find(session: Session, staff_id: UUID) -> StaffView | None:
    """Return one account, or None."""
    account = session.get(StaffAccount, staff_id)
    return _views(session, [account])[0] if account else None


def list_accounts(
    session: Session, request: PageRequest | None = None, *, text: str | None = None, role: str | None = None, active: bool | None = None
) -> Page[StaffView]:
    """Return one page of accounts, newest first.

    Arguments:
        session: only reads.
        request: which page.
        text: the beginning of a name or an e-mail address.
        role: only those who hold it.
        active: only those switched on, or off.
    """
    request = request or PageRequest()
    statement: Any = sa.select(StaffAccount)
    if text:
        start = text.strip()
        statement = statement.where(
            sa.or_(StaffAccount.name.startswith(start, autoescape=True), StaffAccount.email.startswith(start.lower(), autoescape=True))
        )
    if role:
        statement = statement.where(StaffAccount.id.in_(sa.select(StaffRole.staff_id).where(StaffRole.role == role)))
    if active is not None:
        statement = statement.where(StaffAccount.active.is_(active))
    rows: Any = session.scalars(keyset(statement, StaffAccount.created_at, StaffAccount.id, request)).all()
    return page_of(_views(session, rows), request, lambda view: (view.created_at, view.id))


def names(session: Session, staff_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return the names of some accounts, for lists that show who did a thing."""
    wanted = set(staff_ids)
    if not wanted:
        return {}
    rows = session.execute(sa.select(StaffAccount.id, StaffAccount.name).where(StaffAccount.id.in_(wanted))).all()
    return {row[0]: row[1] for row in rows}


def holders(session: Session, permission: str) -> list[StaffView]:
    """Return the active accounts that hold a permission, by name."""
    accounts = session.scalars(sa.select(StaffAccount).where(StaffAccount.active.is_(True)).order_by(StaffAccount.name)).all()
    return [view for view in _views(session, accounts) if permission in permissions_of(view.roles)]


def login_account(session: Session, email: str) -> LoginAccount | None:
    """Return what the first step of a log-in needs, or None."""
    account = session.scalars(sa.select(StaffAccount).where(StaffAccount.email == normal_email(email))).first()
    if account is None:
        return None
    return LoginAccount(account.id, account.password_hash, account.active, account.locked_until, account.totp_confirmed_at is not None)


def by_uniquifier(session: Session, uniquifier: str) -> SignedIn | None:
    """Return the active account that a session belongs to, or None."""
    account = session.scalars(sa.select(StaffAccount).where(StaffAccount.uniquifier == uniquifier, StaffAccount.active.is_(True))).first()
    if account is None:
        return None
    roles = _roles(session, [account.id]).get(account.id, ())
    return SignedIn(account.id, account.name, account.email, roles, permissions_of(roles), account.uniquifier)


def uniquifier_of(session: Session, staff_id: UUID) -> str | None:
    """Return the name of an account's sessions, or None when it is gone or switched off."""
    return session.scalar(sa.select(StaffAccount.uniquifier).where(StaffAccount.id == staff_id, StaffAccount.active.is_(True)))


def sessions_of(session: Session, staff_id: UUID, now: datetime) -> list[SessionView]:
    """Return the sessions of an account that count at present, the one used last first."""
    rows = session.scalars(
        sa.select(StaffSession)
        .where(
            StaffSession.staff_id == staff_id,
            StaffSession.ended_at.is_(None),
            StaffSession.seen_at > now - SESSION_IDLE,
            StaffSession.began_at > now - SESSION_LIFE,
        )
        .order_by(StaffSession.seen_at.desc(), StaffSession.id.desc())
    )
    return [SessionView(row.id, row.device, row.address, row.began_at, row.seen_at) for row in rows]


def session_counts(session: Session, staff_id: UUID, session_id: UUID) -> bool:
    """Tell whether a session has not been ended."""
    statement = sa.select(StaffSession.id).where(
        StaffSession.id == session_id, StaffSession.staff_id == staff_id, StaffSession.ended_at.is_(None)
    )
    return session.scalar(statement) is not None


def recovery_codes_left(session: Session, staff_id: UUID) -> int:
    """Return how many recovery codes are unspent."""
    statement = sa.select(sa.func.count()).where(StaffRecoveryCode.staff_id == staff_id, StaffRecoveryCode.spent_at.is_(None))
    return int(session.scalar(statement) or 0)


def _roles(session: Session, staff_ids: list[UUID]) -> dict[UUID, tuple[str, ...]]:
    rows = session.execute(sa.select(StaffRole.staff_id, StaffRole.role).where(StaffRole.staff_id.in_(staff_ids)).order_by(StaffRole.role))
    found: dict[UUID, tuple[str, ...]] = {}
    for staff_id, role in rows:
        found[staff_id] = (*found.get(staff_id, ()), role)
    return found


def _views(session: Session, accounts: Any) -> list[StaffView]:
    roles = _roles(session, [account.id for account in accounts])
    return [
        StaffView(
            account.id,
            account.name,
            account.email,
            roles.get(account.id, ()),
            account.active,
            account.totp_confirmed_at is not None,
            account.locked_until,
            account.last_login_at,
            account.last_login_address,
            account.created_at,
        )
        for account in accounts
    ]


def last_code_step(session: Session, staff_id: UUID) -> int:
    """Return the time step of the last one-time code an account used, 0 for none."""
    return int(session.scalar(sa.select(StaffAccount.totp_last_step).where(StaffAccount.id == staff_id)) or 0)
