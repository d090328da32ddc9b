"""Calls that failed, kept for staff, and the pause of an interface that refuses us for a reason only staff can remove.

Invariants: one row for each interface and code, however often it fails; a pause grows with every try that fails after it, from one
minute to half an hour, and ends with the first call that is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.db import insert_if_absent, update_where
from server.kernel.ids import uuid7
from server.wechat.failures import Failure
from server.wechat.models import WeChatFailure
from server.wechat.policy import policy_of

# Without a token nothing else goes either.
TOKEN_ENDPOINT = "cgi-bin/stable_token"  # noqa: S105 - an address
SEND_ENDPOINT = "cgi-bin/message/subscribe/send"
_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(minutes=30)
_ENDPOINT_CHARS, _CODE_CHARS = 80, 32


@dataclass(frozen=True, slots=True)
class Trouble:
    """What failed how often, newest first in lists.

    Arguments:
        endpoint: the interface.
        code: WeChat's number or our word, see ``policy``.
        rid: WeChat's number of the latest such request, where it gave one.
        occurrences: how often.
        first_at, last_at: when first and last.
        paused_until: set while it is not over: the interface is not called before.
        pauses: how many pauses there were since it was last in order.
    """

    endpoint: str
    code: str
    rid: str | None
    occurrences: int
    first_at: datetime
    last_at: datetime
    paused_until: datetime | None
    pauses: int


def pause_after(tries: int) -> timedelta:
    """Return how long to wait after the n-th try that failed: doubling from a minute, at most half an hour."""
    return min(_FIRST_PAUSE * (1 << min(max(tries, 1) - 1, 10)), _LONGEST_PAUSE)


def note(session: Session, failure: Failure, *, appid: str, now: datetime) -> bool:
    """Write down a call that failed.

    Arguments:
        session: of a transaction of its own.
        failure: what the adapter told.
        appid: whose call.
        now: present instant.

    Returns:
        True when staff must act and did not have to before: the interface was in order until now.
    """
    key = {"appid": appid, "endpoint": failure.endpoint[:_ENDPOINT_CHARS], "code": failure.code[:_CODE_CHARS]}
    alert = policy_of(failure.code).alert
    fresh = {"rid": failure.rid, "occurrences": 1, "first_at": now, "last_at": now}
    pause = {"paused_until": now + pause_after(1) if alert else None, "pauses": int(alert)}
    if insert_if_absent(session, WeChatFailure, {"id": uuid7(), **key, **fresh, **pause}):
        return alert
    row = session.scalars(sa.select(WeChatFailure).filter_by(**key).with_for_update().execution_options(populate_existing=True)).one()
    row.occurrences += 1
    row.last_at, row.rid = max(row.last_at, now), failure.rid or row.rid
    opened = alert and row.paused_until is None
    # Calls that were under way when the pause began are no further tries.
    if alert and (row.paused_until is None or row.paused_until <= now):
        row.pauses += 1
        row.paused_until = now + pause_after(row.pauses)
    session.flush()
    return opened


def settle(session: Session, *, appid: str, endpoint: str) -> list[str]:
    """End the pauses of an interface that answers again, and of the token, without which it could not have answered.

    Returns:
        The codes that were not over until now.
    """
    statement = sa.select(WeChatFailure.id, WeChatFailure.code).where(
        WeChatFailure.appid == appid, WeChatFailure.endpoint.in_((endpoint, TOKEN_ENDPOINT)), WeChatFailure.paused_until.is_not(None)
    )
    codes = []
    for row in session.execute(statement.order_by(WeChatFailure.id)):
        over = sa.update(WeChatFailure).where(WeChatFailure.id == row.id, WeChatFailure.paused_until.is_not(None))
        if update_where(session, over.values(paused_until=None, pauses=0)):
            codes.append(row.code)
    return codes


def standing(session: Session, *, appid: str) -> list[Trouble]:
    """Return what is not over, newest first."""
    statement = sa.select(WeChatFailure).where(WeChatFailure.appid == appid, WeChatFailure.paused_until.is_not(None))
    return [_view(row) for row in session.scalars(statement.order_by(WeChatFailure.last_at.desc()))]


def latest(session: Session, *, appid: str, limit: int = 30) -> list[Trouble]:
    """Return what failed, newest first."""
    statement = sa.select(WeChatFailure).where(WeChatFailure.appid == appid)
    return [_view(row) for row in session.scalars(statement.order_by(WeChatFailure.last_at.desc()).limit(limit))]


def pause_of(session: Session, endpoints: Sequence[str], *, appid: str) -> datetime | None:
    """Return until when some interfaces are left alone (it may be over: then one call may try), or None when all are in order."""
    found = session.scalar(
        sa.select(sa.func.max(WeChatFailure.paused_until)).where(WeChatFailure.appid == appid, WeChatFailure.endpoint.in_(endpoints))
    )
    return found if isinstance(found, datetime) else None


def forget_old(session: Session, before: datetime, *, limit: int = 2000) -> int:
    """Delete up to ``limit`` failures that are over and were last seen before an instant; return how many."""
    statement = sa.select(WeChatFailure.id).where(WeChatFailure.last_at < before, WeChatFailure.paused_until.is_(None)).limit(limit)
    ids = session.scalars(statement).all()
    if ids:
        session.execute(sa.delete(WeChatFailure).where(WeChatFailure.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


def _view(row: WeChatFailure) -> Trouble:
    return Trouble(row.endpoint, row.code, row.rid, row.occurrences, row.first_at, row.last_at, row.paused_until, row.pauses)
