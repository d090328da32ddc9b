"""Pure checks of what the edges hand over: what can be no sale, and no event, at all."""

from __future__ import annotations

import re
from collections.abc import Sequence

from server.orders.drafts import LineDraft, OrderDraft, OrderEvent
from server.orders.errors import CapturedNeedsCardError, OfflineRedemptionRefusedError, OrderInvalidError
from server.orders.rules import OWN_EVENT_KINDS

EVENT_KINDS = ("paid", "shipped", "delivered", "cancelled", "refunded")
CHANNEL_PATTERN = r"^[A-Za-z0-9_.-]{1,32}$"
EXTERNAL_NO_CHARS = 80
EVENT_ID_CHARS = 100
MAX_LINES = 1000
MAX_FEN = 10**12
MAX_QUANTITY = 10**9
_SKU_CHARS = 64
_CATEGORY_CHARS = 120
_CARRIER_CHARS = 40
_TRACKING_NO_CHARS = 64


def checked_draft(draft: OrderDraft) -> OrderDraft:
    """Return the draft when it can be a sale at all.

    Raises:
        OrderInvalidError: naming the fields. What merely does not add up is no reason to refuse.
        OfflineRedemptionRefusedError: captured offline, with coupons or points.
        CapturedNeedsCardError: captured offline, and the buyer is named by something else than the card number.
    """
    wrong: dict[str, str] = {}
    if not re.fullmatch(CHANNEL_PATTERN, draft.channel):
        wrong["channel"] = CHANNEL_PATTERN
    if not _short(draft.external_no, EXTERNAL_NO_CHARS):
        wrong["external_no"] = f"1–{EXTERNAL_NO_CHARS}"
    if not 0 < len(draft.lines) <= MAX_LINES:
        wrong["lines"] = f"1–{MAX_LINES}"
    numbers = [line.line_no for line in draft.lines]
    if len(set(numbers)) != len(numbers):
        wrong["lines.line_no"] = "unique"
    for name in ("payable_fen", "discount_fen", "shipping_fen", "points_paid_fen", "points_redeemed"):
        if not 0 <= getattr(draft, name) <= MAX_FEN:
            wrong[name] = f"0–{MAX_FEN}"
    wrong.update(_wrong_in_lines(draft.lines))
    if draft.store is not None and not _short(draft.store, _SKU_CHARS):
        wrong["store"] = f"1–{_SKU_CHARS}"
    if wrong:
        raise OrderInvalidError(fields=wrong)
    if draft.captured_at is not None:
        _check_offline(draft)
    return draft


def _check_offline(draft: OrderDraft) -> None:
    # Nobody could look whether they were still there; and of two tills that queued the same coupon, the first to replay would have it.
    if draft.points_redeemed or draft.points_paid_fen or draft.coupon_ids:
        raise OfflineRedemptionRefusedError(fields={"captured_at": OfflineRedemptionRefusedError.message})
    ref = draft.member
    if any(part is not None for part in (ref.member_id, ref.openid, ref.external_id, ref.phone)):
        raise CapturedNeedsCardError(fields={"member": CapturedNeedsCardError.message})


def _wrong_in_lines(lines: Sequence[LineDraft]) -> dict[str, str]:
    return {f"lines.{place}.{field}": why for place, line in enumerate(lines) for field, why in _wrong_in(line).items()}


def _is_right(line: LineDraft) -> bool:
    return (
        _short(line.sku, _SKU_CHARS)
        and bool(line.name.strip())
        and (line.category is None or _short(line.category, _CATEGORY_CHARS))
        and 0 <= line.quantity <= MAX_QUANTITY
        and 0 <= line.amount_fen <= MAX_FEN
        and 0 <= line.discount_fen <= MAX_FEN
        and (line.unit_price_fen is None or 0 <= line.unit_price_fen <= MAX_FEN)
        and 0 <= line.line_no <= MAX_QUANTITY
    )


def _wrong_in(line: LineDraft) -> dict[str, str]:
    # Nearly every line is right, and a history has hundreds of thousands: what is wrong is only worked out for one that is not.
    if _is_right(line):
        return {}
    wrong: dict[str, str] = {}
    if not _short(line.sku, _SKU_CHARS):
        wrong["sku"] = f"1–{_SKU_CHARS}"
    if not line.name.strip():
        wrong["name"] = "1–191"
    if line.category is not None and not _short(line.category, _CATEGORY_CHARS):
        wrong["category"] = f"1–{_CATEGORY_CHARS}"
    if not 0 <= line.quantity <= MAX_QUANTITY:
        wrong["quantity"] = f"0–{MAX_QUANTITY}"
    if not 0 <= line.amount_fen <= MAX_FEN:
        wrong["amount_fen"] = f"0–{MAX_FEN}"
    if not 0 <= line.discount_fen <= MAX_FEN:
        wrong["discount_fen"] = f"0–{MAX_FEN}"
    if line.unit_price_fen is not None and not 0 <= line.unit_price_fen <= MAX_FEN:
        wrong["unit_price_fen"] = f"0–{MAX_FEN}"
    if not 0 <= line.line_no <= MAX_QUANTITY:
        wrong["line_no"] = f"0–{MAX_QUANTITY}"
    return wrong


def checked_name(channel: str, external_no: str) -> None:
    """Look whether an order can be called so.

    Raises:
        OrderInvalidError: naming the fields.
    """
    wrong = {} if re.fullmatch(CHANNEL_PATTERN, channel) else {"channel": CHANNEL_PATTERN}
    if not _short(external_no, EXTERNAL_NO_CHARS):
        wrong["external_no"] = f"1–{EXTERNAL_NO_CHARS}"
    if wrong:
        raise OrderInvalidError(fields=wrong)


def checked_event(event: OrderEvent) -> OrderEvent:
    """Return the event when it can have happened.

    Raises:
        OrderInvalidError: naming the fields.
    """
    wrong: dict[str, str] = {}
    if event.kind not in (*EVENT_KINDS, *OWN_EVENT_KINDS):
        wrong["kind"] = " | ".join(EVENT_KINDS)
    if not _short(event.event_id, EVENT_ID_CHARS):
        wrong["event_id"] = f"1–{EVENT_ID_CHARS}"
    most = (("refund_id", EVENT_ID_CHARS), ("carrier", _CARRIER_CHARS), ("tracking_no", _TRACKING_NO_CHARS))
    for name, chars in most:
        text = getattr(event, name)
        if text is not None and not _short(text, chars):
            wrong[name] = f"1–{chars}"
    if not 0 <= (event.refund_fen or 0) <= MAX_FEN:
        wrong["refund_fen"] = f"0–{MAX_FEN}"
    for place, part in enumerate(event.lines):
        if not 0 <= part.quantity <= MAX_QUANTITY or not 0 <= (part.refund_fen or 0) <= MAX_FEN:
            wrong[f"lines.{place}"] = f"0–{MAX_FEN}"
    if wrong:
        raise OrderInvalidError(fields=wrong)
    return event


def _short(text: str, most: int) -> bool:
    return 0 < len(text) <= most and text.isprintable() and text == text.strip()
