"""How staff prove who they are. Pure."""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta

import pyotp

STEP_SECONDS = 30
MAX_FAILURES = 5
LOCK_TIME = timedelta(minutes=15)
RECOVERY_CODES = 8
SESSION_LIFE = timedelta(hours=12)
SESSION_IDLE = timedelta(hours=2)


def normal_email(email: str) -> str:
    """Return an e-mail address in the form it is compared in."""
    return email.strip().lower()


def matching_step(secret: str, code: str, now: datetime, after_step: int) -> int | None:
    """Return the time step a one-time code belongs to, or None (RFC 6238, one step of clock drift each way).

    Arguments:
        secret: base32.
        code: six digits, blanks allowed.
        now: the present instant.
        after_step: the last step that was used; that one and earlier ones no longer count, so a code works once.
    """
    digits = "".join(code.split())
    if len(digits) != 6 or not digits.isascii() or not digits.isdigit():  # noqa: PLR2004 - a code has six digits
        return None
    totp = pyotp.TOTP(secret, interval=STEP_SECONDS)
    present = int(now.timestamp()) // STEP_SECONDS
    for step in (present, present - 1, present + 1):
        if step > after_step and hmac.compare_digest(totp.at(step * STEP_SECONDS), digits):
            return step
    return None


def lock_until(failures: int, now: datetime) -> datetime | None:
    """Return until when an account is locked after this many failures in a row, or None."""
    return now + LOCK_TIME if failures >= MAX_FAILURES else None


def mask_email(email: str) -> str:
    """Return an e-mail address of which one sees whose it may be, not what it is."""
    name, _, domain = email.partition("@")
    return f"{name[:2]}***@{domain}"
