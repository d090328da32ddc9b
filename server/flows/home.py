"""The member's home page in one statement, and the same row for whoever must recognise a member at a till.

This is the hottest read of the product. It joins the tables of several domains, which only flows and reporting may do, and names
only the columns it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.cards.models import Card
from server.coupons.models import Coupon
from server.feedback.models import Ticket
from server.kernel.crypto import Place, vault_of
from server.kernel.prepared import Autocommit, Prepared
from server.members.errors import MemberNotFoundError
from server.members.models import Member, MemberChangeRequest, MemberSession
from server.members.rules import COMPLETE_AT, completeness, masked_phone
from server.members.session_queries import token_lives
from server.notifications.models import NotificationMessage
from server.points.models import PointsAccount, PointsLot
from server.tiers.models import MemberTier, Tier
from server.tiers.rules import DEFAULT_TIERS

EXPIRING_DAYS = 30


@dataclass(frozen=True, slots=True)
class Todo:
    """Something the member may want to do now.

    Arguments:
        kind: ``bind_phone``, ``complete_profile``, ``birthday_request``, ``coupons_expiring``, ``points_expiring``,
            ``tickets_answered``.
        count: how many, or the score for ``complete_profile``.
    """

    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Home:
    """Everything the home page shows."""

    member_id: UUID
    status: str
    nickname: str | None
    avatar_upload_id: UUID | None
    joined_at: datetime
    phone_masked: str | None
    completeness: int
    card_no: str | None
    tier_code: str
    tier_name: str
    tier_face: dict[str, str]
    points_available: int
    points_pending: int
    points_expiring_soon: int
    coupons_available: int
    unread: int
    todo: list[Todo]


def _statement() -> sa.Select[Any]:
    """Build the one statement, but for whose home it is."""
    now, soon = sa.bindparam("now", type_=Member.joined_at.type), sa.bindparam("soon", type_=Member.joined_at.type)
    expiring_points = (
        sa.select(sa.func.coalesce(sa.func.sum(PointsLot.left_ - PointsLot.reserved), 0))
        .where(PointsLot.member_id == Member.id, PointsLot.state == "available", PointsLot.expires_at > now, PointsLot.expires_at <= soon)
        .scalar_subquery()
    )
    held = sa.and_(Coupon.member_id == Member.id, Coupon.state == "issued", Coupon.valid_until > now)
    coupons = sa.select(sa.func.count()).select_from(Coupon).where(held).scalar_subquery()
    expiring_coupons = sa.select(sa.func.count()).select_from(Coupon).where(held, Coupon.valid_until <= soon).scalar_subquery()
    requests = (
        sa.select(sa.func.count())
        .select_from(MemberChangeRequest)
        .where(MemberChangeRequest.member_id == Member.id, MemberChangeRequest.state == "pending")
        .scalar_subquery()
    )
    unread = (
        sa.select(sa.func.count())
        .select_from(NotificationMessage)
        .where(NotificationMessage.member_id == Member.id, NotificationMessage.in_inbox.is_(True), NotificationMessage.read_at.is_(None))
        .scalar_subquery()
    )
    answered = (
        sa.select(sa.func.count()).select_from(Ticket).where(Ticket.member_id == Member.id, Ticket.state == "answered").scalar_subquery()
    )
    # Without a tier of their own members hold the lowest.
    lowest = sa.select(Tier.id).order_by(Tier.rank).limit(1).scalar_subquery()
    return (
        sa.select(
            Member.id,
            Member.status,
            Member.nickname,
            Member.avatar_upload_id,
            Member.gender,
            Member.city,
            Member.interests,
            Member.birthday_calendar,
            Member.joined_at,
            Member.phone_sealed,
            Card.card_no,
            sa.func.coalesce(PointsAccount.available, 0).label("available"),
            sa.func.coalesce(PointsAccount.pending, 0).label("pending"),
            expiring_points.label("expiring_points"),
            coupons.label("coupons"),
            expiring_coupons.label("expiring_coupons"),
            requests.label("requests"),
            Tier.code.label("tier_code"),
            Tier.name.label("tier_name"),
            Tier.face.label("tier_face"),
            unread.label("unread"),
            answered.label("answered"),
        )
        .outerjoin(Card, Card.active_slot == Member.id)
        .outerjoin(MemberTier, MemberTier.member_id == Member.id)
        .outerjoin(Tier, Tier.id == sa.func.coalesce(MemberTier.tier_id, lowest))
        .outerjoin(PointsAccount, PointsAccount.member_id == Member.id)
    )


_HOME = Prepared(_statement().where(Member.id == sa.bindparam("member_id", type_=Member.id.type)))
_HOME_OF_TOKEN = Prepared(_statement().join(MemberSession, MemberSession.member_id == Member.id).where(token_lives()))
# Until staff have set up tiers, everybody holds the first of those the product comes with.
_FIRST_TIER = DEFAULT_TIERS[0]


def of_member(session: Session | Autocommit, member_id: UUID, *, now: datetime) -> Home:
    """Return a member's home page.

    Raises:
        MemberNotFoundError: there is no such member.
    """
    row = _HOME.one_or_none(session, {"member_id": member_id, "now": now, "soon": now + timedelta(days=EXPIRING_DAYS)})
    if row is None:
        raise MemberNotFoundError
    return _home(session, row)


def of_token(session: Session | Autocommit, access_hash: str, *, now: datetime) -> Home | None:
    """Return the home page of whom a live access token belongs to, or None: look and guard in one statement.

    Arguments:
        session: of an open transaction, or a connection for single statements.
        access_hash: ``ids.token_hash`` of the token.
        now: present instant.
    """
    row = _HOME_OF_TOKEN.one_or_none(session, {"access_hash": access_hash, "now": now, "soon": now + timedelta(days=EXPIRING_DAYS)})
    return None if row is None else _home(session, row)


def _home(session: Session | Autocommit, row: Any) -> Home:
    member_id: UUID = row.id
    phone = vault_of(session).open(row.phone_sealed, Place("members", "phone_sealed", member_id)) if row.phone_sealed else None
    score = completeness(
        {
            "nickname": bool(row.nickname),
            "phone": phone is not None,
            "birthday": row.birthday_calendar is not None,
            "gender": row.gender != "unknown",
            "city": bool(row.city),
            "interests": bool(row.interests),
            "avatar": row.avatar_upload_id is not None,
        }
    )
    return Home(
        member_id=member_id,
        status=row.status,
        nickname=row.nickname,
        avatar_upload_id=row.avatar_upload_id,
        joined_at=row.joined_at,
        phone_masked=masked_phone(phone) if phone else None,
        completeness=score,
        card_no=row.card_no,
        tier_code=row.tier_code or _FIRST_TIER.code,
        tier_name=row.tier_name or _FIRST_TIER.name,
        tier_face=row.tier_face or _FIRST_TIER.face.document(),
        points_available=int(row.available),
        points_pending=int(row.pending),
        points_expiring_soon=int(row.expiring_points),
        coupons_available=int(row.coupons),
        unread=int(row.unread),
        todo=_todo(row, bound=phone is not None, score=score),
    )


def _todo(row: Any, *, bound: bool, score: int) -> list[Todo]:
    found = [
        Todo("bind_phone", 0 if bound else 1),
        Todo("complete_profile", score if score < COMPLETE_AT else 0),
        Todo("birthday_request", int(row.requests)),
        Todo("coupons_expiring", int(row.expiring_coupons)),
        Todo("points_expiring", int(row.expiring_points)),
        Todo("tickets_answered", int(row.answered)),
    ]
    # An untouched profile scores nothing and still wants completing.
    return [todo for todo in found if todo.count or (todo.kind == "complete_profile" and score < COMPLETE_AT)]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list of members shows of each beside the member's own row."""

    card_no: str | None
    tier_code: str
    tier_name: str
    points_available: int


def summaries(session: Session, member_ids: Sequence[UUID]) -> dict[UUID, Summary]:
    """Return card, tier and points of many members in one statement."""
    if not member_ids:
        return {}
    lowest = sa.select(Tier.id).order_by(Tier.rank).limit(1).scalar_subquery()
    rows = session.execute(
        sa.select(Member.id, Card.card_no, Tier.code, Tier.name, sa.func.coalesce(PointsAccount.available, 0).label("available"))
        .outerjoin(Card, Card.active_slot == Member.id)
        .outerjoin(MemberTier, MemberTier.member_id == Member.id)
        .outerjoin(Tier, Tier.id == sa.func.coalesce(MemberTier.tier_id, lowest))
        .outerjoin(PointsAccount, PointsAccount.member_id == Member.id)
        .where(Member.id.in_(member_ids))
    )
    return {row.id: Summary(row.card_no, row.code or _FIRST_TIER.code, row.name or _FIRST_TIER.name, int(row.available)) for row in rows}
