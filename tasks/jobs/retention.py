"""Forgets what has served its purpose. What is kept for how long, and what for good, is told in ``docs/operate.md``."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from server.cards import service as cards
from server.coupons import service as coupons
from server.files import service as files
from server.members import sessions
from server.notifications import retention as notifications
from server.partners import service as partners
from server.points import reminders
from server.risk import service as risk
from server.screening import service as screening
from server.wechat import service as wechat
from server.wechat import session_keys, troubles
from tasks.jobs.sweeps import BATCH, in_batches

if TYPE_CHECKING:
    from server.bootstrap import Core

# A replayed code or nonce must still be known for as long as its own time of validity could be stretched by a wrong clock.
_KEEP_CODES = timedelta(days=1)
_KEEP_NONCES = timedelta(hours=1)
_KEEP_SESSIONS = timedelta(days=90)
# A receipt waits for a call that is being written down: minutes, not days.
_KEEP_RECEIPTS = timedelta(days=7)
# A notice is never told again once its day is over.
_KEEP_NOTICES = timedelta(days=2)
# Wrong codes are counted for a day.
_KEEP_TRIES = timedelta(days=2)
# WeChat itself knows a request's number for seven days; staff may want to see how often it used to happen.
_KEEP_FAILURES = timedelta(days=30)
# A file is stored a moment before its row is committed.
_ORPHANED_AFTER = timedelta(days=1)


def forget(core: Core, period: datetime) -> int:  # noqa: ARG001 - the same whenever it runs
    """Delete what is past its time; return how many rows went."""
    pushes, messages = timedelta(days=core.settings.push_days), timedelta(days=core.settings.message_days)
    return (
        in_batches(core, lambda session, now, limit: wechat.forget_old_pushes(session, now - pushes, limit=limit))
        + in_batches(core, lambda session, now, limit: session_keys.forget_expired(session, now, limit=limit))
        + in_batches(core, lambda session, now, limit: troubles.forget_old(session, now - _KEEP_FAILURES, limit=limit))
        + in_batches(core, lambda session, now, limit: notifications.forget_messages(session, now - messages, limit=limit))
        + in_batches(core, lambda session, now, limit: notifications.forget_receipts(session, now - _KEEP_RECEIPTS, limit=limit))
        + in_batches(core, lambda session, now, limit: sessions.forget_used_tokens(session, now - _KEEP_SESSIONS, limit=limit))
        + in_batches(core, lambda session, now, limit: cards.forget_codes(session, now - _KEEP_CODES, limit=limit))
        + in_batches(core, lambda session, now, limit: partners.forget_nonces(session, now - _KEEP_NONCES, limit=limit))
        + in_batches(core, lambda session, now, limit: sessions.forget_sessions(session, now - _KEEP_SESSIONS, limit=limit))
        + in_batches(core, lambda session, now, limit: reminders.forget_notices(session, (now - _KEEP_NOTICES).date(), limit))
        + in_batches(core, lambda session, now, limit: coupons.forget_tries(session, now - _KEEP_TRIES, limit=limit))
        + in_batches(core, lambda session, now, limit: risk.forget_old(session, now, limit=limit))
        + in_batches(core, screening.forget_old)
        + in_batches(core, lambda session, now, limit: files.remove_unused(session, core.files, now=now, limit=limit), batch=200)
        + _remove_orphans(core)
    )


def _remove_orphans(core: Core) -> int:
    """Remove pictures whose row was never committed because the process died in between."""
    before = core.clock.now() - _ORPHANED_AFTER
    names = core.files.names(files.FOLDER, before)
    removed = 0
    while chunk := list(islice(names, BATCH)):
        with core.db.reading() as session:
            known = files.known_names(session, chunk)
        for name in set(chunk) - known:
            core.files.delete(name)
            removed += 1
    return removed
