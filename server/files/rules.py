"""What is taken, how addresses are signed. Pure."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 50_000_000
MAX_PER_DAY = 60

# The address of a picture stays the same for this long, so that a phone's cache can keep the picture.
_STEP_SECONDS = 300


class Purpose(StrEnum):
    """What an upload is for."""

    TICKET = "ticket"
    AVATAR = "avatar"
    REPLY = "reply"


# The longer side of what is kept, in pixels: enough to read a serial number on a ticket's photo.
LONGEST_SIDE: dict[Purpose, int] = {Purpose.TICKET: 2560, Purpose.REPLY: 2560, Purpose.AVATAR: 512}

SUFFIX: dict[str, str] = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


@dataclass(frozen=True, slots=True)
class SignedLink:
    """What the query of a file's address says."""

    expires: int
    signature: str


def content_type_of(data: bytes) -> str | None:
    """Return the content type that a file's first bytes show, or None when it is no picture that we take.

    What the client calls the file does not count: phones and tools often name it wrongly.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def link_for(upload_id: UUID, *, secret_key: str, now: datetime, ttl_seconds: int) -> SignedLink:
    """Sign an address that holds for at least ``ttl_seconds`` and up to five minutes longer."""
    expires = -(-(int(now.timestamp()) + ttl_seconds) // _STEP_SECONDS) * _STEP_SECONDS
    return SignedLink(expires, _signature(upload_id, expires, secret_key))


def link_holds(upload_id: UUID, link: SignedLink, *, secret_key: str, now: datetime) -> bool:
    """Tell whether an address was signed by us and has not expired."""
    genuine = hmac.compare_digest(_signature(upload_id, link.expires, secret_key).encode(), link.signature.encode())
    return genuine and now.timestamp() < link.expires


def _signature(upload_id: UUID, expires: int, secret_key: str) -> str:
    return hmac.new(secret_key.encode(), f"file-link|{upload_id}|{expires}".encode(), hashlib.sha256).hexdigest()
