"""Coupons in wallets, as tables to choose members by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.coupons.models import Coupon, CouponTemplate
from server.coupons.rules.states import CouponState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID


def held(member_id: sa.ColumnElement[UUID], now: datetime) -> sa.ScalarSelect[int]:
    """Return how many coupons a member of the row around it could use or has on an order that waits."""
    open_now = (Coupon.state.in_((CouponState.ISSUED.value, CouponState.LOCKED.value)), Coupon.valid_until > now)
    return sa.select(sa.func.count()).select_from(Coupon).where(Coupon.member_id == member_id, *open_now).scalar_subquery()


def has_of(member_id: sa.ColumnElement[UUID], codes: Sequence[str], now: datetime) -> sa.Exists:
    """Return whether a member of the row around it has a coupon to use of some templates."""
    templates = sa.select(CouponTemplate.id).where(CouponTemplate.code.in_(codes))
    open_now = (Coupon.state == CouponState.ISSUED.value, Coupon.valid_until > now)
    return sa.exists().where(Coupon.member_id == member_id, Coupon.template_id.in_(templates), *open_now)
