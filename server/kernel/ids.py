"""Identifiers: UUIDv7 keys made before the insert, numbers for people, and random tokens."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
import uuid
from datetime import timedelta

_lock = threading.Lock()
_last_stamp = 0


def uuid7() -> uuid.UUID:
    """Return a UUIDv7 (RFC 9562, §5.7), increasing within this process.

    The 12 bits after the milliseconds hold the fraction of the millisecond (method 3 of §6.2), so keys made
    in a row stay in the order they were made and an index on them grows at its right edge.
    """
    global _last_stamp  # noqa: PLW0603 - the last stamp is what keeps the order
    nanoseconds = time.time_ns()
    stamp = (nanoseconds // 1_000_000 << 12) | (nanoseconds % 1_000_000 * 4096 // 1_000_000)
    with _lock:
        stamp = max(stamp, _last_stamp + 1)
        _last_stamp = stamp
    value = (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62
    value |= int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return uuid.UUID(int=value)


def uuid7_before(age: timedelta) -> uuid.UUID:
    """Return the lowest UUIDv7 of an instant that lies ``age`` back on this machine's clock: what was made since is not below it."""
    milliseconds = (time.time_ns() - int(age.total_seconds() * 1_000_000_000)) // 1_000_000
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62)


def luhn_digit(digits: str) -> str:
    """Return the check digit (ISO/IEC 7812-1, annex B) that completes a run of decimal digits."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * 2 if place % 2 == 0 else int(digit)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 - the digits of a two-digit product are added
    return str(-total % 10)


def luhn_holds(digits: str) -> bool:
    """Tell whether a number ends in its own check digit."""
    return len(digits) > 1 and digits.isascii() and digits.isdigit() and luhn_digit(digits[:-1]) == digits[-1]


def random_digits(count: int) -> str:
    """Return ``count`` unguessable decimal digits."""
    return "".join(secrets.choice("0123456789") for _ in range(count))


def new_token() -> str:
    """Return an opaque token of 256 random bits, safe in a URL."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """Return the lower-hex SHA-256 of a token: all that is ever stored of it."""
    return hashlib.sha256(token.encode()).hexdigest()


# Letters and digits that nobody mistakes for one another when read aloud or typed (no 0 O 1 I L).
_PLAIN_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


def random_code(length: int) -> str:
    """Return an unguessable code of ``length`` capital letters and digits that are hard to confuse."""
    # One draw for all of them, 64 bits longer than it need be: so evenly does it fall on every code that nobody could tell.
    drawn, letters = secrets.randbits(length * 5 + 64), []
    for _ in range(length):
        drawn, place = divmod(drawn, len(_PLAIN_ALPHABET))
        letters.append(_PLAIN_ALPHABET[place])
    return "".join(letters)


def dated_number(day: str, prefix: str = "") -> str:
    """Return a number for people: prefix, day as ``yymmdd``, eight random digits, check digit.

    Random digits, because a sequence would tell a customer how much the brand sells and let one guess another's number.
    """
    body = f"{day}{random_digits(8)}"
    return f"{prefix}{body}{luhn_digit(body)}"
