"""The catalogue is written by upserts that leave a trace only when something changed."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from server.audit.models import AuditEntry
from server.catalogue import queries, service
from server.catalogue.errors import CatalogueInvalidError, WarehouseNotFoundError
from server.catalogue.rules import PlaceDraft, ProductDraft
from server.kernel.actors import SystemActor
from server.kernel.pagination import PageRequest
from tests.conftest import START

NOW = START
WHO = SystemActor("test")


def entries(session):
    return session.scalar(sa.select(sa.func.count()).select_from(AuditEntry)) or 0


def test_an_upsert_makes_then_changes_and_is_silent_when_nothing_changes(session):
    draft = ProductDraft("A", "咖啡豆", "coffee", "会伴", 4990)
    first = service.upsert_product(session, draft, actor=WHO, now=NOW)
    assert (service.upsert_product(session, draft, actor=WHO, now=NOW), entries(session)) == (first, 1)
    service.upsert_product(session, ProductDraft("A", "咖啡豆 250g", "coffee", "会伴", 5990), actor=WHO, now=NOW)
    found = queries.find_product(session, "A")
    assert (found.name, found.price_fen, entries(session)) == ("咖啡豆 250g", 5990, 2)
    assert queries.find_products(session, ["A", "B"]).keys() == {"A"}
    assert queries.find_products(session, []) == {}
    assert queries.find_product(session, "B") is None


def test_a_batch_of_products_adds_only_what_is_new(session):
    drafts = [ProductDraft(f"P{place}", f"商品 {place}", f"c{place % 2}") for place in range(5)]
    assert service.add_products(session, [*drafts, drafts[0]], actor=WHO, now=NOW) == 5
    assert service.add_products(session, [*drafts, ProductDraft("P9", "新")], actor=WHO, now=NOW) == 1
    assert [code for code, _ in queries.categories(session)] == ["c0", "c1"]
    assert len(queries.products(session, PageRequest(), text="商品").items) == 5
    assert [item.sku for item in queries.products(session, PageRequest(), text="P9").items] == ["P9"]
    assert len(queries.products(session, PageRequest(), category="c0").items) == 3


@pytest.mark.parametrize(
    "draft", [ProductDraft("", "x"), ProductDraft("A", " "), ProductDraft("A", "x", price_fen=-1), ProductDraft(" A", "x")]
)
def test_what_cannot_be_is_refused_and_nothing_is_written(session, draft):
    with pytest.raises(CatalogueInvalidError):
        service.upsert_product(session, draft, actor=WHO, now=NOW)
    assert (queries.products(session, PageRequest()).items, entries(session)) == ([], 0)


def test_stores_warehouses_and_stock(session):
    service.upsert_store(session, PlaceDraft("S1", "南京路店", "上海"), actor=WHO, now=NOW)
    service.upsert_warehouse(session, PlaceDraft("W1", "上海仓"), actor=WHO, now=NOW)
    service.upsert_category(session, "coffee", "咖啡", actor=WHO, now=NOW)
    assert queries.find_store(session, "S1").region == "上海"
    assert [place.code for place in queries.stores(session, PageRequest()).items] == ["S1"]
    assert [place.code for place in queries.warehouses(session)] == ["W1"]
    service.set_stock(session, "W1", "A", 3, now=NOW)
    with pytest.raises(WarehouseNotFoundError):
        service.set_stock(session, "W2", "A", 3, now=NOW)
    with pytest.raises(CatalogueInvalidError):
        service.set_stock(session, "W1", "A", -1, now=NOW)
    assert queries.stock_of(session, "A") == {"W1": 3}
