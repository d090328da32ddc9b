"""Receipts that members claim: which sale one is about, what became of each claim, and giving the sale to the member."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.kernel.clock import business_date, end_of_day, start_of_day
from server.kernel.db import zone_of
from server.kernel.ids import uuid7
from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.members import merge_queries
from server.orders import events, late, rules
from server.orders.history import locked
from server.orders.intake import announce
from server.orders.late import Sold
from server.orders.models import Order, OrderCoupon, OrderException, OrderLine, ReceiptClaim

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

# Nobody's receipt number stands for more sales of one day than this.
_MOST_SALES = 20


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt as it is printed.

    Arguments:
        external_no: its number.
        amount_fen: what was to be paid.
        placed_on: the day of the sale.
        channel: of the sale, where the claimant knows it.
        store: code of the store, likewise.
    """

    external_no: str
    amount_fen: int
    placed_on: date
    channel: str | None = None
    store: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimView:
    """A claim as staff see it; ``order_no`` only where one sale was meant."""

    id: UUID
    member_id: UUID
    outcome: str
    order_id: UUID | None
    order_no: str | None
    channel: str | None
    store_code: str | None
    external_no: str
    amount_fen: int
    placed_on: date
    points: int
    reason: str | None
    claimed_at: datetime
    actor_kind: str
    actor_ref: str


def candidates(session: Session, receipt: Receipt) -> list[Sold]:
    """Return the sales of the receipt's day with its number, as they are now."""
    zone = zone_of(session)
    statement = sa.select(Order).where(
        # The day bounds the search by an index; the number alone has none.
        Order.placed_at >= start_of_day(receipt.placed_on, zone),
        Order.placed_at < end_of_day(receipt.placed_on, zone),
        Order.external_no == receipt.external_no,
    )
    if receipt.channel is not None:
        statement = statement.where(Order.channel == receipt.channel)
    if receipt.store is not None:
        statement = statement.where(Order.store_code == receipt.store)
    rows = session.scalars(statement.order_by(Order.id).limit(_MOST_SALES).execution_options(populate_existing=True)).all()
    return [_sold(session, row) for row in rows]


def sold(session: Session, order_id: UUID) -> tuple[Sold, Receipt]:
    """Lock a sale and return it as far as a claim cares, with the receipt it has.

    Raises:
        OrderNotFoundError: there is none.
    """
    row = locked(session, Order.id == order_id)
    found = _sold(session, row)
    return found, Receipt(row.external_no, row.payable_fen, found.sold_on, row.channel, row.store_code)


def is_free(session: Session, order_id: UUID) -> bool:
    """Tell whether staff could give a sale to a member."""
    row = session.scalars(sa.select(Order).where(Order.id == order_id)).one_or_none()
    if row is None:
        return False
    found = _sold(session, row)
    return found.free and not found.undone


def _sold(session: Session, row: Order) -> Sold:
    # A sale is given to somebody once, also when it went to a record that nobody logs in to.
    free = row.member_id is None and row.attached_at is None
    if row.member_id is not None and row.attached_at is None and _is_unclaimed(session, row.member_id):
        redeemed = sa.select(OrderCoupon.id).where(OrderCoupon.order_id == row.id, OrderCoupon.state != "refused").limit(1)
        # What was redeemed with the sale was the record's own, so the sale stays there too.
        free = not row.points_redeemed and session.scalar(redeemed) is None
    undone = row.refunded_fen > 0 or row.state in {rules.CANCELLED, rules.REFUNDED}
    return Sold(row.id, row.payable_fen, business_date(row.placed_at, zone_of(session)), free, undone)


def _is_unclaimed(session: Session, member_id: UUID) -> bool:
    """Tell whether a till or a shop made the record, and nobody logs in to it."""
    record = merge_queries.merge_candidate(session, member_id)
    return record.status == "active" and not record.wechat_apps


def wrong_tries(session: Session, member_id: UUID, day: date) -> int:
    """Return how many receipts a member entered on a business day that no sale has; the caller holds the member's points account."""
    return int(
        session.scalar(
            sa.select(sa.func.count())
            .select_from(ReceiptClaim)
            .where(ReceiptClaim.member_id == member_id, ReceiptClaim.business_day == day, ReceiptClaim.outcome == late.NOT_FOUND)
        )
        or 0
    )


def attach(session: Session, order_id: UUID, member_id: UUID, *, now: datetime) -> None:
    """Give a sale to a member and tell it; what an earlier record earned by it has been taken back, or was never earned.

    Arguments:
        session: of the flow's transaction, which holds the order.
        order_id: the sale.
        member_id: whose it is from now on.
        now: present instant.
    """
    for statement in (
        sa.update(Order)
        .where(Order.id == order_id)
        .values(
            member_id=member_id,
            attached_at=now,
            points_worked_out=False,
            points_entry_id=None,
            points_earned=0,
            points_taken_back=0,
            version=Order.version + 1,
            updated_at=now,
        ),
        sa.update(OrderLine).where(OrderLine.order_id == order_id).values(points=0),
        sa.update(OrderException)
        .where(OrderException.order_id == order_id, OrderException.rule == "member_unknown", OrderException.state == "open")
        .values(state="closed", closed_at=now, closed_by="system", reason=None),
    ):
        session.execute(statement.execution_options(synchronize_session=False))
    announce(session, events.ATTACHED, order_id, member_id, now)


def write(
    session: Session,
    member_id: UUID,
    receipt: Receipt,
    outcome: str,
    order_id: UUID | None,
    *,
    points: int = 0,
    reason: str | None = None,
    actor: Actor,
    now: datetime,
) -> UUID:
    """Write down a claim and what became of it.

    Raises:
        ReceiptCreditedError: at the constraint, when the sale was granted to somebody before.
    """
    claim_id = uuid7()
    values: dict[str, Any] = {
        "id": claim_id,
        "member_id": member_id,
        "outcome": outcome,
        "order_id": order_id,
        "granted_slot": order_id if outcome == late.GRANTED else None,
        "channel": receipt.channel,
        "store_code": receipt.store,
        "external_no": receipt.external_no,
        "amount_fen": receipt.amount_fen,
        "placed_on": receipt.placed_on,
        "points": points,
        "reason": reason.strip()[:500] if reason else None,
        "business_day": business_date(now, zone_of(session)),
        "claimed_at": now,
        "actor_kind": actor.kind,
        "actor_ref": actor.ref[:80],
    }
    session.execute(sa.insert(ReceiptClaim), [values])
    return claim_id


def listed(
    session: Session, page: PageRequest, *, outcome: str | None = None, number: str | None = None, member_id: UUID | None = None
) -> Page[ClaimView]:
    """Return claims, newest first.

    Arguments:
        session: any.
        page: which page.
        outcome: only this one of ``late.OUTCOMES``.
        number: only this receipt number.
        member_id: only this member's.
    """
    statement = sa.select(ReceiptClaim)
    if outcome is not None:
        statement = statement.where(ReceiptClaim.outcome == outcome)
    if number:
        statement = statement.where(ReceiptClaim.external_no == late.normalised_receipt(number))
    if member_id is not None:
        statement = statement.where(ReceiptClaim.member_id == member_id)
    rows = session.scalars(keyset(statement, ReceiptClaim.claimed_at, ReceiptClaim.id, page)).all()
    cut = page_of(rows, page, lambda row: (row.claimed_at, row.id))
    ids = [row.order_id for row in cut.items if row.order_id is not None]
    numbers: dict[UUID, str] = {}
    if ids:
        numbers = {found.id: found.order_no for found in session.execute(sa.select(Order.id, Order.order_no).where(Order.id.in_(ids)))}
    names = [name for name in ClaimView.__slots__ if name != "order_no"]
    return cut.map(
        lambda row: ClaimView(**{name: getattr(row, name) for name in names}, order_no=numbers.get(row.order_id) if row.order_id else None)
    )


def forget_member(session: Session, member_id: UUID) -> None:
    """Blank what staff wrote about a leaving member's claims; the receipts themselves name nobody."""
    statement = sa.update(ReceiptClaim).where(ReceiptClaim.member_id == member_id, ReceiptClaim.reason.is_not(None)).values(reason=None)
    session.execute(statement.execution_options(synchronize_session=False))


def merge_members(session: Session, from_id: UUID, into_id: UUID) -> int:
    """Give one member's claims to another; return how many."""
    moved = sa.update(ReceiptClaim).where(ReceiptClaim.member_id == from_id).values(member_id=into_id)
    return int(getattr(session.execute(moved.execution_options(synchronize_session=False)), "rowcount", 0))
