"""Campaigns of a retailer as its files tell them, and what is worked out from the tills where the files are silent.

The files say which households were mailed a campaign's coupons, and which coupons came back when. They do not say what a coupon
was worth, on which sale it was used, nor who held one without using it. Derived, therefore:

- **Issues**: a household that was mailed a campaign holds one coupon of it, and one more for each that it redeemed beyond the first.
- **The sale**: the household's basket of that day on whose covered goods the tills show a coupon's discount, the highest first.
- **What it took off**: that discount; each line of a basket counts for one coupon. Unknown where no basket shows any.
- **Face value**: the median of what a campaign's coupons took off; of all campaigns where none of its own is known.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from server.transfers.sheets import open_sheet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHANNEL = "retail"
ZONE = ZoneInfo("America/New_York")
_FALLBACK_FEN = 100


@dataclass(frozen=True, slots=True)
class Redemption:
    """A coupon that came back; without a basket where none shows it."""

    household: str
    coupon: str
    at: datetime
    external_no: str
    discount_fen: int | None = None
    sales_fen: int | None = None


@dataclass(slots=True)
class Campaign:
    """One campaign, whom it was mailed to, and what came back."""

    number: str
    kind: str
    first: date
    last: date
    households: set[str] = field(default_factory=set)
    redemptions: list[Redemption] = field(default_factory=list)
    coupons: int = 0
    products: int = 0
    face_fen: int = _FALLBACK_FEN

    def held(self) -> list[tuple[str, list[Redemption]]]:
        """Return each household that holds coupons of it, with those that it redeemed."""
        used: dict[str, list[Redemption]] = defaultdict(list)
        for each in self.redemptions:
            used[each.household].append(each)
        return [(household, used[household]) for household in sorted(self.households | set(used))]

    @property
    def issued(self) -> int:
        """Return how many coupons that makes (derived)."""
        return sum(max(1, len(used)) for _, used in self.held())


@dataclass(slots=True)
class _Basket:
    external_no: str
    paid_fen: int
    discounts: dict[str, int] = field(default_factory=dict)


def read_campaigns(folder: Path) -> list[Campaign]:
    """Read ``campaigns``, ``campaign_households``, ``coupon_products``, ``coupon_redemptions``, ``orders`` and ``order_lines``.

    Arguments:
        folder: where they are, each ``.csv`` or ``.csv.gz``.

    Returns:
        The campaigns, the earliest first.

    Raises:
        SheetRefusedError: a file is no plain table, or lacks a column.
        FileNotFoundError: one is missing.
        ValueError: a day or an amount cannot be read, or a row names a campaign that there is not.
    """
    campaigns = {
        number: Campaign(number, kind, date.fromisoformat(first), date.fromisoformat(last))
        for number, kind, first, last in _rows(folder, "campaigns", ("campaign_id", "campaign_type", "start_date", "end_date"))
    }
    for number, household in _rows(folder, "campaign_households", ("campaign_id", "household_id")):
        _known(campaigns, number).households.add(household)
    covered: dict[tuple[str, str], set[str]] = defaultdict(set)
    for coupon, product, number in _rows(folder, "coupon_products", ("coupon_upc", "product_id", "campaign_id")):
        covered[number, coupon].add(product)
    returned = list(_rows(folder, "coupon_redemptions", ("household_id", "coupon_upc", "campaign_id", "redemption_date")))
    baskets = _baskets(folder, {(household, day) for household, _, _, day in returned})
    told: set[tuple[str, str]] = set()
    for household, coupon, number, day in returned:
        found = _sale_of(baskets.get((household, day), []), covered[number, coupon])
        at = datetime.combine(date.fromisoformat(day), time(12), tzinfo=ZONE)
        if found is None:
            redeemed = Redemption(household, coupon, at, f"{day}-{household}-{coupon}")
        else:
            basket, discount = found
            # Of several coupons on one sale the first carries it, so that a campaign's sales count it once.
            sales = None if (number, basket.external_no) in told else basket.paid_fen
            told.add((number, basket.external_no))
            redeemed = Redemption(household, coupon, at, basket.external_no, discount, sales)
        _known(campaigns, number).redemptions.append(redeemed)
    _value(campaigns, covered)
    return sorted(campaigns.values(), key=lambda each: (each.first, each.number))


def _value(campaigns: dict[str, Campaign], covered: dict[tuple[str, str], set[str]]) -> None:
    known = [each.discount_fen for campaign in campaigns.values() for each in campaign.redemptions if each.discount_fen is not None]
    usual = int(statistics.median_low(known)) if known else _FALLBACK_FEN
    for campaign in campaigns.values():
        own = [each.discount_fen for each in campaign.redemptions if each.discount_fen is not None]
        campaign.face_fen = int(statistics.median_low(own)) if own else usual
        goods = [products for (number, _), products in covered.items() if number == campaign.number]
        campaign.coupons, campaign.products = len(goods), len(set().union(*goods))


def _sale_of(baskets: list[_Basket], covered: set[str]) -> tuple[_Basket, int] | None:
    """Return the basket that shows the highest discount on the goods of a coupon; its lines count for no other coupon then."""
    shown = [(sum(basket.discounts.get(product, 0) for product in covered), basket) for basket in baskets]
    discount, basket = max(shown, key=lambda each: (each[0], each[1].external_no), default=(0, None))
    if basket is None or discount <= 0:
        return None
    for product in covered:
        basket.discounts.pop(product, None)
    return basket, discount


def _baskets(folder: Path, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], list[_Basket]]:
    found: dict[tuple[str, str], list[_Basket]] = defaultdict(list)
    by_number: dict[str, _Basket] = {}
    for number, household, placed, paid in _rows(folder, "orders", ("basket_id", "household_id", "placed_at", "paid_cents")):
        if (household, placed[:10]) in wanted:
            by_number[number] = _Basket(number, int(paid))
            found[household, placed[:10]].append(by_number[number])
    for number, product, discount in _rows(folder, "order_lines", ("basket_id", "product_id", "coupon_disc_cents")):
        if number in by_number and discount != "0":
            discounts = by_number[number].discounts
            discounts[product] = discounts.get(product, 0) + int(discount)
    return found


def _known(campaigns: dict[str, Campaign], number: str) -> Campaign:
    if number not in campaigns:
        message = f"there is no campaign {number}"
        raise ValueError(message)
    return campaigns[number]


def _rows(folder: Path, name: str, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    path = next((path for ending in ("csv", "csv.gz") if (path := folder / f"{name}.{ending}").exists()), None)
    if path is None:
        raise FileNotFoundError(folder / f"{name}.csv")
    with open_sheet(path) as sheet:
        places = sheet.places(columns)
        order = [places[column] for column in columns]
        for _, row in sheet.rows():
            yield tuple(row[place].strip() for place in order)
