"""What orders refuse."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, NotFoundError


class OrderNotFoundError(NotFoundError):
    """There is no such order, or it is somebody else's."""

    code = "order_not_found"
    message = "There is no such order."


class OrderConflictError(ConflictError):
    """The same number came with other content."""

    code = "order_conflict"
    message = "An order with this number and other content was taken in before."


class EventConflictError(ConflictError):
    """The same event id or refund id came with other content."""

    code = "event_conflict"
    message = "An event with this id and other content was taken in before."


class ReceiptNotPossibleError(ConflictError):
    """There is nothing to receive."""

    code = "receipt_not_possible"
    message = "Receipt of this order cannot be confirmed now."


class OrderInvalidError(InvalidError):
    """The order's values cannot be."""

    code = "order_invalid"
    message = "The order's values are not valid."


class ExceptionNotFoundError(NotFoundError):
    """There is no such exception."""

    code = "order_exception_not_found"
    message = "There is no such order exception."


class ExceptionClosedError(ConflictError):
    """The exception was closed before."""

    code = "order_exception_closed"
    message = "This order exception is closed already."


class ReasonMissingError(InvalidError):
    """Closing by hand needs a reason."""

    code = "reason_required"
    message = "Please give a reason."
