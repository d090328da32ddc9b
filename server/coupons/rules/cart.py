"""What a quote is made from and made of: the cart, the coupons of a wallet, what each takes off or why it is left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from server.coupons.rules.terms import Terms


@dataclass(frozen=True, slots=True)
class CartLine:
    """One line: so many of one product, at what one costs before any coupon."""

    sku: str
    quantity: int
    unit_price_fen: int
    category: str | None = None

    @property
    def amount_fen(self) -> int:
        """Return what the line costs before any coupon."""
        return self.quantity * self.unit_price_fen


@dataclass(frozen=True, slots=True)
class Cart:
    """What is to be paid for, where, by whom and when.

    Arguments:
        lines: the goods.
        at: the instant.
        day: the business day of that instant.
        shipping_fen: what shipping costs.
        channel: where it is sold.
        store: in which store, if in one.
        tier: the member's tier code.
        segments: those of the segments asked for that the member is in, as of their last builds.
        clock: the shop's local time of that instant.
        first_order: whether it is the member's first order; None when nobody asked, which no coupon takes for a yes.
    """

    lines: tuple[CartLine, ...]
    at: datetime
    day: date
    shipping_fen: int = 0
    channel: str | None = None
    store: str | None = None
    tier: str | None = None
    clock: time = time(12)
    first_order: bool | None = None
    segments: frozenset[str] = frozenset()

    @property
    def goods_fen(self) -> int:
        """Return what the goods cost before any coupon."""
        return sum(line.amount_fen for line in self.lines)


@dataclass(frozen=True, slots=True)
class Held:
    """A coupon in the wallet, as a quote sees it."""

    coupon_id: UUID
    terms: Terms
    state: str
    valid_from: datetime
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class Gift:
    """A product that goes with the order for nothing."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Applied:
    """A coupon that is applied: what it takes off each line and off the shipping, or the gift it gives."""

    coupon_id: UUID
    by_line_fen: tuple[int, ...]
    shipping_fen: int
    gift: Gift | None = None

    @property
    def discount_fen(self) -> int:
        """Return what it takes off in all."""
        return sum(self.by_line_fen) + self.shipping_fen


@dataclass(frozen=True, slots=True)
class Refused:
    """A coupon that is left out, a stable reason code, and what the reason needs to be told (``missing_fen``…)."""

    coupon_id: UUID
    reason: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quote:
    """What is to be paid, and why."""

    goods_fen: int
    shipping_fen: int
    applied: tuple[Applied, ...]
    refused: tuple[Refused, ...]
    line_discounts_fen: tuple[int, ...]
    shipping_discount_fen: int

    @property
    def discount_fen(self) -> int:
        """Return what all coupons take off."""
        return sum(self.line_discounts_fen) + self.shipping_discount_fen

    @property
    def payable_fen(self) -> int:
        """Return what is left to pay."""
        return self.goods_fen + self.shipping_fen - self.discount_fen

    @property
    def gift(self) -> Gift | None:
        """Return what goes with the order for nothing, if anything does."""
        return next((each.gift for each in self.applied if each.gift is not None), None)

    @property
    def goods_left_fen(self) -> int:
        """Return what the goods cost after the coupons, without the shipping."""
        return self.goods_fen - sum(self.line_discounts_fen)
