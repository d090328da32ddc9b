"""Reads the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.catalogue.models import Category, Product, StockLevel, Store, Warehouse
from server.kernel.pagination import Page, PageRequest, keyset, page_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class ProductView:
    """A product."""

    id: UUID
    sku: str
    name: str
    category: str | None
    brand: str | None
    price_fen: int | None
    active: bool


@dataclass(frozen=True, slots=True)
class PlaceView:
    """A store or a warehouse."""

    id: UUID
    code: str
    name: str
    region: str | None
    active: bool


def _product(row: Product) -> ProductView:
    return ProductView(row.id, row.sku, row.name, row.category, row.brand, row.price_fen, row.active)


def _place(row: Store | Warehouse) -> PlaceView:
    return PlaceView(row.id, row.code, row.name, row.region, row.active)


def find_product(session: Session, sku: str) -> ProductView | None:
    """Return a product by its SKU, or None."""
    row = session.scalars(sa.select(Product).where(Product.sku == sku)).one_or_none()
    return _product(row) if row else None


def find_products(session: Session, skus: Sequence[str]) -> dict[str, ProductView]:
    """Return the products that are known among some SKUs, by SKU."""
    if not skus:
        return {}
    return {row.sku: _product(row) for row in session.scalars(sa.select(Product).where(Product.sku.in_(set(skus))))}


def find_store(session: Session, code: str) -> PlaceView | None:
    """Return a store by its code, or None."""
    row = session.scalars(sa.select(Store).where(Store.code == code)).one_or_none()
    return _place(row) if row else None


def store_names(session: Session, codes: Sequence[str]) -> dict[str, str]:
    """Return the names of the stores that are known among some codes, by code."""
    if not codes:
        return {}
    rows = session.execute(sa.select(Store.code, Store.name).where(Store.code.in_(set(codes))))
    return {row.code: row.name for row in rows}


def find_warehouse(session: Session, code: str) -> PlaceView | None:
    """Return a warehouse by its code, or None."""
    row = session.scalars(sa.select(Warehouse).where(Warehouse.code == code)).one_or_none()
    return _place(row) if row else None


def products(session: Session, page: PageRequest, *, text: str | None = None, category: str | None = None) -> Page[ProductView]:
    """Return products, newest first.

    Arguments:
        session: any.
        page: which page.
        text: a whole SKU, or how a name begins.
        category: only this category's.
    """
    statement = sa.select(Product)
    if text:
        statement = statement.where(sa.or_(Product.sku == text, Product.name.startswith(text, autoescape=True)))
    if category:
        statement = statement.where(Product.category == category)
    rows = session.scalars(keyset(statement, Product.created_at, Product.id, page)).all()
    return page_of(rows, page, lambda row: (row.created_at, row.id)).map(_product)


def stores(session: Session, page: PageRequest) -> Page[PlaceView]:
    """Return stores, newest first."""
    rows = session.scalars(keyset(sa.select(Store), Store.created_at, Store.id, page)).all()
    return page_of(rows, page, lambda row: (row.created_at, row.id)).map(_place)


def warehouses(session: Session) -> list[PlaceView]:
    """Return all warehouses by code; a brand has few."""
    return [_place(row) for row in session.scalars(sa.select(Warehouse).order_by(Warehouse.code).limit(500))]


def categories(session: Session) -> list[tuple[str, str]]:
    """Return all categories as (code, name), by code; at most a thousand."""
    return [(row.code, row.name) for row in session.execute(sa.select(Category.code, Category.name).order_by(Category.code).limit(1000))]


def stock_of(session: Session, sku: str) -> dict[str, int]:
    """Return what each warehouse says it has of a SKU, by warehouse code."""
    statement = (
        sa.select(Warehouse.code, StockLevel.available)
        .join(StockLevel, StockLevel.warehouse_id == Warehouse.id)
        .where(StockLevel.sku == sku)
    )
    return {code: available for code, available in session.execute(statement)}  # noqa: C416 - rows are no pairs to the type checker
