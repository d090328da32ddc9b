"""Reads of members' log-ins: whom a token belongs to, and where a member is logged in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.prepared import Autocommit, Prepared
from server.members.models import Member, MemberSession
from server.members.rules import LIVE_STATUSES


@dataclass(frozen=True, slots=True)
class AuthenticatedMember:
    """Whom an access token belongs to."""

    member_id: UUID
    session_id: UUID
    status: str


@dataclass(frozen=True, slots=True)
class SessionView:
    """One log-in of a member."""

    id: UUID
    client: str | None
    network: str | None
    created_at: datetime
    last_seen_at: datetime


def token_lives() -> sa.ColumnElement[bool]:
    """Return the condition that a log-in's access token lets in; its parameters are ``access_hash`` and ``now``."""
    return sa.and_(
        MemberSession.access_hash == sa.bindparam("access_hash"),
        MemberSession.access_expires_at > sa.bindparam("now", type_=MemberSession.access_expires_at.type),
        MemberSession.revoked_at.is_(None),
        Member.status.in_([sa.literal(status) for status in LIVE_STATUSES]),
    )


# Built once: every request of a member runs it.
_BY_ACCESS_TOKEN = Prepared(
    sa.select(MemberSession.id, Member.id.label("member_id"), Member.status)
    .join_from(MemberSession, Member, Member.id == MemberSession.member_id)
    .where(token_lives())
)


def session_by_access_token(session: Session | Autocommit, access_hash: str, now: datetime) -> AuthenticatedMember | None:
    """Return whom a live access token belongs to, in one statement.

    Arguments:
        session: of an open transaction, or a connection for single statements.
        access_hash: ``ids.token_hash`` of the token.
        now: present instant.
    """
    row = _BY_ACCESS_TOKEN.one_or_none(session, {"access_hash": access_hash, "now": now})
    return AuthenticatedMember(row.member_id, row.id, row.status) if row is not None else None


def sessions_of(session: Session, member_id: UUID, now: datetime) -> list[SessionView]:
    """Return a member's live log-ins, newest first (at most 100)."""
    rows = session.execute(
        sa.select(
            MemberSession.id,
            MemberSession.client,
            MemberSession.network,
            MemberSession.created_at,
            MemberSession.last_seen_at,
        )
        .where(MemberSession.member_id == member_id, MemberSession.revoked_at.is_(None), MemberSession.refresh_expires_at > now)
        .order_by(MemberSession.last_seen_at.desc(), MemberSession.id.desc())
        .limit(100),
    )
    return [SessionView(*row) for row in rows]
