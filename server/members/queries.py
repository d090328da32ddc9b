"""Reads of members. Views are frozen; a phone number leaves only masked unless ``phone_of`` is asked for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.crypto import Place, vault_of
from server.kernel.db import one_of
from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.kernel.prepared import Prepared
from server.members.errors import MemberNotFoundError
from server.members.models import Member, MemberChangeRequest, MemberConsent, MemberIdentity
from server.members.rules import (
    LIVE_STATUSES,
    WECHAT_PREFIX,
    WECHAT_UNION,
    Birthday,
    completeness,
    masked_phone,
    phone_tail,
)

_MAX_HOPS = 20
Held = TypeVar("Held", bound="sa.Select[*tuple[Any, ...]]")
_KNOWN = Prepared(sa.select(Member.id).where(Member.id == sa.bindparam("member_id", type_=Member.id.type)))


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member as other domains and staff may see it: no number in the clear."""

    id: UUID
    status: str
    status_reason: str | None
    merged_into: UUID | None
    nickname: str | None
    gender: str
    city: str | None
    interests: list[str]
    avatar_upload_id: UUID | None
    birthday: Birthday | None
    phone_masked: str | None
    phone_bound: bool
    completeness: int
    joined_via: str
    joined_at: datetime
    profile_completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class ConsentView:
    """The declaration that counts now for one purpose."""

    purpose: str
    policy_version: str
    granted: bool
    source: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class ChangeRequestView:
    """A sensitive change and its state."""

    id: UUID
    member_id: UUID
    kind: str
    before: dict[str, Any]
    after: dict[str, Any]
    state: str
    reason: str | None
    requested_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class IdentityView:
    """A channel a member is known in; the outside id stays sealed."""

    id: UUID
    channel: str
    created_at: datetime


def birthday_of(member: Member) -> Birthday | None:
    """Return a row's birthday, if it has one."""
    if member.birthday_calendar is None or member.birthday_month is None or member.birthday_day is None:
        return None
    return Birthday(member.birthday_calendar, member.birthday_month, member.birthday_day, member.birthday_year)


def filled_fields(member: Member) -> dict[str, bool]:
    """Return which fields of a profile are known, as ``rules.completeness`` wants it."""
    return {
        "nickname": bool(member.nickname),
        "phone": member.phone_sealed is not None,
        "birthday": member.birthday_calendar is not None,
        "gender": member.gender != "unknown",
        "city": bool(member.city),
        "interests": bool(member.interests),
        "avatar": member.avatar_upload_id is not None,
    }


def open_phone(session: Session, member: Member) -> str | None:
    """Return the phone number of a row, in E.164."""
    if member.phone_sealed is None:
        return None
    return vault_of(session).open(member.phone_sealed, Place("members", "phone_sealed", member.id))


def view_of(session: Session, member: Member) -> MemberView:
    """Return the view of a row."""
    phone = open_phone(session, member)
    return MemberView(
        id=member.id,
        status=member.status,
        status_reason=member.status_reason,
        merged_into=member.merged_into,
        nickname=member.nickname,
        gender=member.gender,
        city=member.city,
        interests=list(member.interests),
        avatar_upload_id=member.avatar_upload_id,
        birthday=birthday_of(member),
        phone_masked=masked_phone(phone) if phone else None,
        phone_bound=phone is not None,
        completeness=completeness(filled_fields(member)),
        joined_via=member.joined_via,
        joined_at=member.joined_at,
        profile_completed_at=member.profile_completed_at,
    )


def find(session: Session, member_id: UUID) -> MemberView | None:
    """Return a member, merged and deleted ones too, or None."""
    member = session.get(Member, member_id)
    return view_of(session, member) if member is not None else None


def require(session: Session, member_id: UUID) -> MemberView:
    """Return a member.

    Raises:
        MemberNotFoundError: there is none.
    """
    found = find(session, member_id)
    if found is None:
        raise MemberNotFoundError
    return found


def require_known(session: Session, member_id: UUID) -> None:
    """Make sure that there is such a member, merged and deleted ones too, without opening anything of theirs.

    Raises:
        MemberNotFoundError: there is none.
    """
    if _KNOWN.one_or_none(session, {"member_id": member_id}) is None:
        raise MemberNotFoundError


def resolve(session: Session, member_id: UUID, *, hold: bool = False) -> UUID | None:
    """Return the member that stands for an id today: itself, or the survivor of its merges; None when unknown.

    Arguments:
        session: of an open transaction.
        member_id: of a record that may have been merged.
        hold: keep it from being merged until the transaction ends, for whoever writes a row of that member. Others may hold it too.
    """
    current: UUID | None = member_id
    for _ in range(_MAX_HOPS):
        statement = sa.select(Member.id, Member.merged_into).where(Member.id == current)
        row = session.execute(_held(statement) if hold else statement).one_or_none()
        if row is None:
            return None
        if row.merged_into is None:
            return current
        current = row.merged_into
    return None


def resolve_many(session: Session, member_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Hold many members at once and return for each who stands for it today (see ``resolve``); unknown ones are left out."""
    if not member_ids:
        return {}
    statement = sa.select(Member.id, Member.merged_into).where(one_of(session, Member.id, member_ids)).order_by(Member.id)
    found: dict[UUID, UUID] = {}
    for member_id, merged_into in session.execute(_held(statement)).all():
        standing = member_id if merged_into is None else resolve(session, merged_into, hold=True)
        if standing is not None:
            found[member_id] = standing
    return found


def _held(statement: Held) -> Held:
    # The lock that a foreign key to the member takes anyway, taken before the row is written: a merge wants the whole row.
    return statement.with_for_update(read=True, key_share=True)


def names_of(session: Session, member_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the nicknames of many members in one statement; members without one are left out."""
    if not member_ids:
        return {}
    rows = session.execute(sa.select(Member.id, Member.nickname).where(Member.id.in_(member_ids), Member.nickname.is_not(None)))
    return {row.id: row.nickname for row in rows}


def by_phone(session: Session, phone_e164: str) -> UUID | None:
    """Return the live member who holds a phone number in E.164."""
    index = vault_of(session).index("phone", phone_e164)
    return session.scalar(sa.select(Member.id).where(Member.phone_index == index))


def by_phone_index(session: Session, index: str) -> UUID | None:
    """Return the member with a phone number of which only the blind index is known, or None."""
    return session.scalar(sa.select(Member.id).where(Member.phone_index == index))


def by_openid(session: Session, openid: str, appid: str | None = None) -> UUID | None:
    """Return the member who logs in with an openid, in any of the brand's apps unless one is named."""
    channel = MemberIdentity.channel.startswith(WECHAT_PREFIX) if appid is None else MemberIdentity.channel == f"{WECHAT_PREFIX}{appid}"
    index = vault_of(session).index("openid", openid)
    return session.scalar(sa.select(MemberIdentity.member_id).where(MemberIdentity.external_index == index, channel).limit(1))


def by_external(session: Session, channel: str, external_id: str) -> UUID | None:
    """Return the member known under an id in a channel (``pos``, ``tmall``…)."""
    index = vault_of(session).index(kind_of_channel(channel), external_id)
    return session.scalar(
        sa.select(MemberIdentity.member_id).where(MemberIdentity.external_index == index, MemberIdentity.channel == channel),
    )


def kind_of_channel(channel: str) -> str:
    """Return under which kind a channel's ids are indexed."""
    if channel == WECHAT_UNION:
        return "unionid"
    return "openid" if channel.startswith(WECHAT_PREFIX) else "external"


def openid_of(session: Session, member_id: UUID, appid: str) -> str | None:
    """Return the openid a member has in one WeChat app. It must not leave the server except to WeChat."""
    row = session.execute(
        sa.select(MemberIdentity.id, MemberIdentity.external_sealed)
        .where(MemberIdentity.member_id == member_id, MemberIdentity.channel == f"{WECHAT_PREFIX}{appid}")
        .order_by(MemberIdentity.created_at.desc(), MemberIdentity.id.desc())
        .limit(1),
    ).one_or_none()
    if row is None:
        return None
    return vault_of(session).open(row.external_sealed, Place("member_identities", "external_sealed", row.id))


def union_indexes(session: Session, member_ids: Sequence[UUID]) -> list[str]:
    """Return the blind indexes under which some members are known over all of the brand's WeChat apps."""
    statement = sa.select(MemberIdentity.external_index).where(
        MemberIdentity.member_id.in_(member_ids), MemberIdentity.channel == WECHAT_UNION
    )
    return list(session.scalars(statement))


@dataclass(frozen=True, slots=True)
class Reachable:
    """Whether and where a member can be written to. ``openid`` must not leave the server except to WeChat."""

    status: str
    openid: str | None


def reachable(session: Session, member_ids: Sequence[UUID], appid: str) -> dict[UUID, Reachable]:
    """Return the standing of many members and the openid each has in one WeChat app, in one statement.

    Arguments:
        session: of an open transaction.
        member_ids: whose; those who are not there are left out.
        appid: the app.
    """
    if not member_ids:
        return {}
    of = MemberIdentity
    rows = session.execute(
        sa.select(Member.id, Member.status, of.id.label("identity_id"), of.external_sealed)
        .outerjoin(of, sa.and_(of.member_id == Member.id, of.channel == f"{WECHAT_PREFIX}{appid}"))
        .where(one_of(session, Member.id, member_ids))
        # The newest last, which is the one that stays, as ``openid_of`` has it.
        .order_by(of.created_at, of.id)
    ).all()
    vault, newest = vault_of(session), {row.id: row for row in rows}
    return {
        member_id: Reachable(
            row.status,
            vault.open(row.external_sealed, Place("member_identities", "external_sealed", row.identity_id)) if row.identity_id else None,
        )
        for member_id, row in newest.items()
    }


def phone_of(session: Session, member_id: UUID) -> str | None:
    """Return a member's phone number in E.164. For sending only; showing it goes through ``service.reveal_phone``."""
    member = session.get(Member, member_id)
    return open_phone(session, member) if member is not None else None


def identities_of(session: Session, member_id: UUID) -> list[IdentityView]:
    """Return the channels a member is known in."""
    rows = session.execute(
        sa.select(MemberIdentity.id, MemberIdentity.channel, MemberIdentity.created_at)
        .where(MemberIdentity.member_id == member_id)
        .order_by(MemberIdentity.created_at, MemberIdentity.id),
    )
    return [IdentityView(row.id, row.channel, row.created_at) for row in rows]


def consents_of(session: Session, member_id: UUID) -> list[ConsentView]:
    """Return the declaration that counts now for each purpose the member ever declared on."""
    rows = session.scalars(
        sa.select(MemberConsent)
        .where(MemberConsent.member_id == member_id)
        .order_by(MemberConsent.purpose, MemberConsent.occurred_at, MemberConsent.id),
    )
    latest = {row.purpose: ConsentView(row.purpose, row.policy_version, row.granted, row.source, row.occurred_at) for row in rows}
    return [latest[purpose] for purpose in sorted(latest)]


def has_consented(session: Session, member_id: UUID, purpose: str) -> bool:
    """Tell whether the member's last word on a purpose was yes. Silence is no."""
    last = session.scalar(
        sa.select(MemberConsent.granted)
        .where(MemberConsent.member_id == member_id, MemberConsent.purpose == purpose)
        .order_by(MemberConsent.occurred_at.desc(), MemberConsent.id.desc())
        .limit(1),
    )
    return bool(last)


def _change_view(row: MemberChangeRequest) -> ChangeRequestView:
    return ChangeRequestView(
        row.id,
        row.member_id,
        row.kind,
        row.before,
        row.after,
        row.state,
        row.reason,
        row.requested_at,
        row.decided_at,
    )


def change_requests_of(session: Session, member_id: UUID) -> list[ChangeRequestView]:
    """Return a member's change requests, newest first (at most 20)."""
    rows = session.scalars(
        sa.select(MemberChangeRequest)
        .where(MemberChangeRequest.member_id == member_id)
        .order_by(MemberChangeRequest.requested_at.desc(), MemberChangeRequest.id.desc())
        .limit(20),
    )
    return [_change_view(row) for row in rows]


def change_requests(session: Session, state: str | None, page: PageRequest) -> Page[ChangeRequestView]:
    """Return change requests for staff, newest first."""
    statement = sa.select(MemberChangeRequest)
    if state is not None:
        statement = statement.where(MemberChangeRequest.state == state)
    statement = keyset(statement, MemberChangeRequest.requested_at, MemberChangeRequest.id, page)
    return page_of(session.scalars(statement).all(), page, lambda row: (row.requested_at, row.id)).map(_change_view)


def born_on(
    session: Session,
    *,
    calendar: str,
    month: int,
    day: int,
    after: UUID | None = None,
    limit: int = 500,
) -> list[UUID]:
    """Return active members with one birthday, in order of their ids.

    Arguments:
        session: of an open transaction.
        calendar: ``solar`` or ``lunar``.
        month: of that calendar.
        day: of that month.
        after: the last id of the page before.
        limit: size of a page.
    """
    statement = sa.select(Member.id).where(
        Member.birthday_calendar == calendar,
        Member.birthday_month == month,
        Member.birthday_day == day,
        Member.status == "active",
    )
    if after is not None:
        statement = statement.where(Member.id > after)
    return list(session.scalars(statement.order_by(Member.id).limit(limit)))


def search(
    session: Session,
    *,
    phone: str | None = None,
    tail: str | None = None,
    nickname: str | None = None,
    status: str | None = None,
    member_ids: Sequence[UUID] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    page: PageRequest,
) -> Page[MemberView]:
    """Return members for staff, newest first.

    Arguments:
        session: of an open transaction.
        phone: the whole number in E.164, found by its blind index.
        tail: the last four digits.
        nickname: how the nickname begins.
        status: one status; merged and deleted members only when asked for.
        member_ids: only these (what a search by card number found).
        since: only those who joined from this instant on.
        until: only those who joined before this instant.
        page: which page.
    """
    vault = vault_of(session)
    statement = sa.select(Member)
    statement = statement.where(Member.status == status) if status else statement.where(Member.status.in_(LIVE_STATUSES))
    if phone:
        statement = statement.where(Member.phone_index == vault.index("phone", phone))
    if tail:
        statement = statement.where(Member.phone_tail_index == vault.index("phone_tail", phone_tail(tail)))
    if nickname:
        statement = statement.where(Member.nickname.startswith(nickname, autoescape=True))
    if member_ids is not None:
        statement = statement.where(Member.id.in_(member_ids))
    if since is not None:
        statement = statement.where(Member.joined_at >= since)
    if until is not None:
        statement = statement.where(Member.joined_at < until)
    rows = session.scalars(keyset(statement, Member.joined_at, Member.id, page)).all()
    return page_of(rows, page, lambda row: (row.joined_at, row.id)).map(lambda row: view_of(session, row))
