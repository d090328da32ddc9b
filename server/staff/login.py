"""Log-in: password, then a one-time or recovery code, with a lock after failures.

The password is checked outside any transaction, since argon2 takes its time; what came of it is written afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyotp
import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.actors import StaffActor
from server.kernel.crypto import Place, vault_of
from server.kernel.db import update_where
from server.kernel.ids import random_code, token_hash, uuid7
from server.staff import sessions
from server.staff.errors import LoginRefusedError, SecondFactorMissingError
from server.staff.models import StaffAccount, StaffRecoveryCode
from server.staff.rules import RECOVERY_CODES, lock_until, matching_step

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

_RECOVERY_CHARS = 10


def note_failure(session: Session, staff_id: UUID, *, address: str | None, now: datetime) -> None:
    """Count a failed attempt; the fifth in a row locks the account for a quarter of an hour.

    Arguments:
        session: of a transaction that commits although the log-in is refused.
        staff_id: whose account.
        address: where the attempt came from.
        now: when.
    """
    account = _locked(session, staff_id)
    if account.locked_until is not None and account.locked_until <= now:
        account.failures, account.locked_until = 0, None
    account.failures += 1
    locked = lock_until(account.failures, now)
    if locked is not None and account.locked_until is None:
        account.locked_until = locked
        audit.record(
            session,
            actor=_self(account, address),
            action="staff.locked",
            subject_type="staff",
            subject_id=account.id,
            after={"failures": account.failures, "until": locked.isoformat()},
            now=now,
        )
    session.flush()


def pass_code(session: Session, staff_id: UUID, code: str, *, address: str | None, now: datetime) -> bool:
    """Check the second step and, when it holds, note the log-in. A code works once.

    Arguments:
        session: of a transaction that commits whatever comes of it.
        staff_id: whose password held.
        code: six digits, or a recovery code.
        address: where from.
        now: when.

    Returns:
        True when the log-in is complete; False when refused, the failure counted.
    """
    account = _locked(session, staff_id)
    if not account.active or (account.locked_until is not None and account.locked_until > now):
        return False
    if account.totp_secret is None or account.totp_confirmed_at is None:
        return False
    step = matching_step(_open(session, account), code, now, account.totp_last_step)
    recovered = step is None and _spend_recovery_code(session, staff_id, code, now)
    if step is None and not recovered:
        note_failure(session, staff_id, address=address, now=now)
        return False
    if step is not None:
        account.totp_last_step = step
    _note_login(session, account, address, now, recovered=recovered)
    return True


def begin_enrolment(session: Session, staff_id: UUID) -> str:
    """Return the secret to set up an authenticator with; the same one until it is confirmed.

    Raises:
        LoginRefusedError: the account is switched off, or its second factor is set up already.
    """
    account = _locked(session, staff_id)
    if not account.active or account.totp_confirmed_at is not None:
        raise LoginRefusedError
    if account.totp_secret is not None:
        return _open(session, account)
    secret = pyotp.random_base32()
    account.totp_secret = vault_of(session).seal(secret, _place(account.id))
    session.flush()
    return secret


def confirm_enrolment(session: Session, staff_id: UUID, code: str, *, address: str | None, now: datetime) -> list[str] | None:
    """Confirm a new authenticator by its first code, and note the log-in.

    Returns:
        The recovery codes, shown this once; None when the code is wrong (the failure is counted).

    Raises:
        SecondFactorMissingError: nothing to confirm.
    """
    account = _locked(session, staff_id)
    if account.totp_secret is None or account.totp_confirmed_at is not None or not account.active:
        raise SecondFactorMissingError
    if account.locked_until is not None and account.locked_until > now:
        return None
    step = matching_step(_open(session, account), code, now, account.totp_last_step)
    if step is None:
        note_failure(session, staff_id, address=address, now=now)
        return None
    account.totp_confirmed_at, account.totp_last_step = now, step
    codes = [random_code(_RECOVERY_CHARS) for _ in range(RECOVERY_CODES)]
    session.add_all([StaffRecoveryCode(id=uuid7(), staff_id=account.id, code_hash=token_hash(code)) for code in codes])
    audit.record(
        session, actor=_self(account, address), action="staff.second_factor_set", subject_type="staff", subject_id=account.id, now=now
    )
    _note_login(session, account, address, now, recovered=False)
    return codes


def set_known_secret(session: Session, staff_id: UUID, secret: str, *, now: datetime) -> None:
    """Set up an authenticator whose secret is known beforehand; for demonstration accounts only."""
    account = _locked(session, staff_id)
    account.totp_secret = vault_of(session).seal(secret, _place(account.id))
    account.totp_confirmed_at = now
    session.flush()


def note_logout(session: Session, staff_id: UUID, *, everywhere: bool, address: str | None, now: datetime) -> None:
    """Note a log-out; ``everywhere`` ends all sessions of the account."""
    account = _locked(session, staff_id)
    if everywhere:
        sessions.end_all(session, account, now)
    audit.record(
        session,
        actor=_self(account, address),
        action="staff.logout",
        subject_type="staff",
        subject_id=account.id,
        after={"everywhere": everywhere},
        now=now,
    )


def _note_login(session: Session, account: StaffAccount, address: str | None, now: datetime, *, recovered: bool) -> None:
    account.failures, account.locked_until = 0, None
    account.last_login_at, account.last_login_address = now, address
    audit.record(
        session,
        actor=_self(account, address),
        action="staff.login",
        subject_type="staff",
        subject_id=account.id,
        after={"by": "recovery_code" if recovered else "one_time_code"},
        now=now,
    )


def _spend_recovery_code(session: Session, staff_id: UUID, code: str, now: datetime) -> bool:
    plain = "".join(code.split()).replace("-", "").upper()
    if len(plain) != _RECOVERY_CHARS:
        return False
    spent = update_where(
        session,
        sa.update(StaffRecoveryCode)
        .where(
            StaffRecoveryCode.staff_id == staff_id, StaffRecoveryCode.code_hash == token_hash(plain), StaffRecoveryCode.spent_at.is_(None)
        )
        .values(spent_at=now),
    )
    return spent == 1


def _locked(session: Session, staff_id: UUID) -> StaffAccount:
    account = session.get(StaffAccount, staff_id, with_for_update=True, populate_existing=True)
    if account is None:
        raise LoginRefusedError
    return account


def _open(session: Session, account: StaffAccount) -> str:
    return vault_of(session).open(account.totp_secret or "", _place(account.id))


def _place(staff_id: UUID) -> Place:
    return Place("staff_accounts", "totp_secret", staff_id)


def _self(account: StaffAccount, address: str | None) -> StaffActor:
    return StaffActor(account.id, account.name, frozenset(), address)
