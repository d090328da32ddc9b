"""What became of the coupons of one source, for whoever issues them by a rule of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.coupons.models import CouponRedemption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """Coupons of a source: how many stand redeemed, what they cost, and their part of their orders' sales (``rules.apportion``)."""

    redeemed: int = 0
    discount_fen: int = 0
    sales_fen: int = 0


def figures_of(session: Session, namespaces: Sequence[str]) -> dict[str, SourceFigures]:
    """Return namespace of the source → what its redeemed coupons came to; one without any is left out. One statement."""
    if not namespaces:
        return {}
    of = CouponRedemption
    rows = session.execute(
        sa.select(of.source_namespace, sa.func.count(), sa.func.sum(sa.func.coalesce(of.cost_fen, 0)), sa.func.sum(of.part_fen))
        .where(of.source_namespace.in_(namespaces))
        .group_by(of.source_namespace)
    )
    return {namespace: SourceFigures(int(number), int(discount), int(sales)) for namespace, number, discount, sales in rows}
