"""Pure rules of the catalogue: what may be written into it."""

from __future__ import annotations

from dataclasses import dataclass

from server.catalogue.errors import CatalogueInvalidError

CODE_CHARS = 64
NAME_CHARS = 191
CATEGORY_CHARS = 120


@dataclass(frozen=True, slots=True)
class ProductDraft:
    """A product as it is to be.

    Arguments:
        sku: the brand's own code, unique.
        name: for people.
        category: code of its category, or None.
        brand: whose product, or None.
        price_fen: list price of one, or None when it has none.
        active: whether it is sold at present.
    """

    sku: str
    name: str
    category: str | None = None
    brand: str | None = None
    price_fen: int | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class PlaceDraft:
    """A store or warehouse as it is to be.

    Arguments:
        code: the brand's own code, unique among its kind.
        name: for people.
        region: where it serves (a province or city), or None.
        active: whether it works at present.
    """

    code: str
    name: str
    region: str | None = None
    active: bool = True


def checked_product(draft: ProductDraft) -> ProductDraft:
    """Return the draft when it can be written.

    Raises:
        CatalogueInvalidError: naming the fields.
    """
    wrong = _code_and_name("sku", draft.sku, draft.name)
    if draft.category is not None and not 0 < len(draft.category) <= CATEGORY_CHARS:
        wrong["category"] = f"1–{CATEGORY_CHARS}"
    if draft.brand is not None and len(draft.brand) > CATEGORY_CHARS:
        wrong["brand"] = f"0–{CATEGORY_CHARS}"
    if draft.price_fen is not None and draft.price_fen < 0:
        wrong["price_fen"] = "≥ 0"
    if wrong:
        raise CatalogueInvalidError(fields=wrong)
    return draft


def checked_place(draft: PlaceDraft) -> PlaceDraft:
    """Return the draft when it can be written.

    Raises:
        CatalogueInvalidError: naming the fields.
    """
    wrong = _code_and_name("code", draft.code, draft.name)
    if draft.region is not None and len(draft.region) > CODE_CHARS:
        wrong["region"] = f"0–{CODE_CHARS}"
    if wrong:
        raise CatalogueInvalidError(fields=wrong)
    return draft


def _code_and_name(field: str, code: str, name: str) -> dict[str, str]:
    wrong: dict[str, str] = {}
    if not 0 < len(code) <= CODE_CHARS or code != code.strip():
        wrong[field] = f"1–{CODE_CHARS}"
    if not len(name.strip()) > 0 or len(name) > NAME_CHARS:
        wrong["name"] = f"1–{NAME_CHARS}"
    return wrong
