"""Points for a member's first order: given when it is paid, taken back when it is called off or refunded whole, and then the next one's."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.orders.models import Order
from server.points import occasions
from server.points.rules import EarningEvent

_GONE = ("cancelled", "refunded")
_ATTACHED = "-attached"


def settle(session: Session, order_id: UUID, *, now: datetime) -> bool:
    """Bring a member's first-order points to what their orders ask for; any number of times and in any order of the news.

    Someone who bought before the rule was there gets nothing for a later order: only news of the very first order gives, or the
    end of the one that had given.

    Arguments:
        session: of a transaction of its own.
        order_id: the order whose news came.
        now: present instant.

    Returns:
        Whether points were given.
    """
    member_id = session.scalar(sa.select(Order.member_id).where(Order.id == order_id))
    return member_id is not None and _settle(session, member_id, order_id, now)


def hand_over(session: Session, order_id: UUID, from_id: UUID, *, now: datetime) -> bool:
    """Bring the record that an order was taken from to what the orders left to it ask for.

    Arguments:
        session: of the transaction that gave the order to somebody else.
        order_id: the order.
        from_id: the record that had it.
        now: present instant.

    Returns:
        Whether points were given, for another order of the record.
    """
    return _settle(session, from_id, order_id, now)


def _settle(session: Session, member_id: UUID, order_id: UUID, now: datetime) -> bool:
    # Every payment comes by here: a shop that never gave for first orders is asked no more than this.
    if not (occasions.offered(session, EarningEvent.FIRST_ORDER) or occasions.has(session, member_id)):
        return False
    grants = occasions.hold_grants(session, member_id, EarningEvent.FIRST_ORDER, now=now)
    in_force = next((grant for grant in grants if not grant.taken_back), None)
    if in_force is not None:
        held = session.execute(sa.select(Order.state, Order.member_id).where(Order.id == _order_of(in_force.business_key))).one_or_none()
        if held is None or (held.state not in _GONE and held.member_id == member_id):
            return False
        occasions.take_back(session, in_force, EarningEvent.FIRST_ORDER, reason=occasions.FIRST_ORDER_GONE, now=now)
    first = session.execute(
        sa.select(Order.id, Order.paid_at, Order.attached_at)
        .where(Order.member_id == member_id, Order.paid_at.is_not(None), Order.payable_fen > 0, Order.state.not_in(_GONE))
        .order_by(Order.paid_at, Order.id)
        .limit(1)
    ).one_or_none()
    if first is None or (first.id != order_id and not grants):
        return False
    # One that was given to its buyer later may have been another record's first order before.
    key = first.id.hex if first.attached_at is None else f"{first.id.hex}{_ATTACHED}"
    given = occasions.give(session, member_id, EarningEvent.FIRST_ORDER, key, occurred_at=first.paid_at, now=now)
    return given is not None


def _order_of(business_key: str) -> UUID:
    return UUID(business_key.removesuffix(_ATTACHED))
