"""What reports sum up of the coupons that stand redeemed: where, when, what each cost, and its part of its order's sales.

The parts of an order's coupons are worked out anew whenever one of them is redeemed or returned, in the same transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.coupons.errors import CouponNotAvailableError
from server.coupons.models import CouponRedemption
from server.coupons.rules.apportion import order_sales_fen, shares_fen
from server.coupons.rules.terms import Terms
from server.kernel.clock import business_date
from server.kernel.db import insert_if_absent, update_where, zone_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.coupons.models import Coupon

NO_STORE = ""
# How many coupons may be redeemed for one order at the same moment.
_OTHERS_ENDURED = 50


def write_redemption(session: Session, row: Coupon, *, store: str | None, now: datetime) -> None:
    """Write down that a coupon was redeemed just now, and share its order's sales out anew.

    Arguments:
        session: of the caller's transaction.
        row: the coupon, redeemed.
        store: the store's code, ``NO_STORE`` for an order that is known to name none, None when nobody told.
        now: when.

    Raises:
        CouponNotAvailableError: it is written down already, or far too many are redeemed for the order at this moment.
    """
    gift_fen = Terms.of_document(row.terms).gift_value_fen
    told = None if row.discount_fen is None and not gift_fen else (row.discount_fen or 0) + gift_fen
    values = {
        "coupon_id": row.id,
        "template_id": row.template_id,
        "source_namespace": row.source_namespace,
        "channel": row.channel,
        "external_no": row.external_no,
        "place": 1,
        "store_code": store,
        "day": business_date(now, zone_of(session)),
        "cost_fen": told,
        "sales_fen": row.sales_fen,
        "part_fen": row.sales_fen or 0,
    }
    # Whoever redeems another coupon of the order at this moment has the place, and is waited for.
    for _ in range(_OTHERS_ENDURED):
        if insert_if_absent(session, CouponRedemption, values):
            break
        values["place"] = max((each.place for each in _of_order(session, row)), default=0) + 1
    else:
        raise CouponNotAvailableError(state=row.state)
    _share_out(_of_order(session, row))
    session.flush()


def erase_redemption(session: Session, row: Coupon) -> None:
    """Take away what was written of a coupon that is being returned; what is left of its order's coupons share the sales."""
    found = _of_order(session, row)
    for each in found:
        if each.coupon_id == row.id:
            session.delete(each)
    _share_out([each for each in found if each.coupon_id != row.id])
    session.flush()


def tell_store(session: Session, coupon_id: UUID, store: str) -> None:
    """Keep in which store a coupon was redeemed, if that was not told before."""
    untold = sa.update(CouponRedemption).where(CouponRedemption.coupon_id == coupon_id, CouponRedemption.store_code.is_(None))
    update_where(session, untold.values(store_code=store))


def _of_order(session: Session, row: Coupon) -> Sequence[CouponRedemption]:
    """Return the redemptions of a coupon's order, locked, in the order in which everyone locks them.

    Read twice: while the first reading waits for somebody's lock, PostgreSQL goes on looking at the rows as they were when it began,
    and what was committed meanwhile is seen by the second one only.
    """
    wanted = (
        sa.select(CouponRedemption)
        .where(CouponRedemption.channel == row.channel, CouponRedemption.external_no == row.external_no)
        .order_by(CouponRedemption.coupon_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    session.scalars(wanted).all()
    return session.scalars(wanted).all()


def _share_out(found: Sequence[CouponRedemption]) -> None:
    if not found:
        return
    sales = order_sales_fen([each.sales_fen for each in found])
    for one, part in zip(found, shares_fen(sales, [each.cost_fen or 0 for each in found]), strict=True):
        one.part_fen = part
