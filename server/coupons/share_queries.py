"""Which coupons share an order with others, and what of its sales is theirs.

Worked out when it is read: whatever is redeemed or returned meanwhile, the parts are those of the coupons that stand redeemed now.
Few orders take several coupons, so readers sum up what was told, in SQL, and add what this corrects.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from server.coupons.models import Coupon
from server.coupons.rules.apportion import order_sales_fen, shares_fen
from server.coupons.rules.states import CouponState

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Correction:
    """By how many fen a coupon's part of its order's sales differs from the sales it was told."""

    coupon_id: UUID
    template_id: UUID
    fen: int


def corrections(
    session: Session, *, template_id: UUID | None = None, since: datetime | None = None, until: datetime | None = None
) -> list[Correction]:
    """Return what is to be corrected of each coupon that shares its order with others.

    Arguments:
        session: to read with.
        template_id: only orders on which a coupon of this template is redeemed.
        since: only orders of which a coupon was redeemed at or after this instant,
        until: and before this one.

    Returns:
        Every coupon of those orders, also those outside of the bounds.
    """
    one, other = aliased(Coupon), aliased(Coupon)
    bounds = [one.state == CouponState.REDEEMED]
    if template_id is not None:
        bounds.append(one.template_id == template_id)
    if since is not None:
        bounds.append(one.redeemed_at >= since)
    if until is not None:
        bounds.append(one.redeemed_at < until)
    shared = (
        sa.select(one.channel, one.external_no)
        .join(
            other,
            sa.and_(
                other.channel == one.channel,
                other.external_no == one.external_no,
                other.id != one.id,
                other.state == CouponState.REDEEMED,
            ),
        )
        .where(*bounds)
        .distinct()
        .subquery()
    )
    cost = sa.func.coalesce(Coupon.discount_fen, 0) + sa.func.coalesce(Coupon.gift_fen, 0)
    rows = session.execute(
        sa.select(Coupon.channel, Coupon.external_no, Coupon.id, Coupon.template_id, Coupon.sales_fen, cost)
        .join(shared, sa.and_(shared.c.channel == Coupon.channel, shared.c.external_no == Coupon.external_no))
        .where(Coupon.state == CouponState.REDEEMED)
        .order_by(Coupon.channel, Coupon.external_no, Coupon.id)
    ).all()
    found: list[Correction] = []
    for _, group in groupby(rows, key=lambda row: (row[0], row[1])):
        order = list(group)
        parts = shares_fen(order_sales_fen([row[4] for row in order]), [int(row[5]) for row in order])
        found += [Correction(row[2], row[3], part - (row[4] or 0)) for row, part in zip(order, parts, strict=True)]
    return found
