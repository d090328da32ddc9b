"""Pure rules of sales that reach us, or their buyer, late: what an offline till captured, and receipts that are claimed."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from server.orders.errors import CapturedInFutureError, CapturedTooLongAgoError

# How far the clock of a till may be ahead of ours.
CAPTURE_SKEW = timedelta(minutes=5)

GRANTED = "granted"
NOT_FOUND = "not_found"
AMBIGUOUS = "ambiguous"
CREDITED = "already_credited"
REFUNDED = "refunded"
TOO_OLD = "too_old"
OUTCOMES = (GRANTED, NOT_FOUND, AMBIGUOUS, CREDITED, REFUNDED, TOO_OLD)


def check_captured(captured_at: datetime, now: datetime, *, offline_days: int) -> None:
    """Look whether something an offline till captured can still be told.

    Arguments:
        captured_at: when it happened at the till.
        now: present instant.
        offline_days: how long ago it may have been.

    Raises:
        CapturedInFutureError: later than now, by more than clocks differ.
        CapturedTooLongAgoError: too long ago.
    """
    if captured_at > now + CAPTURE_SKEW:
        raise CapturedInFutureError(fields={"captured_at": CapturedInFutureError.message})
    if captured_at < now - timedelta(days=offline_days):
        raise CapturedTooLongAgoError(days=offline_days)


def earns_as_of(*, captured_at: datetime | None, attached_at: datetime | None, paid_at: datetime | None, now: datetime) -> datetime | None:
    """Return the instant whose earning rules and business day count for an order that is told, or attached, after the sale.

    None for every other order: it earns by what holds when it earns.
    """
    instant = captured_at or (paid_at if attached_at is not None else None)
    return min(instant, now) if instant is not None else None


@dataclass(frozen=True, slots=True)
class Sold:
    """An order as far as a claim cares.

    Arguments:
        order_id: key.
        payable_fen: what was to be paid.
        sold_on: business day of the sale.
        free: nobody has it, or only a record that nobody logs in to, which redeemed nothing with it.
        undone: money went back, or it was called off.
    """

    order_id: UUID
    payable_fen: int
    sold_on: date
    free: bool
    undone: bool


def judge(found: Sequence[Sold], *, amount_fen: int, today: date, claim_days: int) -> tuple[str, UUID | None]:
    """Return what becomes of a claim, and the order it is about where there is exactly one.

    Only who knows the amount learns anything about a receipt, and never whose it is.

    Arguments:
        found: the orders of that day with the number on the receipt.
        amount_fen: as written on the receipt.
        today: business day of the claim.
        claim_days: until how many days after the sale it may be claimed.
    """
    matching = [sold for sold in found if sold.payable_fen == amount_fen]
    if not matching:
        return NOT_FOUND, None
    if len(matching) > 1:
        return AMBIGUOUS, None
    sold = matching[0]
    if not sold.free:
        return CREDITED, sold.order_id
    if sold.undone:
        return REFUNDED, sold.order_id
    if sold.sold_on < today - timedelta(days=claim_days):
        return TOO_OLD, sold.order_id
    return GRANTED, sold.order_id


def normalised_receipt(text: str) -> str:
    """Return a receipt number as tills print it: full-width characters made narrow, no blanks at the ends."""
    return unicodedata.normalize("NFKC", text).strip()
