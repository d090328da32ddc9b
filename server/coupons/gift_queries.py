"""Reading offers to friends: behind a link, of a member, and of a coupon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.coupons.errors import GiftNotFoundError
from server.coupons.models import Coupon, CouponGift
from server.coupons.queries import CouponView, coupon_view
from server.coupons.rules.states import GiftState
from server.kernel.crypto import vault_of
from server.kernel.pagination import Page, PageRequest, keyset, page_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

TOKEN_KIND = "coupon_gift"  # noqa: S105 - the kind of a blind index, no secret


@dataclass(frozen=True, slots=True)
class GiftView:
    """One offer. ``state`` is ``lapsed`` from the instant its time was over, swept or not."""

    id: UUID
    coupon: CouponView
    from_member_id: UUID
    to_member_id: UUID | None
    received_coupon_id: UUID | None
    state: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None


def by_token(session: Session, token: str, *, now: datetime) -> GiftView:
    """Return the offer behind a link.

    Raises:
        GiftNotFoundError: there is none.
    """
    token_hash = vault_of(session).index(TOKEN_KIND, token.strip().upper())
    return _one(session, CouponGift.token_hash == token_hash, now)


def find(session: Session, gift_id: UUID, *, now: datetime) -> GiftView:
    """Return an offer.

    Raises:
        GiftNotFoundError: there is none.
    """
    return _one(session, CouponGift.id == gift_id, now)


def of_member(session: Session, member_id: UUID, page: PageRequest, *, received: bool, now: datetime) -> Page[GiftView]:
    """Return what a member offered, or what they accepted, newest first."""
    where = (
        sa.and_(CouponGift.to_member_id == member_id, CouponGift.state == GiftState.ACCEPTED)
        if received
        else CouponGift.from_member_id == member_id
    )
    rows = session.execute(keyset(_gifts().where(where), CouponGift.created_at, CouponGift.id, page)).all()
    return page_of(rows, page, lambda row: (row.CouponGift.created_at, row.CouponGift.id)).map(lambda row: _view(row, now))


def of_coupon(session: Session, coupon_id: UUID, *, now: datetime) -> list[GiftView]:
    """Return the offers of a coupon, and the one that it came from, oldest first."""
    where = sa.or_(CouponGift.coupon_id == coupon_id, CouponGift.received_coupon_id == coupon_id)
    return [_view(row, now) for row in session.execute(_gifts().where(where).order_by(CouponGift.created_at, CouponGift.id))]


def in_place_of(session: Session, coupon_id: UUID) -> UUID:
    """Return the coupon that stands where one stood that may have been given to a friend: the friend's, else the very one."""
    return successors(session, [coupon_id]).get(coupon_id, coupon_id)


def successors(session: Session, coupon_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return, for those of some coupons that were given away, the coupon that the friend has in their place."""
    if not coupon_ids:
        return {}
    of = CouponGift
    rows = session.execute(
        sa.select(of.coupon_id, of.received_coupon_id).where(of.coupon_id.in_(list(coupon_ids)), of.received_coupon_id.is_not(None))
    )
    return {row.coupon_id: row.received_coupon_id for row in rows}


def _gifts() -> sa.Select[Any]:
    both: tuple[Any, ...] = (CouponGift, Coupon)
    return sa.select(*both).join(Coupon, Coupon.id == CouponGift.coupon_id).execution_options(populate_existing=True)


def _one(session: Session, where: sa.ColumnElement[bool], now: datetime) -> GiftView:
    row = session.execute(_gifts().where(where)).one_or_none()
    if row is None:
        raise GiftNotFoundError
    return _view(row, now)


def _view(row: sa.Row[Any], now: datetime) -> GiftView:
    gift = row.CouponGift
    over = gift.state == GiftState.OPEN and gift.expires_at <= now
    return GiftView(
        gift.id,
        coupon_view(row.Coupon, now),
        gift.from_member_id,
        gift.to_member_id,
        gift.received_coupon_id,
        GiftState.LAPSED.value if over else gift.state,
        gift.created_at,
        gift.expires_at,
        gift.ended_at,
    )
