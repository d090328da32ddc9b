"""Pure rules of orders: states and stages as data, what a sale must add up to, refunds by line, when points unlock.

State and instants are functions of the set of facts, never of the order in which they came.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from server.kernel.amounts import split_by_largest_remainder
from server.kernel.clock import business_date, end_of_day
from server.orders.drafts import OrderDraft, OrderEvent
from server.orders.errors import OrderInvalidError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

PLACED = "placed"
PAID = "paid"
SHIPPED = "shipped"
DELIVERED = "delivered"
COMPLETED = "completed"
CANCELLED = "cancelled"
REFUNDED = "refunded"

PENDING, PROCESSING, DONE = "pending", "processing", "done"

# The three plain stages members see, and the states beneath each.
STAGE_OF: dict[str, str] = {
    PLACED: PENDING,
    PAID: PENDING,
    SHIPPED: PROCESSING,
    DELIVERED: PROCESSING,
    COMPLETED: DONE,
    CANCELLED: DONE,
    REFUNDED: DONE,
}
STATES = tuple(STAGE_OF)
STAGES = (PENDING, PROCESSING, DONE)

# First match wins: which facts put an order into which state.
STATE_OF_FACTS: tuple[tuple[str, str], ...] = (
    ("cancelled_at", CANCELLED),
    ("refunded_whole", REFUNDED),
    ("completed_at", COMPLETED),
    ("delivered_at", DELIVERED),
    ("shipped_at", SHIPPED),
    ("paid_at", PAID),
)

OWN_EVENT_KINDS = ("received", "completed")

# Channels that are tills: their sales go over the counter, so nothing is shipped and points are there at once.
TILL_CHANNELS = frozenset({"till", "pos", "store"})

# Where neither the channel nor the sender of a parcel promised a day: the end of the fifth day after shipping.
PROMISED_DAYS_AFTER_SHIPPING = 5
UNLOCK_AFTER_DELIVERY = timedelta(days=7)
UNLOCK_AFTER_SHIPPING = timedelta(days=30)
COMPLETE_AFTER_DELIVERY = timedelta(days=7)
# Stands for "nobody knows yet": points of an order that has not been shipped stay pending.
UNKNOWN_INSTANT = datetime(9000, 1, 1, tzinfo=UTC)

_SOURCE_CHARS = 120
_DIGEST_CHARS = 64


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about an order, worked out from all of its events and parcels."""

    paid_at: datetime | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    completed_at: datetime | None = None
    cancelled_at: datetime | None = None
    refunded_whole: bool = False


@dataclass(frozen=True, slots=True)
class EventFact:
    """An event as far as the state cares."""

    kind: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class ParcelFact:
    """A parcel as far as the state cares."""

    shipped_at: datetime | None
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class LineMoney:
    """A line as far as refunds care: the cash paid for it (without points), and how many pieces."""

    line_no: int
    quantity: int
    paid_fen: int


@dataclass(frozen=True, slots=True)
class RefundPart:
    """What a refund pays back of one line: an amount, or where there is none its quantity."""

    line_no: int
    quantity: int
    refund_fen: int | None


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund in its plain form.

    Arguments:
        stated_fen: the whole amount as the channel tells it, or None when its parts say it.
        parts: by line.
        everything: neither lines nor amount were told, so all goes back.
    """

    stated_fen: int | None = None
    parts: tuple[RefundPart, ...] = ()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Refunded:
    """All refunds of an order added up: in all, by line (never more than was paid for it), and whether that is everything."""

    total_fen: int
    by_line: dict[int, int]
    whole: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with an order, for people to look at.

    Arguments:
        rule: stable code of the check.
        key: tells several findings of one rule apart (a coupon's id, a refund's id).
        detail: numbers and ids, no personal data.
    """

    rule: str
    detail: dict[str, object]
    key: str = ""


def is_immediate(*, channel: str, store: str | None, has_receiver: bool) -> bool:
    """Tell whether a sale is over once it is paid: goods went over the counter and nothing will be shipped."""
    return not has_receiver and (store is not None or channel in TILL_CHANNELS)


def facts_of(events: Iterable[EventFact], parcels: Sequence[ParcelFact], *, immediate: bool, refunded_whole: bool) -> Facts:
    """Work out what is known from everything that was reported, whatever order it came in.

    Arguments:
        events: all events of the order.
        parcels: all its parcels with what tracking says.
        immediate: goods went over the counter, so payment completes the sale.
        refunded_whole: everything that was paid went back.
    """
    first: dict[str, datetime] = {}
    for event in events:
        known = first.get(event.kind)
        first[event.kind] = event.occurred_at if known is None else min(known, event.occurred_at)
    paid_at = first.get("paid")
    shipped = [instant for instant in (first.get("shipped"), *(parcel.shipped_at for parcel in parcels)) if instant is not None]
    delivered_at = first.get("delivered")
    arrivals = [parcel.delivered_at for parcel in parcels]
    if delivered_at is None and arrivals and all(arrivals):
        # Several parcels are delivered when the last of them is.
        delivered_at = max(arrival for arrival in arrivals if arrival is not None)
    ended = [first[kind] for kind in OWN_EVENT_KINDS if kind in first]
    completed_at = min(ended) if ended else None
    if immediate and paid_at is not None:
        completed_at = paid_at
    return Facts(
        paid_at=paid_at,
        shipped_at=min(shipped) if shipped else None,
        delivered_at=delivered_at,
        completed_at=completed_at,
        cancelled_at=first.get("cancelled"),
        refunded_whole=refunded_whole,
    )


def promised_at(
    told: Iterable[tuple[datetime, str, datetime]], order_promise: datetime | None, shipped_at: datetime, zone: ZoneInfo
) -> datetime:
    """Return until when a parcel is promised: by the sender's latest word, else the order's promise, else the shop's policy.

    Arguments:
        told: (when it was said, the event's id, the promise) for each event that promised this parcel; any order gives the same.
        order_promise: what the channel promised for the whole order.
        shipped_at: when the parcel was shipped.
        zone: the shop's.
    """
    latest = max(told, default=None)
    if latest is not None:
        return latest[2]
    return order_promise or end_of_day(business_date(shipped_at, zone) + timedelta(days=PROMISED_DAYS_AFTER_SHIPPING), zone)


def state_of(facts: Facts) -> str:
    """Return the state that the facts put an order into."""
    return next((state for fact, state in STATE_OF_FACTS if getattr(facts, fact)), PLACED)


def points_available_at(facts: Facts, *, immediate: bool, exceptions_open: bool) -> datetime | None:
    """Return when an order's points become available: None for at once, ``UNKNOWN_INSTANT`` while nobody can say.

    Delivered + 7 days; at most 30 days after shipping when no delivery is ever reported and no exception is open.
    """
    if immediate:
        return None
    if facts.delivered_at is not None:
        return facts.delivered_at + UNLOCK_AFTER_DELIVERY
    if facts.shipped_at is not None and not exceptions_open:
        return facts.shipped_at + UNLOCK_AFTER_SHIPPING
    return UNKNOWN_INSTANT


def earns(facts: Facts) -> bool:
    """Tell whether an order earns points: paid and not called off."""
    return facts.paid_at is not None and facts.cancelled_at is None


def points_bases(amounts_fen: Sequence[int], points_paid_fen: int) -> list[int]:
    """Return the cash paid for each line: its amount minus its share of what was paid with points."""
    goods = sum(amounts_fen)
    shares = split_by_largest_remainder(min(points_paid_fen, goods), list(amounts_fen)) if amounts_fen else []
    return [max(amount - share, 0) for amount, share in zip(amounts_fen, shares, strict=True)]


def refund_of(event: OrderEvent, lines: Sequence[LineMoney]) -> Refund:
    """Return a refund in its plain form: which lines it pays back by amount, and which by quantity.

    A line with its own amount counts that; one without counts its quantity. A stated whole is the fact: lines without amounts
    only say where it belongs, and without lines it is spread over all lines by what was paid for them.

    Raises:
        OrderInvalidError: for a line the order does not have.
    """
    known = {line.line_no: line for line in lines}
    for part in event.lines:
        if part.line_no not in known:
            raise OrderInvalidError(fields={"lines": f"line_no {part.line_no}"})
    stated = event.refund_fen
    everything = not event.lines and stated is None
    if everything:
        return Refund(everything=True)
    if not event.lines:
        weights = [line.paid_fen for line in lines]
        shares = split_by_largest_remainder(min(stated or 0, sum(weights)), weights)
        return Refund(
            stated_fen=stated, parts=tuple(_by_amount(line.line_no, share) for line, share in zip(lines, shares, strict=True) if share)
        )
    if stated is not None and all(part.refund_fen is None for part in event.lines):
        weights = [_share_of(known[part.line_no], part.quantity) for part in event.lines]
        shares = split_by_largest_remainder(min(stated, sum(weights)), weights)
        parts = tuple(RefundPart(part.line_no, part.quantity, share) for part, share in zip(event.lines, shares, strict=True))
        return Refund(stated_fen=stated, parts=parts)
    return Refund(stated_fen=stated, parts=tuple(RefundPart(part.line_no, part.quantity, part.refund_fen) for part in event.lines))


def refunded(refunds: Sequence[Refund], lines: Sequence[LineMoney], payable_fen: int) -> Refunded:
    """Add up all refunds of an order; the result does not depend on their order and never shrinks as more come.

    Arguments:
        refunds: in their plain form.
        lines: of the order.
        payable_fen: what the order cost in money, shipping included.
    """
    money: dict[int, int] = {line.line_no: 0 for line in lines}
    pieces: dict[int, int] = dict(money)
    total = 0
    for refund in refunds:
        if refund.stated_fen is not None:
            total += refund.stated_fen
        for part in refund.parts:
            if part.refund_fen is None:
                pieces[part.line_no] += part.quantity
            else:
                money[part.line_no] += part.refund_fen
                total += part.refund_fen if refund.stated_fen is None else 0
    by_line: dict[int, int] = {}
    for line in lines:
        # Cumulated before rounding, so that three thirds are a whole.
        share = _share_of(line, pieces[line.line_no]) if pieces[line.line_no] else 0
        total += share
        by_line[line.line_no] = min(money[line.line_no] + share, line.paid_fen)
    goods = sum(line.paid_fen for line in lines)
    back = sum(by_line.values())
    whole = any(refund.everything for refund in refunds) or (total > 0 and total >= payable_fen) or (goods > 0 and back >= goods)
    if whole:
        by_line = {line.line_no: line.paid_fen for line in lines}
        total = max(total, payable_fen) if any(refund.everything for refund in refunds) else total
    return Refunded(total, by_line, whole)


def _share_of(line: LineMoney, quantity: int) -> int:
    if line.quantity <= 0 or quantity >= line.quantity:
        return line.paid_fen
    return line.paid_fen * quantity // line.quantity


def _by_amount(line_no: int, amount_fen: int) -> RefundPart:
    return RefundPart(line_no, 0, amount_fen)


def amount_findings(draft: OrderDraft) -> list[Finding]:
    """Return what does not add up: Σ lines + shipping − paid with points = payable."""
    goods = sum(line.amount_fen for line in draft.lines)
    expected = goods + draft.shipping_fen - draft.points_paid_fen
    if expected == draft.payable_fen:
        return []
    return [Finding("amounts_differ", {"expected_fen": expected, "payable_fen": draft.payable_fen})]


def refund_findings(refunded_fen: int, payable_fen: int) -> list[Finding]:
    """Return what is wrong with the refunds of an order: more went back than was paid."""
    if refunded_fen > payable_fen:
        return [Finding("refund_exceeds_paid", {"refunded_fen": refunded_fen, "paid_fen": payable_fen})]
    return []


def fact_findings(facts: Facts) -> list[Finding]:
    """Return facts that cannot both be so."""
    found = []
    if facts.cancelled_at is not None and (facts.shipped_at is not None or facts.delivered_at is not None):
        found.append(Finding("cancelled_but_shipped", {}))
    if facts.paid_at is None and facts.shipped_at is not None:
        found.append(Finding("shipped_unpaid", {}))
    return found


# Findings of these rules come from the facts alone, so they close by themselves when the cause is gone.
SELF_CLOSING = frozenset({"shipped_unpaid", "cancelled_but_shipped"})


def source_key(kind: str, *parts: str) -> str:
    """Return the key of a points source made of an order's own names (``order:{channel}:{external_no}``).

    A colon inside a part is escaped so that no two orders share a key; what is too long keeps its beginning and a digest.
    """
    key = ":".join([kind, *(part.replace("%", "%25").replace(":", "%3A") for part in parts)])
    if len(key) <= _SOURCE_CHARS:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{key[: _SOURCE_CHARS - _DIGEST_CHARS - 1]}~{digest}"


def masked_name(name: str) -> str:
    """Return a name as it may be shown: the first character, the others starred."""
    return name[:1] + "*" * max(len(name) - 1, 1)


def masked_address(address: str) -> str:
    """Return an address as it may be shown: the beginning, which says the region, and no more."""
    kept = 6
    return address[:kept] + "****"
