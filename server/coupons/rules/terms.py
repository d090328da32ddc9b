"""What a coupon promises (its terms), how long it holds, and how many there may be.

Terms are the snapshot that an issued coupon carries: ``to_document`` and ``of_document`` are each other's inverse.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from server.coupons.rules import hours as clock_hours
from server.coupons.rules.hours import Window
from server.kernel.clock import business_date, end_of_day, start_of_day
from server.kernel.text import N_

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import time
    from zoneinfo import ZoneInfo

MAX_FEN = 10**11
MAX_DAYS = 3650
MAX_PERCENT = 99  # a hundred percent off is an exchange coupon
DEFAULT_GROUP = "goods"
SHIPPING_GROUP = "shipping"
MAX_STEPS = 10
MAX_WINDOWS = 14
MAX_GIFTS = 99
_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class Kind(StrEnum):
    """What a coupon takes off."""

    AMOUNT_OFF = "amount_off"
    PERCENT_OFF = "percent_off"
    FREE_SHIPPING = "free_shipping"
    EXCHANGE = "exchange"
    STEPS = "steps"
    GIFT = "gift"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a coupon applies. An empty tuple means "everywhere"; the excluded goods win over the included ones."""

    products: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    excluded_products: tuple[str, ...] = ()
    excluded_categories: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()

    @property
    def by_member(self) -> bool:
        """Tell whether it asks who the member is: a claim by a member of no matter whom needs no look at tier or segments."""
        return bool(self.tiers or self.segments)

    def places(self, goods: Sequence[tuple[str, str | None]]) -> tuple[int, ...]:
        """Return the places of the goods, each its product and category, that are in the scope.

        By sets, made once for all of them: a scope may name hundreds of products, and a cart has a hundred lines.
        """
        products, categories = frozenset(self.products), frozenset(self.categories)
        not_products, not_categories = frozenset(self.excluded_products), frozenset(self.excluded_categories)
        everything = not products and not categories
        return tuple(
            place
            for place, (sku, category) in enumerate(goods)
            if (everything or sku in products or category in categories) and sku not in not_products and category not in not_categories
        )


@dataclass(frozen=True, slots=True)
class Terms:
    """What one coupon promises.

    Arguments:
        name: as the member reads it.
        kind: what is taken off.
        amount_off_fen: for ``amount_off``.
        percent_off: for ``percent_off``, 1–99 (20 is 八折).
        steps: for ``steps``: (what the goods must cost, what is then taken off), rising in both; the highest reached counts.
        gift_sku: for ``gift``: the product given, once for an order.
        gift_quantity: how many of it.
        gift_value_fen: what the gift is worth to the shop; what the budget counts and the better of two gifts is told by.
        cap_fen: the most a ``percent_off``, ``free_shipping`` or ``exchange`` coupon takes off; None for no cap.
        threshold_fen: what the goods in scope must cost before any coupon; ``steps`` have theirs in the steps.
        scope: where it applies.
        blackouts: business days, first and last included, on which it cannot be redeemed.
        hours: local hours of the week in which it can be redeemed; empty for always.
        first_order_only: only on the member's first order.
        giftable: may be given to a friend, once.
        exclusion_group: at most one coupon of a group goes on an order.
        combinable: False for a coupon that goes on an order alone.
        priority: coupons are applied from the lowest number up.
        return_grace_days: days a coupon returned after its end stays redeemable.
        description: small print.
    """

    name: str
    kind: Kind
    amount_off_fen: int = 0
    percent_off: int = 0
    cap_fen: int | None = None
    threshold_fen: int = 0
    scope: Scope = field(default_factory=Scope)
    blackouts: tuple[tuple[date, date], ...] = ()
    exclusion_group: str = DEFAULT_GROUP
    combinable: bool = True
    priority: int = 100
    return_grace_days: int = 0
    description: str = ""
    steps: tuple[tuple[int, int], ...] = ()
    gift_sku: str = ""
    gift_quantity: int = 0
    gift_value_fen: int = 0
    hours: tuple[Window, ...] = ()
    first_order_only: bool = False
    giftable: bool = False

    def worst_case_fen(self) -> int | None:
        """Return the most one coupon can cost, or None when nothing bounds it."""
        if self.kind is Kind.STEPS:
            return max((amount for _, amount in self.steps), default=0)
        if self.kind is Kind.GIFT:
            return self.gift_value_fen
        return self.amount_off_fen if self.kind is Kind.AMOUNT_OFF else self.cap_fen

    def needed_fen(self) -> int:
        """Return what the goods in scope must cost at the least."""
        return self.steps[0][0] if self.kind is Kind.STEPS and self.steps else self.threshold_fen

    def step_off_fen(self, goods_fen: int) -> int:
        """Return what the highest step takes off that goods of this cost reach."""
        return max((amount for threshold, amount in self.steps if threshold <= goods_fen), default=0)

    def open_at(self, day: date, at: time) -> bool:
        """Tell whether a local time is within the coupon's hours."""
        return clock_hours.holds(self.hours, day, at)

    def blacked_out(self, day: date) -> bool:
        """Tell whether the coupon rests on a business day."""
        return any(first <= day <= last for first, last in self.blackouts)

    def to_document(self) -> dict[str, Any]:
        """Return the terms as JSON values."""
        document = asdict(self)
        document["kind"] = self.kind.value
        document["blackouts"] = [[first.isoformat(), last.isoformat()] for first, last in self.blackouts]
        document["steps"] = [list(step) for step in self.steps]
        document["hours"] = [[window.start, window.end, list(window.weekdays)] for window in self.hours]
        document["scope"] = {name: list(values) for name, values in document["scope"].items()}
        return document

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> Terms:
        """Read terms back; a field that was added later has its default."""
        known = {each.name for each in fields(cls)}
        values = {name: value for name, value in document.items() if name in known}
        values["kind"] = Kind(values["kind"])
        values["scope"] = Scope(**{name: tuple(codes) for name, codes in values.get("scope", {}).items()})
        values["blackouts"] = tuple((date.fromisoformat(first), date.fromisoformat(last)) for first, last in values.get("blackouts", []))
        values["steps"] = tuple((threshold, amount) for threshold, amount in values.get("steps", []))
        values["hours"] = tuple(Window(start, end, tuple(weekdays)) for start, end, weekdays in values.get("hours", []))
        return cls(**values)

    def canonical(self) -> str:
        """Return one text for equal terms."""
        return json.dumps(self.to_document(), ensure_ascii=False, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Validity:
    """How long a coupon holds: from and until fixed instants, or a number of business days from its issue.

    Arguments:
        valid_from: first instant, with ``valid_until``.
        valid_until: first instant at which it no longer holds.
        days: business days it holds, the first one included (1 is "today only").
        starts_after_days: business days between issue and the first day.
    """

    valid_from: datetime | None = None
    valid_until: datetime | None = None
    days: int | None = None
    starts_after_days: int = 0

    def over(self, now: datetime) -> bool:
        """Tell whether a coupon issued now would hold no more."""
        return self.days is None and self.valid_until is not None and self.valid_until <= now

    def window(self, issued_at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Return the first instant and the first instant no longer valid of a coupon issued now."""
        if self.days is None:
            if self.valid_from is None or self.valid_until is None:
                raise ValueError("a validity needs days or both ends")
            return self.valid_from, self.valid_until
        first = business_date(issued_at, zone) + timedelta(days=self.starts_after_days)
        begins = issued_at if self.starts_after_days == 0 else start_of_day(first, zone)
        return begins, end_of_day(first + timedelta(days=self.days - 1), zone)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many there may be; None for no limit.

    Arguments:
        stock: coupons in all.
        daily_stock: coupons in one business day.
        budget_fen: Σ of the most each coupon can cost, expired and voided ones not counted.
        per_member: coupons one member may get in all.
        per_member_daily: coupons one member may get in one business day.
        claim_from: when claiming begins.
        claim_until: first instant at which claiming is over.
    """

    stock: int | None = None
    daily_stock: int | None = None
    budget_fen: int | None = None
    per_member: int | None = 1
    per_member_daily: int | None = None
    claim_from: datetime | None = None
    claim_until: datetime | None = None

    def window_open(self, now: datetime) -> bool:
        """Tell whether claiming is open at an instant."""
        return (self.claim_from is None or self.claim_from <= now) and (self.claim_until is None or now < self.claim_until)


@dataclass(frozen=True, slots=True)
class TemplateDraft:
    """A template as staff write it.

    Arguments:
        code: stable short name, unique (``birthday``).
        terms: what each coupon promises.
        validity: how long each coupon holds.
        limits: how many there may be.
        claim_centre: whether members find it in the claim centre; otherwise it is only issued to them.
    """

    code: str
    terms: Terms
    validity: Validity
    limits: Limits = field(default_factory=Limits)
    claim_centre: bool = True


def problems(draft: TemplateDraft) -> dict[str, str]:
    """Return what is wrong with a draft, ``{field: message}``; empty when coupons can be made from it."""
    found: dict[str, str] = {}
    if not _CODE.fullmatch(draft.code):
        found["code"] = N_("Lower-case letters, digits, dashes and underscores, at most 63.")
    found.update(_terms_problems(draft.terms))
    found.update(_validity_problems(draft.validity))
    found.update(_limit_problems(draft.limits, draft.terms))
    return found


def _terms_problems(terms: Terms) -> dict[str, str]:
    """Every check as a row: what must not hold, the field, and what to tell."""
    return {**_kind_problems(terms), **_face_problems(terms)}


def _face_problems(terms: Terms) -> dict[str, str]:
    amount, percent = terms.kind is Kind.AMOUNT_OFF, terms.kind is Kind.PERCENT_OFF
    fixed = terms.kind in {Kind.AMOUNT_OFF, Kind.STEPS, Kind.GIFT}
    goods_named = bool(terms.scope.products or terms.scope.categories)
    checks = (
        (not 1 <= len(terms.name.strip()) <= 60, "name", N_("A name of 1 to 60 characters.")),  # noqa: PLR2004 - the face has room for 60
        (amount and not 1 <= terms.amount_off_fen <= MAX_FEN, "amount_off_fen", N_("An amount greater than zero.")),
        (not amount and terms.amount_off_fen != 0, "amount_off_fen", N_("Only for coupons that take an amount off.")),
        (percent and not 1 <= terms.percent_off <= MAX_PERCENT, "percent_off", N_("A percentage between 1 and 99.")),
        (not percent and terms.percent_off != 0, "percent_off", N_("Only for coupons that take a percentage off.")),
        (
            terms.kind is Kind.EXCHANGE and not goods_named,
            "products",
            N_("Say which goods the coupon can be exchanged for."),
        ),
        (
            terms.cap_fen is not None and (fixed or not 1 <= terms.cap_fen <= MAX_FEN),
            "cap_fen",
            N_("A cap greater than zero, and only where no fixed amount is taken off."),
        ),
        (
            amount and 0 < terms.threshold_fen < terms.amount_off_fen,
            "threshold_fen",
            N_("The threshold must not be lower than the amount taken off."),
        ),
        (not 0 <= terms.threshold_fen <= MAX_FEN, "threshold_fen", N_("Zero or a positive amount.")),
        (
            len(terms.hours) > MAX_WINDOWS or not all(window.sound() for window in terms.hours),
            "hours",
            N_("Windows such as 10:00-14:00 or 1-5 22:00-02:00, at most 14."),
        ),
        (any(first > last for first, last in terms.blackouts), "blackouts", N_("The last day must not come before the first.")),
        (not 1 <= len(terms.exclusion_group) <= 32, "exclusion_group", N_("A group of 1 to 32 characters.")),  # noqa: PLR2004 - a short code
        (not 0 <= terms.return_grace_days <= MAX_DAYS, "return_grace_days", N_("A number of days, zero or more.")),
    )
    return {name: message for wrong, name, message in reversed(checks) if wrong}


def _kind_problems(terms: Terms) -> dict[str, str]:
    """Check what belongs to steps and gifts alone, row by row as above."""
    steps, gift = terms.kind is Kind.STEPS, terms.kind is Kind.GIFT
    named = bool(terms.gift_sku or terms.gift_quantity or terms.gift_value_fen)
    checks = (
        (not steps and bool(terms.steps), "steps", N_("Only for coupons that take off more in steps.")),
        (steps and not 1 <= len(terms.steps) <= MAX_STEPS, "steps", N_("Between one and ten steps.")),
        (
            steps and not _rising(terms.steps),
            "steps",
            N_("Each step asks for more than the one before, takes off more, and no more than it asks for."),
        ),
        (steps and terms.threshold_fen != 0, "threshold_fen", N_("The steps say what the goods must cost.")),
        (not gift and named, "gift_sku", N_("Only for coupons that give a product.")),
        (gift and not 1 <= len(terms.gift_sku) <= 64, "gift_sku", N_("The code of the product that is given.")),  # noqa: PLR2004 - as long as an order's
        (gift and not 1 <= terms.gift_quantity <= MAX_GIFTS, "gift_quantity", N_("A number between 1 and 99.")),
        (gift and not 1 <= terms.gift_value_fen <= MAX_FEN, "gift_value_fen", N_("An amount greater than zero.")),
    )
    return {name: message for wrong, name, message in reversed(checks) if wrong}


def _rising(steps: tuple[tuple[int, int], ...]) -> bool:
    each = all(1 <= amount <= threshold <= MAX_FEN for threshold, amount in steps)
    return each and all(low[0] < high[0] and low[1] < high[1] for low, high in pairwise(steps))


def _validity_problems(validity: Validity) -> dict[str, str]:
    found: dict[str, str] = {}
    if validity.days is None:
        if validity.valid_from is None or validity.valid_until is None:
            found["valid_until"] = N_("Give a first and a last day, or a number of days.")
        elif validity.valid_from >= validity.valid_until:
            found["valid_until"] = N_("The end must come after the beginning.")
    elif validity.valid_from is not None or validity.valid_until is not None:
        found["days"] = N_("Either fixed days or a number of days, not both.")
    elif not 1 <= validity.days <= MAX_DAYS:
        found["days"] = N_("A number of days between 1 and 3650.")
    if not 0 <= validity.starts_after_days <= MAX_DAYS:
        found["starts_after_days"] = N_("A number of days, zero or more.")
    return found


def _limit_problems(limits: Limits, terms: Terms) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ("stock", "daily_stock", "per_member", "per_member_daily"):
        value = getattr(limits, name)
        if value is not None and not 1 <= value <= 10**9:
            found[name] = N_("A whole number greater than zero, or nothing for no limit.")
    if limits.budget_fen is not None:
        worst = terms.worst_case_fen()
        if worst is None:
            found["cap_fen"] = N_("A budget needs a cap on what each coupon takes off.")
        elif limits.budget_fen < worst:
            found["budget_fen"] = N_("The budget does not pay for a single coupon.")
    if limits.claim_from is not None and limits.claim_until is not None and limits.claim_from >= limits.claim_until:
        found["claim_until"] = N_("The end must come after the beginning.")
    return found
