"""Tables of the catalogue."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.catalogue.errors import CodeTakenError
from server.kernel.db import Base, register_constraint, table_args


class Category(Base):
    """A group of products that rules may name."""

    __tablename__ = "categories"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(120), unique=True)
    name: Mapped[str] = mapped_column(sa.String(191))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = table_args()


class Product(Base):
    """One thing that is sold. ``category`` is a category's code; a product may come before its category."""

    __tablename__ = "products"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(sa.String(64), unique=True)
    name: Mapped[str] = mapped_column(sa.String(191), index=True)
    category: Mapped[str | None] = mapped_column(sa.String(120), index=True)
    brand: Mapped[str | None] = mapped_column(sa.String(120))
    price_fen: Mapped[int | None]
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.CheckConstraint("price_fen IS NULL OR price_fen >= 0", name="price_positive"),
        sa.Index("ix_products_created", "created_at", "id"),
    )


class Store(Base):
    """A shop with a till."""

    __tablename__ = "stores"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(64), unique=True)
    name: Mapped[str] = mapped_column(sa.String(191))
    region: Mapped[str | None] = mapped_column(sa.String(64))
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = table_args(sa.Index("ix_stores_created", "created_at", "id"))


class Warehouse(Base):
    """A place that ships."""

    __tablename__ = "warehouses"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(sa.String(64), unique=True)
    name: Mapped[str] = mapped_column(sa.String(191))
    region: Mapped[str | None] = mapped_column(sa.String(64))
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = table_args()


class StockLevel(Base):
    """How many of a SKU a warehouse says it has; the latest word of the partner that runs it."""

    __tablename__ = "stock_levels"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    warehouse_id: Mapped[UUID] = mapped_column(sa.ForeignKey("warehouses.id"))
    sku: Mapped[str] = mapped_column(sa.String(64))
    available: Mapped[int]
    updated_at: Mapped[datetime]

    __table_args__ = table_args(
        sa.UniqueConstraint("warehouse_id", "sku"),
        sa.CheckConstraint("available >= 0", name="available_positive"),
    )


for _name in ("categories_code", "products_sku", "stores_code", "warehouses_code"):
    register_constraint(f"uq_{_name}", CodeTakenError)
