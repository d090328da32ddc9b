"""What a page before Flask is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """A member's request.

    Arguments:
        environ: of WSGI; a body that was read is put back.
        path: of the address, decoded.
        access_hash: ``ids.token_hash`` of the token it shows.
        request_id: under which it is logged.
        now: present instant.
    """

    environ: dict[str, Any]
    path: str
    access_hash: str
    request_id: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Answered:
    """A plain answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
