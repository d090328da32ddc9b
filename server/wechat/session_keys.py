"""Session keys: kept sealed and for a day, each person's latest only, for what older mini-programs pass on encrypted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.crypto import Place, vault_of
from server.kernel.db import insert_if_absent
from server.kernel.ids import uuid7
from server.wechat.models import WeChatSessionKey

# WeChat says of a key only that it may end at any time; whoever comes later than this logs in again.
KEPT_FOR = timedelta(hours=24)


def keep(session: Session, openid: str, session_key: str, *, now: datetime) -> None:
    """Keep the key of a person's log-in in place of an earlier one, which WeChat has ended with it.

    Arguments:
        session: of the transaction of the log-in.
        openid: whose key.
        session_key: as WeChat gave it.
        now: present instant.
    """
    index = vault_of(session).index("openid", openid)
    for _ in range(2):
        row = session.scalar(_of(index).with_for_update().execution_options(populate_existing=True))
        key_id = row.id if row is not None else uuid7()
        sealed = vault_of(session).seal(session_key, _place(key_id))
        if row is not None:
            row.key_sealed, row.expires_at = sealed, now + KEPT_FOR
            session.flush()
            return
        values = {"id": key_id, "openid_index": index, "key_sealed": sealed, "expires_at": now + KEPT_FOR}
        if insert_if_absent(session, WeChatSessionKey, values):
            return
        # Another log-in of this person wrote the row meanwhile; it is there to be locked now.


def find(session: Session, openid: str, *, now: datetime) -> str | None:
    """Return the key of a person's latest log-in, or None when there is none or it is too old."""
    row = session.scalar(_of(vault_of(session).index("openid", openid)))
    if row is None or row.expires_at <= now:
        return None
    return vault_of(session).open(row.key_sealed, _place(row.id))


def index_of(session: Session, openid: str) -> str:
    """Return the blind index of an openid."""
    return vault_of(session).index("openid", openid)


def forget(session: Session, openid_indexes: Sequence[str]) -> None:
    """Delete the keys of some openids, given by blind indexes of kind ``openid``."""
    if openid_indexes:
        statement = sa.delete(WeChatSessionKey).where(WeChatSessionKey.openid_index.in_(openid_indexes))
        session.execute(statement.execution_options(synchronize_session=False))


def forget_expired(session: Session, now: datetime, *, limit: int = 2000) -> int:
    """Delete up to ``limit`` keys whose time is over; return how many."""
    ids = session.scalars(
        sa.select(WeChatSessionKey.id).where(WeChatSessionKey.expires_at <= now).order_by(WeChatSessionKey.expires_at).limit(limit)
    ).all()
    if ids:
        # The time is asked again: a log-in may have renewed one of them since.
        statement = sa.delete(WeChatSessionKey).where(WeChatSessionKey.id.in_(ids), WeChatSessionKey.expires_at <= now)
        session.execute(statement.execution_options(synchronize_session=False))
    return len(ids)


def _of(index: str) -> sa.Select[WeChatSessionKey]:
    return sa.select(WeChatSessionKey).where(WeChatSessionKey.openid_index == index)


def _place(key_id: UUID) -> Place:
    return Place("wechat_session_keys", "key_sealed", key_id)
