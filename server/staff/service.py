"""Changes of staff accounts. Every one names an actor and a reason and leaves an audit entry."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.actors import StaffActor
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from server.staff import passwords, sessions
from server.staff.errors import DutiesConflictError, OwnAccountError, ReasonMissingError, StaffNotFoundError, UnknownRoleError
from server.staff.models import StaffAccount, StaffRecoveryCode, StaffRole
from server.staff.permissions import ROLES_BY_CODE, duties_of
from server.staff.rules import mask_email, normal_email

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

_NAME_CHARS = 60


def create(
    session: Session, *, email: str, name: str, password: str, roles: Collection[str], actor: Actor, reason: str, now: datetime
) -> UUID:
    """Open an account.

    Arguments:
        session: of a transaction.
        email: the log-in name.
        name: shown to colleagues and in the trail, at most 60 characters.
        password: the first one; it must be strong.
        roles: codes, at least one.
        actor: who opens it.
        reason: why.
        now: when.

    Returns:
        The account's id.

    Raises:
        InvalidError: no name or no e-mail address; its subclasses for a weak password, a missing reason, wrong roles.
        EmailTakenError: at the transaction's boundary.
    """
    address, called = normal_email(email), name.strip()
    if "@" not in address or not called or len(called) > _NAME_CHARS:
        raise InvalidError(fields={"email": "name@example.com", "name": f"1–{_NAME_CHARS}"})
    wanted = _checked_roles(roles)
    passwords.require_strong(password, about=(address, called))
    account_id = uuid7()
    session.add(
        StaffAccount(
            id=account_id,
            email=address,
            name=called,
            password_hash=passwords.hash_password(password),
            active=True,
            uniquifier=secrets.token_hex(32),
            created_at=now,
        )
    )
    session.flush()
    session.add_all([StaffRole(id=uuid7(), staff_id=account_id, role=role) for role in wanted])
    _record(session, actor, "staff.create", account_id, None, {"email": mask_email(address), "roles": wanted}, reason, now)
    return account_id


def assign_roles(session: Session, staff_id: UUID, roles: Collection[str], *, actor: Actor, reason: str, now: datetime) -> None:
    """Give an account exactly these roles; what it may do changes with its next request.

    Raises:
        StaffNotFoundError, OwnAccountError, UnknownRoleError, DutiesConflictError, ReasonMissingError.
    """
    account = _locked(session, staff_id, actor)
    wanted = _checked_roles(roles)
    held = sorted(session.scalars(sa.select(StaffRole.role).where(StaffRole.staff_id == account.id)))
    if held == wanted:
        return
    session.execute(sa.delete(StaffRole).where(StaffRole.staff_id == account.id, StaffRole.role.not_in(wanted)))
    session.add_all([StaffRole(id=uuid7(), staff_id=account.id, role=role) for role in wanted if role not in held])
    _record(session, actor, "staff.assign_roles", account.id, {"roles": held}, {"roles": wanted}, reason, now)


def disable(session: Session, staff_id: UUID, *, actor: Actor, reason: str, now: datetime) -> None:
    """Switch an account off and end its sessions.

    Raises:
        StaffNotFoundError, OwnAccountError, ReasonMissingError.
    """
    account = _locked(session, staff_id, actor)
    if not account.active:
        return
    account.active = False
    sessions.end_all(session, account, now)
    _record(session, actor, "staff.disable", account.id, {"active": True}, {"active": False}, reason, now)


def enable(session: Session, staff_id: UUID, *, actor: Actor, reason: str, now: datetime) -> None:
    """Switch an account on again, unlocked.

    Raises:
        StaffNotFoundError, OwnAccountError, ReasonMissingError.
    """
    account = _locked(session, staff_id, actor)
    if account.active and account.locked_until is None and not account.failures:
        return
    before = {"active": account.active, "locked": account.locked_until is not None}
    account.active, account.failures, account.locked_until = True, 0, None
    _record(session, actor, "staff.enable", account.id, before, {"active": True, "locked": False}, reason, now)


def reset_second_factor(session: Session, staff_id: UUID, *, actor: Actor, reason: str, now: datetime) -> None:
    """Forget the second factor and its recovery codes, and end all sessions; the next log-in sets up a new one.

    Raises:
        StaffNotFoundError, OwnAccountError, ReasonMissingError.
    """
    account = _locked(session, staff_id, actor)
    had = account.totp_confirmed_at is not None
    account.totp_secret, account.totp_confirmed_at, account.totp_last_step = None, None, 0
    sessions.end_all(session, account, now)
    session.execute(sa.delete(StaffRecoveryCode).where(StaffRecoveryCode.staff_id == account.id))
    _record(session, actor, "staff.reset_second_factor", account.id, {"second_factor": had}, {"second_factor": False}, reason, now)


def set_password(session: Session, staff_id: UUID, password: str, *, actor: Actor, reason: str, now: datetime) -> None:
    """Give an account another password and end its sessions; a person may do this to their own account.

    Raises:
        StaffNotFoundError, WeakPasswordError, ReasonMissingError.
    """
    account = _locked(session, staff_id, actor, own=True)
    passwords.require_strong(password, about=(account.email, account.name))
    account.password_hash = passwords.hash_password(password)
    sessions.end_all(session, account, now)
    account.failures, account.locked_until = 0, None
    _record(session, actor, "staff.set_password", account.id, None, None, reason, now)


def _checked_roles(roles: Collection[str]) -> list[str]:
    wanted = sorted(set(roles))
    if not wanted or any(role not in ROLES_BY_CODE for role in wanted):
        raise UnknownRoleError(fields={"roles": UnknownRoleError.message})
    if len(duties_of(tuple(wanted))) > 1:
        raise DutiesConflictError(fields={"roles": DutiesConflictError.message})
    return wanted


def _locked(session: Session, staff_id: UUID, actor: Actor, *, own: bool = False) -> StaffAccount:
    account = session.get(StaffAccount, staff_id, with_for_update=True, populate_existing=True)
    if account is None:
        raise StaffNotFoundError
    if not own and isinstance(actor, StaffActor) and actor.staff_id == staff_id:
        raise OwnAccountError
    return account


def _record(
    session: Session,
    actor: Actor,
    action: str,
    staff_id: UUID,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    reason: str,
    now: datetime,
) -> None:
    if not reason.strip():
        raise ReasonMissingError(fields={"reason": ReasonMissingError.message})
    audit.record(
        session,
        actor=actor,
        action=action,
        subject_type="staff",
        subject_id=staff_id,
        before=before,
        after=after,
        reason=reason.strip(),
        now=now,
    )
