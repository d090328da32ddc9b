"""What orders refuse."""

from __future__ import annotations

from server.kernel.errors import ConflictError, InvalidError, NotFoundError, TooManyError


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


class OfflineRedemptionRefusedError(InvalidError):
    """A redemption was captured offline. Points and coupons are money: they are looked at when they are spent."""

    code = "offline_redemption_refused"
    message = "Points and coupons cannot be redeemed while the till is offline."


class CapturedNeedsCardError(InvalidError):
    """Something captured offline names the member by something else than a card number."""

    code = "captured_needs_card"
    message = "What a till captured offline names the member by card number only."


class CapturedInFutureError(InvalidError):
    """It was captured later than now: the till's clock is wrong."""

    code = "captured_in_future"
    message = "This was captured in the future. Please set the till's clock."


class CapturedTooLongAgoError(InvalidError):
    """It was captured longer ago than is taken in.

    Arguments:
        days: how long ago it may have been.
    """

    code = "captured_too_long_ago"
    message = "This was captured more than %(days)s days ago."


class ReceiptNotFoundError(NotFoundError):
    """No sale has this number, amount and day."""

    code = "receipt_not_found"
    message = "We know no receipt with this number, amount and day. Please compare it with the paper; a sale may take a day to arrive."


class ReceiptAmbiguousError(ConflictError):
    """Several sales have this number, amount and day."""

    code = "receipt_ambiguous"
    message = "Several receipts look like this one. Please say which store it is from."


class ReceiptCreditedError(ConflictError):
    """The sale belongs to a membership already."""

    code = "receipt_already_credited"
    message = "This receipt was already credited to a membership."


class ReceiptRefundedError(ConflictError):
    """Money went back for this sale."""

    code = "receipt_refunded"
    message = "This receipt was refunded or cancelled."


class ReceiptTooOldError(ConflictError):
    """The time to claim it is over.

    Arguments:
        days: how long there is.
    """

    code = "receipt_too_old"
    message = "A receipt can be claimed for %(days)s days after the purchase."


class TooManyReceiptTriesError(TooManyError):
    """The member entered too many wrong receipts today."""

    code = "too_many_receipt_tries"
    message = "There were too many wrong receipts today. Please try again tomorrow, or ask our staff."
