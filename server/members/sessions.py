"""Log-in through WeChat, and the family of tokens each log-in holds.

A session has one live access token (2 h) and one live refresh token (30 d); a refresh replaces both. A refresh token seen again
revokes its whole session, for either it was stolen or a client lost count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.db import update_where
from server.kernel.ids import new_token, token_hash, uuid7
from server.members import queries, rules
from server.members.enrolment import announce, claim_identity, forget_unborn, new_member
from server.members.errors import RefreshTokenInvalidError
from server.members.models import Member, MemberConsent, MemberIdentity, MemberSession, UsedRefreshToken
from server.members.rows import lock

_CLIENT_CHARS = 160
_SESSIONS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Tokens:
    """A fresh pair of tokens."""

    access_token: str
    refresh_token: str
    expires_in_seconds: int
    member_id: UUID
    session_id: UUID


@dataclass(frozen=True, slots=True)
class Login:
    """What a log-in gives."""

    access_token: str
    refresh_token: str
    expires_in_seconds: int
    member_id: UUID
    session_id: UUID
    is_new: bool
    phone_bound: bool


def login_with_wechat(
    session: Session,
    *,
    appid: str,
    openid: str,
    unionid: str | None,
    client: str | None = None,
    address: str | None = None,
    invite_code: str | None = None,
    policy_version: str | None = None,
    now: datetime,
) -> Login:
    """Log a WeChat user in, enrolling them when they are new. Two first log-ins at once give one member.

    Arguments:
        session: of an open transaction.
        appid: the app the code was made for.
        openid: who WeChat says it is, in that app.
        unionid: the same person across the brand's apps, when WeChat tells.
        client: what the device calls itself.
        address: network address; only its network is kept.
        invite_code: what a new member was invited with.
        policy_version: the membership terms the person agreed to on the log-in page.
        now: present instant.
    """
    channel = f"{rules.WECHAT_PREFIX}{appid}"
    member_id = queries.by_openid(session, openid, appid)
    is_new = False
    if member_id is None and unionid:
        member_id = queries.by_external(session, rules.WECHAT_UNION, unionid)
    if member_id is not None and lock(session, member_id).status == "deleted":
        # Deleted between our look and the lock: who logs in now joins anew.
        member_id = None
    if member_id is None:
        member_id, is_new = _enrol(session, channel, openid, unionid, invite_code, now)
    else:
        member_id = claim_identity(session, member_id, channel, openid, now)
        if unionid:
            claim_identity(session, member_id, rules.WECHAT_UNION, unionid, now)
    if policy_version:
        _agree(session, member_id, policy_version, now)
    tokens = open_session(session, member_id, client=client, address=address, now=now)
    bound = session.scalar(sa.select(Member.phone_index).where(Member.id == member_id)) is not None
    return Login(
        tokens.access_token,
        tokens.refresh_token,
        tokens.expires_in_seconds,
        member_id,
        tokens.session_id,
        is_new,
        bound,
    )


def _enrol(
    session: Session,
    channel: str,
    openid: str,
    unionid: str | None,
    invite_code: str | None,
    now: datetime,
) -> tuple[UUID, bool]:
    member_id = new_member(session, joined_via="wechat", phone=None, invite_code=invite_code, now=now)
    if member_id is None:
        message = "a member without a phone number cannot clash"
        raise AssertionError(message)
    # The openid is claimed first: it is what two simultaneous log-ins of one person share.
    holder = claim_identity(session, member_id, channel, openid, now)
    if holder == member_id and unionid:
        holder = claim_identity(session, member_id, rules.WECHAT_UNION, unionid, now)
        if holder != member_id:
            # Known from another app since a moment ago: the openid goes to that member.
            session.execute(
                sa.update(MemberIdentity)
                .where(MemberIdentity.member_id == member_id)
                .values(member_id=holder)
                .execution_options(synchronize_session=False),
            )
    if holder != member_id:
        forget_unborn(session, member_id)
        return holder, False
    announce(session, member_id, now)
    return member_id, True


def _agree(session: Session, member_id: UUID, policy_version: str, now: datetime) -> None:
    version = policy_version[:32]
    for consent in queries.consents_of(session, member_id):
        if consent.purpose == "membership_terms" and consent.granted and consent.policy_version == version:
            return
    session.add(
        MemberConsent(
            id=uuid7(),
            member_id=member_id,
            purpose="membership_terms",
            policy_version=version,
            granted=True,
            source="login",
            occurred_at=now,
        ),
    )
    session.flush()


def open_session(session: Session, member_id: UUID, *, client: str | None, address: str | None, now: datetime) -> Tokens:
    """Open a log-in for a member; beyond twenty live ones the oldest is closed."""
    access, refresh, session_id = new_token(), new_token(), uuid7()
    session.add(
        MemberSession(
            id=session_id,
            member_id=member_id,
            access_hash=token_hash(access),
            access_expires_at=now + timedelta(seconds=rules.ACCESS_SECONDS),
            refresh_hash=token_hash(refresh),
            refresh_expires_at=now + timedelta(seconds=rules.REFRESH_SECONDS),
            client=client[:_CLIENT_CHARS] if client else None,
            network=rules.network_of(address),
            created_at=now,
            last_seen_at=now,
        ),
    )
    session.flush()
    live = session.scalars(
        sa.select(MemberSession.id)
        .where(MemberSession.member_id == member_id, MemberSession.revoked_at.is_(None), MemberSession.refresh_expires_at > now)
        .order_by(MemberSession.last_seen_at.desc(), MemberSession.id.desc()),
    ).all()
    for stale in live[_SESSIONS_KEPT:]:
        _revoke(session, MemberSession.id == stale, "too_many", now)
    return Tokens(access, refresh, rules.ACCESS_SECONDS, member_id, session_id)


def refresh(session: Session, refresh_token: str, *, now: datetime) -> Tokens | None:
    """Exchange a refresh token for a fresh pair.

    Returns:
        The pair, or None when the token had been used before: its session is revoked now, which the caller must commit before
        refusing.

    Raises:
        RefreshTokenInvalidError: unknown, expired or revoked.
    """
    given = token_hash(refresh_token)
    access, fresh = new_token(), new_token()
    rotated = update_where(
        session,
        sa.update(MemberSession)
        .where(MemberSession.refresh_hash == given, MemberSession.refresh_expires_at > now, MemberSession.revoked_at.is_(None))
        .values(
            access_hash=token_hash(access),
            access_expires_at=now + timedelta(seconds=rules.ACCESS_SECONDS),
            refresh_hash=token_hash(fresh),
            refresh_expires_at=now + timedelta(seconds=rules.REFRESH_SECONDS),
            last_seen_at=now,
        ),
    )
    if not rotated:
        family = session.scalar(sa.select(UsedRefreshToken.session_id).where(UsedRefreshToken.token_hash == given))
        if family is None:
            raise RefreshTokenInvalidError
        _revoke(session, MemberSession.id == family, "token_reused", now)
        return None
    row = session.execute(
        sa.select(MemberSession.id, MemberSession.member_id, Member.status)
        .join(Member, Member.id == MemberSession.member_id)
        .where(MemberSession.refresh_hash == token_hash(fresh)),
    ).one()
    if row.status not in rules.LIVE_STATUSES:
        raise RefreshTokenInvalidError
    session.add(UsedRefreshToken(id=uuid7(), session_id=row.id, token_hash=given, used_at=now))
    session.flush()
    return Tokens(access, fresh, rules.ACCESS_SECONDS, row.member_id, row.id)


def log_out(session: Session, member_id: UUID, *, session_id: UUID | None, now: datetime) -> int:
    """Close one log-in of a member, or all of them when ``session_id`` is None; return how many were open."""
    of_member = MemberSession.member_id == member_id
    which = of_member if session_id is None else sa.and_(of_member, MemberSession.id == session_id)
    return _revoke(session, which, "logged_out", now)


def _revoke(session: Session, which: sa.ColumnElement[bool], because: str, now: datetime) -> int:
    return update_where(
        session,
        sa.update(MemberSession).where(which, MemberSession.revoked_at.is_(None)).values(revoked_at=now, revoked_because=because),
    )


def forget_sessions(session: Session, before: datetime, *, limit: int = 2000) -> int:
    """Delete up to ``limit`` log-ins that ended before an instant, with their used tokens; return how many."""
    ids = session.scalars(sa.select(MemberSession.id).where(MemberSession.refresh_expires_at < before).limit(limit)).all()
    if ids:
        session.execute(sa.delete(UsedRefreshToken).where(UsedRefreshToken.session_id.in_(ids)))
        session.execute(sa.delete(MemberSession).where(MemberSession.id.in_(ids)))
    return len(ids)


def forget_used_tokens(session: Session, before: datetime, *, limit: int = 2000) -> int:
    """Delete up to ``limit`` tokens that were rotated away before an instant; their log-ins may still live. Return how many."""
    ids = session.scalars(sa.select(UsedRefreshToken.id).where(UsedRefreshToken.used_at < before).limit(limit)).all()
    if ids:
        session.execute(sa.delete(UsedRefreshToken).where(UsedRefreshToken.id.in_(ids)))
    return len(ids)
