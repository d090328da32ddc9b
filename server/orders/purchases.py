"""Reads of what members bought, for who gives something for it: what is left of an order, and who has not bought for long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from server.orders.models import Order, OrderLine

_GONE = ("cancelled", "refunded")


@dataclass(frozen=True, slots=True)
class Purchase:
    """An order as far as it earns something.

    Arguments:
        goods_left_fen: cash paid for its goods, less what was refunded of it.
        gone: it was called off, or refunded whole.
        attached_at: when it was given to its member after it was taken in, if it was.
    """

    id: UUID
    order_no: str
    member_id: UUID | None
    channel: str
    store: str | None
    paid_at: datetime | None
    attached_at: datetime | None
    goods_left_fen: int
    gone: bool


@dataclass(frozen=True, slots=True)
class LastPurchase:
    """The newest paid order of a member."""

    member_id: UUID
    order_id: UUID
    paid_at: datetime


def buyer_of(session: Session, order_id: UUID) -> UUID | None:
    """Return the member an order belongs to; None when it belongs to nobody, or there is none."""
    return session.scalar(sa.select(Order.member_id).where(Order.id == order_id))


def purchase(session: Session, order_id: UUID) -> Purchase | None:
    """Return an order as far as it earns something, or None. Who acts on it holds its row (``service.hold``)."""
    row = session.execute(
        sa.select(
            Order.id,
            Order.order_no,
            Order.member_id,
            Order.channel,
            Order.store_code,
            Order.paid_at,
            Order.attached_at,
            Order.state,
        ).where(Order.id == order_id)
    ).one_or_none()
    if row is None:
        return None
    left = session.scalar(sa.select(sa.func.sum(OrderLine.paid_fen - OrderLine.refunded_fen)).where(OrderLine.order_id == order_id))
    return Purchase(
        id=row.id,
        order_no=row.order_no,
        member_id=row.member_id,
        channel=row.channel,
        store=row.store_code,
        paid_at=row.paid_at,
        attached_at=row.attached_at,
        goods_left_fen=int(left or 0),
        gone=row.state in _GONE,
    )


def last_bought(session: Session, since: datetime, until: datetime, *, after: UUID | None = None, limit: int = 500) -> list[LastPurchase]:
    """Return the members whose newest paid order lies in a time, by their ids.

    Orders that were called off or refunded whole count for nothing.

    Arguments:
        session: to read with.
        since: the beginning of the time.
        until: its end, outside it.
        after: go on behind this member.
        limit: at most so many.
    """
    later = aliased(Order)
    newer = sa.or_(later.paid_at > Order.paid_at, sa.and_(later.paid_at == Order.paid_at, later.id > Order.id))
    statement = sa.select(Order.member_id, Order.id, Order.paid_at).where(
        Order.paid_at >= since,
        Order.paid_at < until,
        Order.member_id.is_not(None),
        Order.state.not_in(_GONE),
        ~sa.exists().where(later.member_id == Order.member_id, later.state.not_in(_GONE), newer),
    )
    if after is not None:
        statement = statement.where(Order.member_id > after)
    rows: Any = session.execute(statement.order_by(Order.member_id).limit(limit))
    return [LastPurchase(*row) for row in rows]


def orders_named(session: Session, order_ids: list[UUID]) -> dict[UUID, str]:
    """Return the numbers of orders by their ids."""
    if not order_ids:
        return {}
    return {row.id: row.order_no for row in session.execute(sa.select(Order.id, Order.order_no).where(Order.id.in_(order_ids)))}
