"""Which products and places can be written, field by field."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.catalogue.errors import CatalogueInvalidError
from server.catalogue.rules import PlaceDraft, ProductDraft, checked_place, checked_product

PRODUCT = ProductDraft(sku="A-1", name="龙井", category="茶叶", brand="山里", price_fen=9900)
PLACE = PlaceDraft("S-1", "静安店", region="上海")


def test_what_is_right_is_taken_as_it_is():
    assert checked_product(PRODUCT) is PRODUCT
    assert checked_place(PLACE) is PLACE


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sku": ""}, "sku"),
        ({"sku": "s" * 65}, "sku"),
        ({"sku": " A"}, "sku"),
        ({"name": " "}, "name"),
        ({"name": "n" * 192}, "name"),
        ({"category": ""}, "category"),
        ({"category": "c" * 121}, "category"),
        ({"brand": "b" * 121}, "brand"),
        ({"price_fen": -1}, "price_fen"),
    ],
)
def test_a_product_that_cannot_be_written_is_refused_by_field(change, field):
    with pytest.raises(CatalogueInvalidError) as caught:
        checked_product(replace(PRODUCT, **change))
    assert set(caught.value.fields) == {field}


@pytest.mark.parametrize(("change", "field"), [({"code": ""}, "code"), ({"name": ""}, "name"), ({"region": "r" * 65}, "region")])
def test_a_place_that_cannot_be_written_is_refused_by_field(change, field):
    with pytest.raises(CatalogueInvalidError) as caught:
        checked_place(replace(PLACE, **change))
    assert set(caught.value.fields) == {field}
