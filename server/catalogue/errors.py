"""What the catalogue refuses."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, NotFoundError


class ProductNotFoundError(NotFoundError):
    """There is no such product."""

    code = "product_not_found"
    message = "There is no such product."


class WarehouseNotFoundError(NotFoundError):
    """There is no such warehouse."""

    code = "warehouse_not_found"
    message = "There is no such warehouse."


class CatalogueInvalidError(InvalidError):
    """A code, name or amount cannot be."""

    code = "catalogue_invalid"
    message = "This entry of the catalogue is not valid."


class CodeTakenError(ConflictError):
    """Two writers made the same code at once."""

    code = "code_taken"
    message = "This code is in use already."
