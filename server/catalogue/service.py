"""Writes the catalogue: every verb is an upsert, since shops and ERPs send what they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.audit import service as audit
from server.catalogue.errors import CatalogueInvalidError, WarehouseNotFoundError
from server.catalogue.models import Category, Product, StockLevel, Store, Warehouse
from server.catalogue.rules import CATEGORY_CHARS, PlaceDraft, ProductDraft, checked_place, checked_product
from server.kernel.db import insert_all_absent, insert_if_absent, insert_rows, one_of
from server.kernel.ids import uuid7

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

_CHUNK = 500


def upsert_category(session: Session, code: str, name: str, *, actor: Actor, now: datetime) -> UUID:
    """Write a category under its code.

    Raises:
        CatalogueInvalidError: for an empty or overlong code.
    """
    if not 0 < len(code) <= CATEGORY_CHARS or not name.strip():
        raise CatalogueInvalidError(fields={"code": f"1–{CATEGORY_CHARS}"})
    return _upsert(session, Category, "category", {"code": code}, {"name": name}, actor=actor, now=now)


def upsert_product(session: Session, draft: ProductDraft, *, actor: Actor, now: datetime) -> UUID:
    """Write a product under its SKU.

    Raises:
        CatalogueInvalidError: for values that cannot be.
    """
    checked_product(draft)
    values = {
        "name": draft.name,
        "category": draft.category,
        "brand": draft.brand,
        "price_fen": draft.price_fen,
        "active": draft.active,
    }
    return _upsert(session, Product, "product", {"sku": draft.sku}, values, actor=actor, now=now)


def add_products(session: Session, drafts: Sequence[ProductDraft], *, actor: Actor, now: datetime) -> int:
    """Write many products whose SKUs are new and leave the others as they are; one audit entry for the batch.

    Arguments:
        session: of the edge's transaction.
        drafts: products; categories that are not there yet are made too.
        actor: who brings them.
        now: present instant.

    Returns:
        How many were new.

    Raises:
        CatalogueInvalidError: for values that cannot be.
        CodeTakenError: another writer made one of the SKUs meanwhile; the batch may be sent again.
    """
    unique = {draft.sku: checked_product(draft) for draft in drafts}
    codes = sorted({draft.category for draft in unique.values() if draft.category})
    stamps = {"created_at": now, "updated_at": now}
    known = set(session.scalars(sa.select(Category.code).where(Category.code.in_(codes)))) if codes else set()
    insert_all_absent(session, Category, [{"id": uuid7(), "code": code, "name": code, **stamps} for code in codes if code not in known])
    added = 0
    wanted = list(unique.values())
    for start in range(0, len(wanted), _CHUNK):
        part = wanted[start : start + _CHUNK]
        there = set(session.scalars(sa.select(Product.sku).where(one_of(session, Product.sku, [draft.sku for draft in part]))))
        rows = [
            {
                "id": uuid7(),
                "sku": draft.sku,
                "name": draft.name,
                "category": draft.category,
                "brand": draft.brand,
                "price_fen": draft.price_fen,
                "active": draft.active,
                **stamps,
            }
            for draft in part
            if draft.sku not in there
        ]
        insert_rows(session, Product, rows)
        added += len(rows)
    if added:
        audit.record(
            session, actor=actor, action="product.import", subject_type="product", subject_id="batch", after={"added": added}, now=now
        )
    return added


def upsert_store(session: Session, draft: PlaceDraft, *, actor: Actor, now: datetime) -> UUID:
    """Write a store under its code.

    Raises:
        CatalogueInvalidError: for values that cannot be.
    """
    return _upsert_place(session, Store, "store", draft, actor=actor, now=now)


def add_stores(session: Session, drafts: Sequence[PlaceDraft], *, actor: Actor, now: datetime) -> int:
    """Write the stores whose codes are new and leave the others as they are; one audit entry for the batch.

    Returns:
        How many were new.

    Raises:
        CatalogueInvalidError: for values that cannot be.
    """
    unique = {draft.code: checked_place(draft) for draft in drafts}
    known = set(session.scalars(sa.select(Store.code)))
    rows = [
        {
            "id": uuid7(),
            "code": draft.code,
            "name": draft.name,
            "region": draft.region,
            "active": draft.active,
            "created_at": now,
            "updated_at": now,
        }
        for draft in unique.values()
        if draft.code not in known
    ]
    added = insert_all_absent(session, Store, rows)
    if added:
        audit.record(session, actor=actor, action="store.import", subject_type="store", subject_id="batch", after={"added": added}, now=now)
    return added


def upsert_warehouse(session: Session, draft: PlaceDraft, *, actor: Actor, now: datetime) -> UUID:
    """Write a warehouse under its code.

    Raises:
        CatalogueInvalidError: for values that cannot be.
    """
    return _upsert_place(session, Warehouse, "warehouse", draft, actor=actor, now=now)


def set_stock(session: Session, warehouse_code: str, sku: str, available: int, *, now: datetime) -> None:
    """Write down how many of a SKU a warehouse has.

    Arguments:
        session: of the edge's transaction.
        warehouse_code: which warehouse.
        sku: of what; the product need not be in the catalogue.
        available: pieces, zero or more.
        now: present instant.

    Raises:
        WarehouseNotFoundError: no such warehouse.
        CatalogueInvalidError: a negative number.
    """
    if available < 0:
        raise CatalogueInvalidError(fields={"available": "≥ 0"})
    warehouse_id = session.scalar(sa.select(Warehouse.id).where(Warehouse.code == warehouse_code))
    if warehouse_id is None:
        raise WarehouseNotFoundError
    values = {"id": uuid7(), "warehouse_id": warehouse_id, "sku": sku, "available": available, "updated_at": now}
    if not insert_if_absent(session, StockLevel, values):
        session.execute(
            sa.update(StockLevel)
            .where(StockLevel.warehouse_id == warehouse_id, StockLevel.sku == sku)
            .values(available=available, updated_at=now)
            .execution_options(synchronize_session=False)
        )


def _upsert_place(session: Session, model: type[Store | Warehouse], noun: str, draft: PlaceDraft, *, actor: Actor, now: datetime) -> UUID:
    checked_place(draft)
    values = {"name": draft.name, "region": draft.region, "active": draft.active}
    return _upsert(session, model, noun, {"code": draft.code}, values, actor=actor, now=now)


def _upsert(
    session: Session,
    model: type[Category | Product | Store | Warehouse],
    noun: str,
    key: dict[str, str],
    values: dict[str, Any],
    *,
    actor: Actor,
    now: datetime,
) -> UUID:
    row_id = uuid7()
    if insert_if_absent(session, model, {"id": row_id, **key, **values, "created_at": now, "updated_at": now}):
        audit.record(session, actor=actor, action=f"{noun}.create", subject_type=noun, subject_id=row_id, after={**key, **values}, now=now)
        return row_id
    found = session.scalars(sa.select(model).filter_by(**key).with_for_update().execution_options(populate_existing=True))
    row: Any = found.one()
    before = {name: getattr(row, name) for name in values}
    changed = {name: value for name, value in values.items() if before[name] != value}
    if changed:
        for name, value in changed.items():
            setattr(row, name, value)
        row.updated_at = now
        session.flush()
        audit.record(
            session,
            actor=actor,
            action=f"{noun}.edit",
            subject_type=noun,
            subject_id=row.id,
            before={name: before[name] for name in changed},
            after=changed,
            now=now,
        )
    row_key: UUID = row.id
    return row_key
