"""The fingerprint of a quote: what was promised for which cart and until when, signed, so that no table keeps it.

Whoever holds one can ask for the very outcome again (``promise.differences``); a coupon that came into the wallet since
does not matter, since only the coupons of the promise are decided over anew.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from server.coupons.rules.cart import CartLine, Quote

TTL_SECONDS = 900
MAX_CHARS = 2000
_SIGNATURE_CHARS = 43  # of 32 bytes


@dataclass(frozen=True, slots=True)
class Promise:
    """What a quote promised.

    Arguments:
        member_id: to whom.
        cart: digest of the goods, the channel, the store and the shipping.
        outcome: digest of everything that was decided, to the fen of each line.
        payable_fen: what was to be paid, before points.
        discounts: each coupon applied, and what it takes off.
        expires: the last second of the promise, since 1970.
    """

    member_id: UUID
    cart: str
    outcome: str
    payable_fen: int
    discounts: dict[UUID, int]
    expires: int

    def differences(self, found: Quote) -> dict[str, str]:
        """Return what a new decision over the same coupons says otherwise: coupon ids and ``payable_fen``, each with how."""
        if outcome_of(found) == self.outcome:
            return {}
        refused = {each.coupon_id: each.reason for each in found.refused}
        applied = {each.coupon_id: each.discount_fen for each in found.applied}
        changed = {}
        for coupon_id, promised in self.discounts.items():
            if coupon_id not in applied:
                changed[str(coupon_id)] = refused.get(coupon_id, "not_found")
            elif applied[coupon_id] != promised:
                changed[str(coupon_id)] = str(applied[coupon_id])
        if found.payable_fen != self.payable_fen or not changed:
            changed["payable_fen"] = str(found.payable_fen)
        return changed


def promise_of(member_id: UUID, cart: str, found: Quote, now: datetime) -> Promise:
    """Return what a quote promises from now on."""
    discounts = {each.coupon_id: each.discount_fen for each in found.applied}
    return Promise(member_id, cart, outcome_of(found), found.payable_fen, discounts, int(now.timestamp()) + TTL_SECONDS)


def cart_digest(lines: Sequence[CartLine], *, channel: str | None, store: str | None, shipping_fen: int) -> str:
    """Return one text for equal carts; the order of the lines counts, since the discount is told line by line."""
    goods = [[line.sku, line.category, line.quantity, line.unit_price_fen] for line in lines]
    return _digest([goods, channel, store, shipping_fen])


def outcome_of(found: Quote) -> str:
    """Return one text for equal outcomes."""
    applied = [
        [each.coupon_id.hex, list(each.by_line_fen), each.shipping_fen, [each.gift.sku, each.gift.quantity] if each.gift else None]
        for each in found.applied
    ]
    return _digest([found.goods_fen, found.shipping_fen, applied])


def sign(promise: Promise, secret_key: str) -> str:
    """Return a promise as a text that only we can have written."""
    discounts = [[coupon_id.hex, fen] for coupon_id, fen in promise.discounts.items()]
    body = [promise.member_id.hex, promise.cart, promise.outcome, promise.payable_fen, discounts, promise.expires]
    text = _text(json.dumps(body, separators=(",", ":")).encode())
    return f"{text}.{_signature(text, secret_key)}"


def read(quote_id: str, secret_key: str) -> Promise | None:
    """Return the promise of a text, or None when we did not write it. One that is over is read as well."""
    text, _, signature = quote_id.rpartition(".")
    if len(signature) != _SIGNATURE_CHARS or not hmac.compare_digest(_signature(text, secret_key).encode(), signature.encode()):
        return None
    try:
        body: list[Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):  # pragma: no cover - signed by us, so it can be read
        return None
    member, cart, outcome, payable, discounts, expires = body
    return Promise(UUID(member), cart, outcome, payable, {UUID(coupon): fen for coupon, fen in discounts}, expires)


def _digest(values: list[Any]) -> str:
    return hashlib.sha256(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()[:32]


def _signature(text: str, secret_key: str) -> str:
    return _text(hmac.digest(secret_key.encode(), f"coupon-quote|{text}".encode(), "sha256"))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
