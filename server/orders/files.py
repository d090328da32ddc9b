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
    """Turns rows into drafts.

    Arguments:
        mapping: which column means what.
        products: SKU → (name, category), as far as they are known.
    """

    def __init__(self, mapping: OrderMapping, products: Mapping[str, tuple[str, str | None]]) -> None:
        self._mapping = mapping
        self._zone = ZoneInfo(mapping.zone)
        self._products = products

    def draft(self, row: Mapping[str, str], line_rows: Sequence[Mapping[str, str]]) -> OrderDraft:
        """Return the sale of one row and its lines.

        Raises:
            RowError: naming the column.
        """
        columns = self._mapping.orders
        expected = columns.get("line_count")
        if expected is not None and self._whole(row, expected) != len(line_rows):
            raise RowError(str(expected), "lines_missing")
        placed_at = self._instant(row, columns["placed_at"])
        paid = columns.get("paid_at")
        return OrderDraft(
            channel=_text(row, columns["channel"]) if "channel" in columns else self._mapping.channel,
            external_no=_text(row, columns["external_no"]),
            member=MemberRef(
                card_no=_optional(row, columns.get("card_no")),
                openid=_optional(row, columns.get("openid")),
                external_id=_optional(row, columns.get("external_id")),
                phone=_optional(row, columns.get("phone")),
            ),
            placed_at=placed_at,
            paid_at=self._instant(row, paid) if paid is not None and _optional(row, paid) else None,
            store=_optional(row, columns.get("store")),
            lines=tuple(self._line(place, line) for place, line in enumerate(line_rows, start=1)),
            discount_fen=self._fen(row, columns.get("discount")),
            shipping_fen=self._fen(row, columns.get("shipping")),
            points_paid_fen=self._fen(row, columns.get("points_paid")),
            payable_fen=self._fen(row, columns["payable"]),
        )

    def _line(self, place: int, row: Mapping[str, str]) -> LineDraft:
        columns = self._mapping.lines
        sku = _text(row, columns["sku"])
        name, category = self._products.get(sku, ("", None))
        unit = columns.get("unit_price")
        return LineDraft(
            line_no=self._whole(row, columns["line_no"]) if "line_no" in columns else place,
            sku=sku,
            name=(_optional(row, columns.get("name")) or name or sku)[:_NAME_CHARS],
            category=_optional(row, columns.get("category")) or category,
            quantity=self._whole(row, columns["quantity"]),
            amount_fen=self._fen(row, columns["amount"]),
            unit_price_fen=self._fen(row, unit) if unit is not None else None,
            discount_fen=self._fen(row, columns.get("discount")),
        )

    def _instant(self, row: Mapping[str, str], column: str) -> datetime:
        try:
            instant = datetime.fromisoformat(_text(row, column))
        except ValueError as error:
            raise RowError(column, "not_an_instant") from error
        return instant if instant.tzinfo is not None else instant.replace(tzinfo=self._zone)

    def _whole(self, row: Mapping[str, str], column: str) -> int:
        try:
            return int(_text(row, column))
        except ValueError as error:
            raise RowError(column, "not_a_whole_number") from error

    def _fen(self, row: Mapping[str, str], columns: str | list[str] | None) -> int:
        total = 0
        for column in [columns] if isinstance(columns, str) else columns or []:
            if self._mapping.money == "fen":
                total += self._whole(row, column)
                continue
            try:
                fen = Decimal(_text(row, column)) * _FEN_PER_YUAN
            except InvalidOperation as error:
                raise RowError(column, "not_an_amount") from error
            if not fen.is_finite() or fen != fen.to_integral_value():
                raise RowError(column, "not_an_amount")
            total += int(fen)
        return total


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
