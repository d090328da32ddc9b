"""What became of a template's coupons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.coupons.models import Coupon, CouponRedemption, CouponTemplate
from server.coupons.queries import CLAIM_NAMESPACE
from server.coupons.rules.states import CouponState

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Funnel:
    """What became of a template's coupons: counts, what they cost and the sales they drove.

    ``discount_fen`` counts the worth of gifts; ``sales_fen`` is their part of the orders' sales (``rules.apportion``).
    """

    issued: int
    claimed: int
    available: int
    offered: int
    locked: int
    redeemed: int
    expired: int
    voided: int
    discount_fen: int
    sales_fen: int


def funnel(session: Session, template_id: UUID, *, now: datetime | None = None) -> Funnel:
    """Return what became of a template's coupons, in two statements."""
    ended = sa.false() if now is None else sa.and_(Coupon.state == CouponState.ISSUED, Coupon.valid_until <= now)
    counts: dict[str, int] = {}
    claimed = 0
    for state, number, by_claim in session.execute(
        sa.select(
            sa.case((ended, CouponState.EXPIRED.value), else_=Coupon.state).label("effective"),
            sa.func.count(),
            sa.func.sum(sa.case((Coupon.source_namespace == CLAIM_NAMESPACE, 1), else_=0)),
        )
        # One that was given to a friend is told by the friend's, which stands in its place.
        .where(Coupon.template_id == template_id, Coupon.state != CouponState.GIVEN)
        .group_by("effective")
    ):
        counts[state] = int(number)
        claimed += int(by_claim)
    of = CouponRedemption
    sums = sa.select(sa.func.sum(of.cost_fen), sa.func.sum(of.part_fen)).where(of.template_id == template_id)
    cost, sales = session.execute(sums).one()
    return Funnel(
        issued=sum(counts.values()),
        claimed=claimed,
        available=counts.get("issued", 0),
        offered=counts.get("offered", 0),
        locked=counts.get("locked", 0),
        redeemed=counts.get("redeemed", 0),
        expired=counts.get("expired", 0),
        voided=counts.get("voided", 0),
        discount_fen=int(cost or 0),
        sales_fen=int(sales or 0),
    )


def template_names(session: Session, *, limit: int = 300, also: Collection[UUID] = ()) -> dict[UUID, str]:
    """Return the names of the newest templates, newest first, and of some more.

    Arguments:
        session: to read with.
        limit: how many of the newest.
        also: templates that are wanted whatever their age.
    """
    of = CouponTemplate
    newest = session.execute(sa.select(of.id, of.name).order_by(of.created_at.desc(), of.id.desc()).limit(limit))
    found = {row.id: row.name for row in newest}
    missing = set(also) - set(found)
    if missing:
        found |= {row.id: row.name for row in session.execute(sa.select(of.id, of.name).where(of.id.in_(missing)))}
    return found
