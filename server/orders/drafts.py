"""What the edges hand to orders: a sale and what happened to it, as plain frozen values. Amounts are whole fen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class MemberRef:
    """Who bought, in the sender's words; the first that is known counts, in this order.

    Arguments:
        member_id: our own key.
        card_no: of the member card.
        openid: of a WeChat app of the brand.
        external_id: the buyer's id in the order's channel.
        phone: unknown phones make a member that the first log-in with that phone takes over.
    """

    member_id: UUID | None = None
    card_no: str | None = None
    openid: str | None = None
    external_id: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class LineDraft:
    """One line of a sale; ``amount_fen`` is what was paid for it and is what counts."""

    line_no: int
    sku: str
    name: str
    quantity: int
    amount_fen: int
    category: str | None = None
    unit_price_fen: int | None = None
    discount_fen: int = 0


@dataclass(frozen=True, slots=True)
class ReceiverDraft:
    """Who gets the parcel; sealed at rest."""

    name: str
    phone: str
    address: str


@dataclass(frozen=True, slots=True)
class OrderDraft:
    """A sale as a channel reports it.

    Arguments:
        channel: which shop, till or platform (``till``, ``tmall``…).
        external_no: the sale's number there.
        member: who bought.
        placed_at: when it was placed.
        lines: what was sold.
        payable_fen: what the buyer owes or paid in money.
        paid_at: when it was paid, if it was.
        store: code of the store, for sales in one.
        discount_fen: taken off in all, as the channel tells it.
        shipping_fen: shipping charged.
        points_paid_fen: part of the goods paid with points, in fen.
        receiver: for parcels.
        coupon_ids: coupons of ours redeemed by this sale.
        points_redeemed: points of ours redeemed by this sale.
        promised_at: until when the channel promised the goods; parcels without a word of their own inherit it.
        captured_at: when an offline till took the sale down, for one that is told later; it is no part of the content.
    """

    channel: str
    external_no: str
    member: MemberRef
    placed_at: datetime
    lines: tuple[LineDraft, ...]
    payable_fen: int
    paid_at: datetime | None = None
    store: str | None = None
    discount_fen: int = 0
    shipping_fen: int = 0
    points_paid_fen: int = 0
    receiver: ReceiverDraft | None = None
    coupon_ids: tuple[UUID, ...] = ()
    points_redeemed: int = 0
    promised_at: datetime | None = None
    captured_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefundLine:
    """What of a line went back; without an amount, the quantity's share of what was paid."""

    line_no: int
    quantity: int
    refund_fen: int | None = None


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """Something that happened to an order.

    Arguments:
        event_id: the sender's own id, unique for the order.
        kind: ``paid``, ``shipped``, ``delivered``, ``cancelled``, ``refunded``; our own are ``received`` and ``completed``.
        occurred_at: when it happened.
        carrier: for ``shipped``.
        tracking_no: for ``shipped`` and, optionally, ``delivered``.
        promised_at: for ``shipped`` with a tracking number: until when this parcel is promised.
        refund_id: for ``refunded``, unique for the order; the event's id where it is missing.
        refund_fen: for ``refunded``: the whole amount; without it the lines' amounts, without lines what is left.
        lines: for ``refunded``: which lines went back.
    """

    event_id: str
    kind: str
    occurred_at: datetime
    carrier: str | None = None
    tracking_no: str | None = None
    refund_id: str | None = None
    refund_fen: int | None = None
    lines: tuple[RefundLine, ...] = ()
    promised_at: datetime | None = None
