"""Reading sales from CSV files: which column means what, and what is wrong with a row. Pure; the command does the reading of files.

A mapping names the columns: ``{"channel", "money": "fen"|"yuan", "zone", "orders": {…}, "lines": {…}, "products": {…}, "stores": bool}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from server.catalogue.rules import ProductDraft
from server.orders.drafts import LineDraft, MemberRef, OrderDraft

_FEN_PER_YUAN = 100
_NAME_CHARS = 191


class RowError(Exception):
    """A row cannot be read.

    Arguments:
        column: which column.
        reason: stable code of what is wrong; never the value, which may be personal.
    """

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"{column}: {reason}")
        self.column = column
        self.reason = reason


@dataclass(frozen=True, slots=True)
class OrderMapping:
    """Which column means what.

    Arguments:
        channel: of all sales in the file, unless a column tells it.
        money: the unit of amounts, ``fen`` or ``yuan``.
        zone: of instants without an offset.
        orders, lines, products: meaning → column, or several columns (amounts are added up, names joined).
        make_stores: whether stores that are not in the catalogue are made.
    """

    channel: str
    money: str = "fen"
    zone: str = "Asia/Shanghai"
    orders: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[str, Any] = field(default_factory=dict)
    products: Mapping[str, Any] = field(default_factory=dict)
    make_stores: bool = False


# "The Complete Journey" by 84.51°: amounts in cents, read as fen. What a line brought the shop is what counts; the shop's own reductions
# are its discount, and what a manufacturer's coupon paid is part of what the shop received.
RETAIL = OrderMapping(
    channel="retail",
    zone="America/New_York",
    orders={
        "external_no": "basket_id",
        "external_id": "household_id",
        "store": "store_id",
        "placed_at": "placed_at",
        "paid_at": "placed_at",
        "payable": "paid_cents",
        "discount": ["retail_discount_cents", "coupon_match_cents"],
        "line_count": "lines",
    },
    lines={
        "order": "basket_id",
        "sku": "product_id",
        "quantity": "quantity",
        "amount": "sales_value_cents",
        "discount": ["retail_disc_cents", "coupon_match_disc_cents"],
    },
    products={"sku": "product_id", "name": ["product_type", "package_size"], "category": "product_category", "brand": "brand"},
    make_stores=True,
)


def read_mapping(document: Mapping[str, Any]) -> OrderMapping:
    """Return a mapping from its JSON document.

    Raises:
        ValueError: naming what is missing or unknown.
    """
    try:
        mapping = OrderMapping(
            channel=str(document["channel"]),
            money=str(document.get("money", "fen")),
            zone=str(document.get("zone", "Asia/Shanghai")),
            orders=dict(document["orders"]),
            lines=dict(document["lines"]),
            products=dict(document.get("products", {})),
            make_stores=bool(document.get("stores", False)),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"the mapping lacks {error}") from error
    for part, needed in (("orders", ("external_no", "placed_at", "payable")), ("lines", ("order", "sku", "quantity", "amount"))):
        for name in needed:
            if name not in getattr(mapping, part):
                raise ValueError(f"the mapping lacks {part}.{name}")
    if mapping.money not in {"fen", "yuan"}:
        raise ValueError("money is fen or yuan")
    return mapping


class OrderReader:
    """Turns rows of cells into drafts; where each column stands is looked up once, since a history has millions of cells.

    Arguments:
        mapping: which column means what.
        products: SKU → (name, category), as far as they are known.
        columns: the header of the sales.
        line_columns: the header of their lines.

    Raises:
        RowError: a column that the mapping names is missing.
    """

    def __init__(
        self,
        mapping: OrderMapping,
        products: Mapping[str, tuple[str, str | None]],
        columns: Sequence[str],
        line_columns: Sequence[str],
    ) -> None:
        self._mapping = mapping
        self._zone = ZoneInfo(mapping.zone)
        self.products = products
        self._header = tuple(columns)
        self._line_header = tuple(line_columns)
        self._order = _places(mapping.orders, self._header)
        self._line_places = _places(mapping.lines, self._line_header)
        found = self._line_places
        self._sku, self._quantity, self._amount = found["sku"][0], found["quantity"][0], found["amount"]
        self._discount, self._unit, self._line_no = found.get("discount", ()), found.get("unit_price", ()), found.get("line_no", ())
        self._name, self._category = found.get("name", ()), found.get("category", ())

    @property
    def number_place(self) -> int:
        """Return where a sale's row holds its number."""
        return self._order["external_no"][0]

    @property
    def line_number_place(self) -> int:
        """Return where a line's row holds its sale's number."""
        return self._line_places["order"][0]

    def draft(self, row: Sequence[str], line_rows: Sequence[Sequence[str]]) -> OrderDraft:
        """Return the sale of one row and its lines.

        Raises:
            RowError: naming the column.
        """
        places = self._order
        if "line_count" in places and self._number(row, places["line_count"]) != len(line_rows):
            raise RowError(self._header[places["line_count"][0]], "lines_missing")
        text = self._cell
        paid = text(row, "paid_at")
        return OrderDraft(
            channel=self._needed(row, "channel") if "channel" in places else self._mapping.channel,
            external_no=self._needed(row, "external_no"),
            member=MemberRef(
                card_no=text(row, "card_no"), openid=text(row, "openid"), external_id=text(row, "external_id"), phone=text(row, "phone")
            ),
            placed_at=self._instant(row, "placed_at"),
            paid_at=self._instant(row, "paid_at") if paid is not None else None,
            store=text(row, "store"),
            lines=tuple([self._line(place, line) for place, line in enumerate(line_rows, start=1)]),
            discount_fen=self._fen(row, places.get("discount", ()), self._header),
            shipping_fen=self._fen(row, places.get("shipping", ()), self._header),
            points_paid_fen=self._fen(row, places.get("points_paid", ()), self._header),
            payable_fen=self._fen(row, places["payable"], self._header),
        )

    def _line(self, place: int, row: Sequence[str]) -> LineDraft:
        header = self._line_header
        sku = row[self._sku].strip()
        if not sku:
            raise RowError(header[self._sku], "empty")
        name, category = self.products.get(sku, ("", None))
        if self._name:
            name = row[self._name[0]].strip() or name
        if self._category:
            category = row[self._category[0]].strip() or category
        try:
            quantity = int(row[self._quantity])
        except ValueError as error:
            raise RowError(header[self._quantity], _why_not_whole(row[self._quantity])) from error
        return LineDraft(
            self._number(row, self._line_no, header) if self._line_no else place,
            sku,
            (name or sku)[:_NAME_CHARS],
            quantity,
            self._fen(row, self._amount, header),
            category,
            self._fen(row, self._unit, header) if self._unit else None,
            self._fen(row, self._discount, header),
        )

    def _cell(self, row: Sequence[str], meaning: str) -> str | None:
        places = self._order.get(meaning)
        return (row[places[0]].strip() or None) if places else None

    def _needed(self, row: Sequence[str], meaning: str) -> str:
        place = self._order[meaning][0]
        text = row[place].strip()
        if not text:
            raise RowError(self._header[place], "empty")
        return text

    def _instant(self, row: Sequence[str], meaning: str) -> datetime:
        try:
            instant = datetime.fromisoformat(self._needed(row, meaning))
        except ValueError as error:
            raise RowError(self._header[self._order[meaning][0]], "not_an_instant") from error
        return instant if instant.tzinfo is not None else instant.replace(tzinfo=self._zone)

    def _number(self, row: Sequence[str], places: Sequence[int], header: Sequence[str] | None = None) -> int:
        try:
            return int(row[places[0]])
        except ValueError as error:
            raise RowError((header or self._header)[places[0]], _why_not_whole(row[places[0]])) from error

    def _fen(self, row: Sequence[str], places: Sequence[int], header: Sequence[str]) -> int:
        total = 0
        if self._mapping.money == "fen":
            for place in places:
                try:
                    total += int(row[place])
                except ValueError as error:
                    raise RowError(header[place], _why_not_whole(row[place])) from error
            return total
        for place in places:
            if not row[place].strip():
                raise RowError(header[place], "empty")
            try:
                fen = Decimal(row[place].strip()) * _FEN_PER_YUAN
            except InvalidOperation as error:
                raise RowError(header[place], "not_an_amount") from error
            if not fen.is_finite() or fen != fen.to_integral_value():
                raise RowError(header[place], "not_an_amount")
            total += int(fen)
        return total


def _places(columns: Mapping[str, Any], header: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return where the columns of each meaning stand."""
    found: dict[str, tuple[int, ...]] = {}
    for meaning, names in columns.items():
        wanted = [names] if isinstance(names, str) else list(names)
        for name in wanted:
            if name not in header:
                raise RowError(str(name), "column_missing")
        found[meaning] = tuple(header.index(name) for name in wanted)
    return found


def _why_not_whole(text: str) -> str:
    return "not_a_whole_number" if text.strip() else "empty"


def product_of(row: Mapping[str, str], mapping: OrderMapping) -> ProductDraft:
    """Return the product of one row; without a name it is called by its category, or its SKU.

    Raises:
        RowError: naming the column.
    """
    columns = mapping.products
    sku = _text(row, columns["sku"])
    names = columns.get("name", [])
    parts = [_optional(row, column) for column in ([names] if isinstance(names, str) else names)]
    category = _optional(row, columns.get("category"))
    name = " ".join(part for part in parts if part) or category or sku
    return ProductDraft(sku=sku, name=name[:_NAME_CHARS], category=category, brand=_optional(row, columns.get("brand")))


def _text(row: Mapping[str, str], column: str) -> str:
    value = row.get(column)
    if value is None:
        raise RowError(column, "column_missing")
    if not value.strip():
        raise RowError(column, "empty")
    return value.strip()


def _optional(row: Mapping[str, str], column: str | None) -> str | None:
    if column is None:
        return None
    value = row.get(column)
    return value.strip() or None if value is not None else None
