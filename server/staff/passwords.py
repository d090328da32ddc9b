"""Passwords: argon2id (RFC 9106, second recommended option's memory class), and what counts as strong enough."""

from __future__ import annotations

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from server.staff.errors import WeakPasswordError

MIN_CHARS = 10
MAX_CHARS = 128
_MIN_SCORE = 3
_hasher = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=2)


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password."""
    return _hasher.hash(password)


def password_holds(password_hash: str | None, password: str) -> bool:
    """Tell whether a password belongs to a hash; without a hash the same work is done and the answer is no."""
    try:
        held = _hasher.verify(password_hash or _hash_of_nobody(), password[:MAX_CHARS])
    except (VerificationError, InvalidHashError):
        return False
    return held and password_hash is not None


@cache
def _hash_of_nobody() -> str:
    return _hasher.hash("a password that nobody has")


def require_strong(password: str, *, about: tuple[str, ...] = ()) -> None:
    """Refuse a password that is short or easily guessed.

    Arguments:
        password: as chosen.
        about: words a guesser would try first (the name, the e-mail address).

    Raises:
        WeakPasswordError: says so.
    """
    if not MIN_CHARS <= len(password) <= MAX_CHARS or zxcvbn(password[:72], user_inputs=list(about))["score"] < _MIN_SCORE:
        raise WeakPasswordError(fields={"password": WeakPasswordError.message})
