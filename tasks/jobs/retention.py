"""Forgets what has served its purpose: ended sessions, member codes, partners' nonces, uploads nobody used."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from server.cards import service as cards
from server.files import service as files
from server.members import sessions
from server.partners import service as partners
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from server.bootstrap import Core

# A replayed code or nonce must still be known for as long as its own time of validity could be stretched by a wrong clock.
_KEEP_CODES = timedelta(days=1)
_KEEP_NONCES = timedelta(hours=1)
_KEEP_SESSIONS = timedelta(days=90)


def forget(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Delete what is past its time; return how many rows went."""
    return (
        in_batches(core, lambda session, now, limit: cards.forget_codes(session, now - _KEEP_CODES, limit=limit))
        + in_batches(core, lambda session, now, limit: partners.forget_nonces(session, now - _KEEP_NONCES, limit=limit))
        + in_batches(core, lambda session, now, limit: sessions.forget_sessions(session, now - _KEEP_SESSIONS, limit=limit))
        + in_batches(core, lambda session, now, limit: files.remove_unused(session, core.files, now=now, limit=limit), batch=200)
    )
