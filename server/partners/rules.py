"""Pure rules of partners: scopes, and the string a caller signs."""

from __future__ import annotations

import hashlib
import hmac
import re

SCOPES = ("members:read", "orders:write", "points:write", "coupons:write", "rewards:write", "tickets:write", "stock:write")
LIVE_KEYS = 2
TOLERANCE_SECONDS = 300
_NONCE = re.compile(r"[\x21-\x7e]{16,64}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


def string_to_sign(method: str, path_with_query: str, timestamp: str, nonce: str, body: bytes) -> bytes:
    """Return the bytes that are signed: method, path with query exactly as sent, timestamp, nonce and SHA-256 of the body."""
    return "\n".join([method, path_with_query, timestamp, nonce, hashlib.sha256(body).hexdigest()]).encode()


def signature_of(secret: str, signed: bytes) -> str:
    """Return the lower-hex HMAC-SHA256 of a string under a secret."""
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def signature_holds(secret: str, signed: bytes, given: str) -> bool:
    """Tell, in constant time, whether a signature is the one the secret gives."""
    return hmac.compare_digest(signature_of(secret, signed).encode(), given.encode())


def nonce_fits(nonce: str) -> bool:
    """Tell whether a nonce has 16 to 64 visible ASCII characters."""
    return bool(_NONCE.fullmatch(nonce))


def timestamp_fits(timestamp: str, now_seconds: float) -> bool:
    """Tell whether a timestamp is Unix seconds within five minutes of now, either way."""
    return bool(_TIMESTAMP.fullmatch(timestamp)) and abs(now_seconds - int(timestamp)) <= TOLERANCE_SECONDS
