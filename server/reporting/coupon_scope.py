"""Which coupons a report is about, and the figures it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from server.kernel.clock import end_of_day, start_of_day

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

MAX_DAYS = 366
# What a filter asks for beside the code of a store; codes have no tilde.
UNKNOWN_STORE = "~unknown"
NO_STORE = "~none"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a report is about.

    Arguments:
        first: first business day.
        last: last business day, at most ``MAX_DAYS`` from the first.
        template_id: only this template.
        store: only what was redeemed in this store; ``UNKNOWN_STORE`` or ``NO_STORE``.
        channel: only what was redeemed there.
        way: only what came into wallets this way, a source's namespace.
    """

    first: date
    last: date
    template_id: UUID | None = None
    store: str | None = None
    channel: str | None = None
    way: str | None = None

    @property
    def days(self) -> int:
        """Return how many business days it covers."""
        return (self.last - self.first).days + 1

    @property
    def before(self) -> date:
        """Return the first day of the range before, which is as long and ends where this one begins."""
        return self.first - timedelta(days=self.days)

    @property
    def by_redemption(self) -> bool:
        """Tell whether it is narrowed by where coupons are redeemed; of those not yet redeemed nobody knows that."""
        return self.store is not None or self.channel is not None

    def edges(self, zone: ZoneInfo) -> tuple[datetime, datetime, datetime]:
        """Return the instants at which the range before begins, at which this one begins and at which it is over."""
        return start_of_day(self.before, zone), start_of_day(self.first, zone), end_of_day(self.last, zone)


@dataclass(slots=True)
class Figures:
    """Sums of a report; money in fen.

    | figure | definition |
    |---|---|
    | issued | came into wallets in the range |
    | held | of those issued: could still be redeemed, or are kept for an order |
    | redeemed_of_these | of those issued: redeemed, whenever |
    | expired, voided | of those issued |
    | redeemed | redeemed in the range, whenever issued, and not returned since |
    | returned | given back by refunds in the range, each time |
    | cost_fen | of those redeemed: what they took off, and the worth of gifts |
    | untold | of those redeemed: nobody told what they took off; they count as nothing in ``cost_fen`` |
    | sales_fen | of those redeemed: their parts of their orders' sales (``server.coupons.rules.apportion``) |

    Issued = held + redeemed_of_these + expired + voided.
    """

    issued: int = 0
    held: int = 0
    redeemed_of_these: int = 0
    expired: int = 0
    voided: int = 0
    redeemed: int = 0
    returned: int = 0
    untold: int = 0
    cost_fen: int = 0
    sales_fen: int = 0

    @property
    def rate(self) -> int | None:
        """Return redeemed of issued in hundredths of a percent, None when nothing was issued."""
        return self.redeemed_of_these * 10_000 // self.issued if self.issued else None

    @property
    def sales_per_yuan(self) -> int | None:
        """Return the sales for each yuan of cost, in fen; None when nothing was spent."""
        return self.sales_fen * 100 // self.cost_fen if self.cost_fen else None

    def add(self, **amounts: int) -> None:
        """Add to some of the figures."""
        for name, amount in amounts.items():
            setattr(self, name, getattr(self, name) + amount)


@dataclass(frozen=True, slots=True)
class Row:
    """One template, store, channel or way in with its figures; ``key`` is its id, code or namespace."""

    key: str
    figures: Figures = field(default_factory=Figures)


@dataclass(slots=True)
class Day:
    """One business day: issued then, redeemed then, and what that cost in fen."""

    day: date
    issued: int = 0
    redeemed: int = 0
    cost_fen: int = 0


@dataclass(slots=True)
class CouponReport:
    """A report: the range, the range before, and the range cut up in four ways, what cost most first.

    ``issues`` tells whether the figures of issuing are there, ``returns`` whether those of returns are: where a coupon that was
    never redeemed, or was returned, would have been redeemed is not known.
    """

    total: Figures
    before: Figures
    templates: list[Row]
    stores: list[Row]
    channels: list[Row]
    ways: list[Row]
    days: list[Day]
    issues: bool
    returns: bool
