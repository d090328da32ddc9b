"""Reads orders: lists, details, what the flows need to settle points, and what staff search by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.kernel.crypto import Place, vault_of
from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.members import rules as members_rules
from server.members.errors import PhoneInvalidError
from server.orders import rules
from server.orders.models import (
    Order,
    OrderEventRow,
    OrderException,
    OrderLine,
    Shipment,
    TrackingEvent,
)
from server.orders.settling import lines_of, money_of, open_rules, refunds_of, settlement
from server.orders.views import (
    EventView,
    ExceptionView,
    LineView,
    OrderDetail,
    OrderSummary,
    ReceiverView,
    RefundView,
    Settlement,
    ShipmentView,
    TrackingEventView,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

__all__ = [
    "EventView",
    "ExceptionView",
    "LineView",
    "OrderDetail",
    "OrderSummary",
    "ReceiverView",
    "RefundView",
    "Settlement",
    "ShipmentView",
    "TrackingEventView",
    "by_external",
    "by_no",
    "counts_by_state",
    "exceptions",
    "find",
    "lines_of",
    "money_of",
    "of_member",
    "open_rules",
    "parcel",
    "receiver_of",
    "refunds_of",
    "search",
    "settlement",
    "shipments_of",
]


def of_member(session: Session, member_id: UUID, stage: str | None, page: PageRequest) -> Page[OrderSummary]:
    """Return a member's orders, newest first; three statements whatever the page's size.

    Arguments:
        session: any.
        member_id: whose.
        stage: ``pending``, ``processing``, ``done``, or None for all.
        page: which page.
    """
    statement = sa.select(Order).where(Order.member_id == member_id)
    if stage is not None:
        statement = statement.where(Order.state.in_(_states_of(stage)))
    return _summaries(session, statement, page)


def _states_of(stage: str) -> list[str]:
    return [state for state, its_stage in rules.STAGE_OF.items() if its_stage == stage]


def search(
    session: Session,
    page: PageRequest,
    *,
    text: str | None = None,
    stage: str | None = None,
    state: str | None = None,
    channel: str | None = None,
    member_id: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    cancelled: bool = True,
) -> Page[OrderSummary]:
    """Return orders for staff, newest first.

    Arguments:
        session: any.
        page: which page.
        text: a whole order number, external number, tracking number, receiver name, or receiver phone.
        stage: only this stage.
        state: only this state.
        channel: only this channel.
        member_id: only this member's.
        since: only those placed from this instant on.
        until: only those placed before this instant.
        cancelled: cancelled orders among them.
    """
    statement = sa.select(Order)
    if since is not None:
        statement = statement.where(Order.placed_at >= since)
    if until is not None:
        statement = statement.where(Order.placed_at < until)
    if not cancelled:
        statement = statement.where(Order.state != "cancelled")
    if text and text.strip():
        statement = statement.where(Order.id.in_(_found_by(session, text.strip())))
    if stage is not None:
        statement = statement.where(Order.state.in_(_states_of(stage)))
    if state is not None:
        statement = statement.where(Order.state == state)
    if channel is not None:
        statement = statement.where(Order.channel == channel)
    if member_id is not None:
        statement = statement.where(Order.member_id == member_id)
    return _summaries(session, statement, page)


def _found_by(session: Session, text: str) -> Sequence[UUID]:
    """Return the orders a text names, by one index look-up for each kind of name; bounded to 500."""
    vault = vault_of(session)
    parts = [
        sa.select(Order.id).where(Order.order_no == text),
        sa.select(Order.id).where(Order.external_no == text),
        sa.select(Shipment.order_id).where(Shipment.tracking_no == text),
        sa.select(Order.id).where(Order.receiver_name_index == vault.index("receiver_name", text)),
    ]
    try:
        phone = members_rules.normalised_phone(text)
        parts.append(sa.select(Order.id).where(Order.receiver_phone_index == vault.index("phone", phone)))
    except PhoneInvalidError:
        pass
    found = session.scalars(sa.union(*parts).limit(500)).all()
    return list(found)


def _summaries(session: Session, statement: sa.Select[Any], page: PageRequest) -> Page[OrderSummary]:
    rows = session.scalars(keyset(statement, Order.placed_at, Order.id, page).execution_options(populate_existing=True)).all()
    cut = page_of(rows, page, lambda row: (row.placed_at, row.id))
    ids = [row.id for row in cut.items]
    counts: dict[UUID, tuple[int, int]] = {}
    names: dict[UUID, str] = {}
    open_: dict[UUID, int] = {}
    if ids:
        lines = session.execute(
            sa.select(OrderLine.order_id, sa.func.count(), sa.func.min(OrderLine.line_no))
            .where(OrderLine.order_id.in_(ids))
            .group_by(OrderLine.order_id)
        )
        counts = {order_id: (count, first) for order_id, count, first in lines}
        wanted = [sa.and_(OrderLine.order_id == order_id, OrderLine.line_no == first) for order_id, (_, first) in counts.items()]
        if wanted:
            found = session.execute(sa.select(OrderLine.order_id, OrderLine.name).where(sa.or_(*wanted)))
            names = {row.order_id: row.name for row in found}
        exceptions = session.execute(
            sa.select(OrderException.order_id, sa.func.count())
            .where(OrderException.order_id.in_(ids), OrderException.state == "open")
            .group_by(OrderException.order_id)
        )
        open_ = {order_id: count for order_id, count in exceptions}  # noqa: C416 - as above
    return cut.map(
        lambda row: OrderSummary(
            id=row.id,
            order_no=row.order_no,
            channel=row.channel,
            external_no=row.external_no,
            member_id=row.member_id,
            state=row.state,
            stage=rules.STAGE_OF[row.state],
            placed_at=row.placed_at,
            payable_fen=row.payable_fen,
            refunded_fen=row.refunded_fen,
            lines=counts.get(row.id, (0, 0))[0],
            first_line=names.get(row.id, ""),
            exceptions_open=open_.get(row.id, 0),
        )
    )


def by_no(session: Session, order_no: str, member_id: UUID | None = None) -> OrderDetail | None:
    """Return an order by its number; with a member, only when it is that member's."""
    statement = sa.select(Order).where(Order.order_no == order_no)
    if member_id is not None:
        statement = statement.where(Order.member_id == member_id)
    return _detail_of(session, statement)


def find(session: Session, order_id: UUID) -> OrderDetail | None:
    """Return an order by its key, or None."""
    return _detail_of(session, sa.select(Order).where(Order.id == order_id))


def by_external(session: Session, channel: str, external_no: str) -> OrderDetail | None:
    """Return an order by the channel's own number, or None."""
    return _detail_of(session, sa.select(Order).where(Order.channel == channel, Order.external_no == external_no))


def _detail_of(session: Session, statement: sa.Select[Any]) -> OrderDetail | None:
    row = session.scalars(statement.execution_options(populate_existing=True)).one_or_none()
    if row is None:
        return None
    return OrderDetail(
        id=row.id,
        order_no=row.order_no,
        channel=row.channel,
        external_no=row.external_no,
        member_id=row.member_id,
        state=row.state,
        stage=rules.STAGE_OF[row.state],
        store=row.store_code,
        goods_fen=row.goods_fen,
        discount_fen=row.discount_fen,
        shipping_fen=row.shipping_fen,
        points_paid_fen=row.points_paid_fen,
        payable_fen=row.payable_fen,
        refunded_fen=row.refunded_fen,
        points_redeemed=row.points_redeemed,
        points_earned=row.points_earned,
        points_taken_back=row.points_taken_back,
        points_worked_out=row.points_worked_out,
        points_entry_id=row.points_entry_id,
        points_trace=row.points_trace,
        promised_at=row.promised_at,
        placed_at=row.placed_at,
        paid_at=row.paid_at,
        shipped_at=row.shipped_at,
        delivered_at=row.delivered_at,
        completed_at=row.completed_at,
        cancelled_at=row.cancelled_at,
        captured_at=row.captured_at,
        attached_at=row.attached_at,
        receiver=_masked(_opened(session, row)),
        lines=lines_of(session, row.id),
        shipments=shipments_of(session, row.id),
        events=_events_of(session, row.id),
        exceptions=_exceptions_of(session, row.id, row.order_no),
    )


def receiver_of(session: Session, order_id: UUID) -> ReceiverView | None:
    """Return the receiver in the clear; only for what shows it on purpose and writes that down (``service.reveal_receiver``)."""
    row = session.scalars(sa.select(Order).where(Order.id == order_id).execution_options(populate_existing=True)).one_or_none()
    return _opened(session, row) if row else None


def _opened(session: Session, row: Order) -> ReceiverView | None:
    if row.receiver_name is None or row.receiver_phone is None or row.receiver_address is None:
        return None
    vault = vault_of(session)
    return ReceiverView(
        vault.open(row.receiver_name, Place("orders", "receiver_name", row.id)),
        vault.open(row.receiver_phone, Place("orders", "receiver_phone", row.id)),
        vault.open(row.receiver_address, Place("orders", "receiver_address", row.id)),
    )


def _masked(receiver: ReceiverView | None) -> ReceiverView | None:
    if receiver is None:
        return None
    return ReceiverView(
        rules.masked_name(receiver.name), members_rules.masked_phone(receiver.phone), rules.masked_address(receiver.address)
    )


def shipments_of(session: Session, order_id: UUID) -> tuple[ShipmentView, ...]:
    """Return an order's parcels with their timelines, newest event first; two statements."""
    parcels = session.scalars(
        sa.select(Shipment)
        .where(Shipment.order_id == order_id)
        .order_by(Shipment.shipped_at, Shipment.id)
        .execution_options(populate_existing=True)
    ).all()
    if not parcels:
        return ()
    events = session.scalars(
        sa.select(TrackingEvent)
        .where(TrackingEvent.tracking_no.in_([parcel.tracking_no for parcel in parcels]))
        .order_by(TrackingEvent.occurred_at.desc(), TrackingEvent.id.desc())
        .execution_options(populate_existing=True)
    ).all()
    return tuple(
        ShipmentView(
            id=parcel.id,
            carrier=parcel.carrier,
            tracking_no=parcel.tracking_no,
            state=parcel.state,
            shipped_at=parcel.shipped_at,
            promised_at=parcel.promised_at,
            delivered_at=parcel.delivered_at,
            events=tuple(
                TrackingEventView(event.occurred_at, event.state, event.description)
                for event in events
                if event.tracking_no == parcel.tracking_no and parcel.carrier in {"", event.carrier}
            ),
        )
        for parcel in parcels
    )


def _events_of(session: Session, order_id: UUID) -> tuple[EventView, ...]:
    rows = session.scalars(
        sa.select(OrderEventRow).where(OrderEventRow.order_id == order_id).order_by(OrderEventRow.occurred_at, OrderEventRow.id)
    )
    return tuple(
        EventView(row.event_id, row.kind, row.occurred_at, row.received_at, f"{row.actor_kind}:{row.actor_ref}", row.detail) for row in rows
    )


def exceptions(session: Session, page: PageRequest, *, state: str | None = "open", rule: str | None = None) -> Page[ExceptionView]:
    """Return exceptions for staff, newest first."""
    statement = sa.select(OrderException)
    if state is not None:
        statement = statement.where(OrderException.state == state)
    if rule is not None:
        statement = statement.where(OrderException.rule == rule)
    ordered = keyset(statement, OrderException.opened_at, OrderException.id, page)
    rows: Sequence[OrderException] = session.scalars(ordered.execution_options(populate_existing=True)).all()
    cut = page_of(rows, page, lambda row: (row.opened_at, row.id))
    wanted = {row.order_id for row in cut.items}
    numbers = (
        {row.id: row.order_no for row in session.execute(sa.select(Order.id, Order.order_no).where(Order.id.in_(wanted)))} if wanted else {}
    )
    return cut.map(lambda row: _exception(row, numbers[row.order_id]))


def _exceptions_of(session: Session, order_id: UUID, order_no: str) -> tuple[ExceptionView, ...]:
    rows = session.scalars(
        sa.select(OrderException)
        .where(OrderException.order_id == order_id)
        .order_by(OrderException.opened_at, OrderException.id)
        .execution_options(populate_existing=True)
    )
    return tuple(_exception(row, order_no) for row in rows)


def _exception(row: OrderException, order_no: str) -> ExceptionView:
    return ExceptionView(
        id=row.id,
        order_id=row.order_id,
        order_no=order_no,
        rule=row.rule,
        key=row.key,
        state=row.state,
        detail=row.detail,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        closed_by=row.closed_by,
        reason=row.reason,
    )


def parcel(session: Session, shipment_id: UUID) -> tuple[str, str] | None:
    """Return a parcel's (carrier, tracking number), or None."""
    found = session.execute(sa.select(Shipment.carrier, Shipment.tracking_no).where(Shipment.id == shipment_id)).one_or_none()
    return (found[0], found[1]) if found else None


def under_way(session: Session, member_ids: Sequence[UUID]) -> bool:
    """Tell whether anything that these members have paid for has not arrived yet."""
    statement = sa.select(Order.id).where(Order.member_id.in_(member_ids), Order.state.in_(("paid", "shipped"))).limit(1)
    return session.scalar(statement) is not None


def would_be_first(session: Session, member_id: UUID, *, channel: str | None = None, external_no: str | None = None) -> bool:
    """Tell whether an order would be the member's first: no other stands, paid or waiting; those called off or refunded whole do not.

    Arguments:
        session: to read with.
        member_id: whose.
        channel: of the order itself, when it may have been reported already.
        external_no: its number there.
    """
    others = sa.select(Order.id).where(Order.member_id == member_id, Order.state.not_in(("cancelled", "refunded")))
    if channel is not None and external_no is not None:
        others = others.where(sa.or_(Order.channel != channel, Order.external_no != external_no))
    return session.scalar(others.limit(1)) is None


def counts_by_state(session: Session) -> dict[str, int]:
    """Return how many orders are in each state."""
    return {state: count for state, count in session.execute(sa.select(Order.state, sa.func.count()).group_by(Order.state))}  # noqa: C416 - as above
