"""Why a coupon command is refused."""

from __future__ import annotations

from typing import Any, Final

from server.coupons.reasons import REASONS
from server.kernel.errors import ConflictError, InvalidError, NotFoundError, TooManyError
from server.kernel.text import N_

# Whole sentences, so that every language can say them its own way.
_WHY: Final = {
    "redeemed": N_("The coupon is not available: it was redeemed already."),
    "locked": N_("The coupon is not available: it is kept for another order."),
    "expired": N_("The coupon is not available: it has expired."),
    "voided": N_("The coupon is not available: it was voided."),
    "not_started": N_("The coupon is not available: it is not valid yet."),
    "blacked_out": N_("The coupon is not available: it rests today."),
    "outside_hours": N_("The coupon is not available: it rests at this hour."),
    "issued": N_("The coupon is not available: it is not redeemed."),
    "offered": N_("The coupon is not available: it is offered to a friend."),
    "given": N_("The coupon is not available: it was given to a friend."),
}


_ENDED: Final = {
    "accepted": N_("This gift was accepted already."),
    "refused": N_("This gift was turned down."),
    "withdrawn": N_("Your friend took this gift back."),
    "lapsed": N_("This gift was not accepted in time and went back."),
}


class TemplateNotFoundError(NotFoundError):
    """There is no such template, or it is not open to members."""

    code = "coupon_template_not_found"
    message = "There is no such coupon."


class CouponNotFoundError(NotFoundError):
    """There is no such coupon, or it is somebody else's."""

    code = "coupon_not_found"
    message = "There is no such coupon in your wallet."


class NotGiftableError(ConflictError):
    """The coupon's terms do not allow giving it, or it was a gift itself."""

    code = "coupon_not_giftable"
    message = "This coupon cannot be given to a friend."


class GiftsExhaustedError(ConflictError):
    """The coupon was offered too many times."""

    code = "coupon_gifts_exhausted"
    message = "This coupon was offered too many times and cannot be offered again."


class GiftNotFoundError(NotFoundError):
    """There is no such offer."""

    code = "coupon_gift_not_found"
    message = "There is no such gift."


class GiftEndedError(ConflictError):
    """The offer was answered, taken back, or its time is over.

    Arguments:
        state: what became of it; it also reaches the client, as a field.
    """

    code = "coupon_gift_ended"
    message = "This gift is no longer to be had."

    def __init__(self, *, state: str, **params: Any) -> None:
        super().__init__(fields={"state": state}, state=state, **params)
        self.message = _ENDED.get(state, type(self).message)  # type: ignore[misc]  # the sentence of this very refusal


class OwnGiftError(ConflictError):
    """Somebody answers their own offer."""

    code = "own_coupon_gift"
    message = "This gift is your own."


class TemplateCodeTakenError(ConflictError):
    """Another template has this code."""

    code = "coupon_template_code_taken"
    message = "Another coupon template already has this code."


class TemplateInvalidError(InvalidError):
    """A draft that no coupon could be made from."""

    code = "coupon_template_invalid"
    message = "Please check the coupon's terms."


class TemplateStateError(ConflictError):
    """The template is not in a state that allows this."""

    code = "coupon_template_state"
    message = "The coupon template is %(state)s, so this cannot be done."


class StockBelowIssuedError(ConflictError):
    """Stock or budget would fall below what has been given out already."""

    code = "stock_below_issued"
    message = "Stock and budget cannot be lower than what has been issued already."


class SoldOutError(ConflictError):
    """Stock or budget is used up."""

    code = "sold_out"
    message = "These coupons are all gone."


class SoldOutTodayError(SoldOutError):
    """Today's share of the stock is used up."""

    message = "Today's coupons are all gone. Please come back tomorrow."


class ClaimLimitReachedError(ConflictError):
    """The member has as many as one member may have."""

    code = "claim_limit_reached"
    message = "You already have as many of these coupons as one member may have."


class DailyClaimLimitReachedError(ClaimLimitReachedError):
    """The member has as many as one member may have on one day."""

    message = "You already have as many of these coupons as one member may have in a day."


class NotInWindowError(ConflictError):
    """Claiming has not begun, is over, or is paused."""

    code = "not_in_window"
    message = "These coupons cannot be claimed now."


class TierNotEligibleError(ConflictError):
    """The coupon is for members of other tiers."""

    code = "tier_not_eligible"
    message = "This coupon is for members of another tier."


class SegmentNotEligibleError(ConflictError):
    """The coupon is for members of certain segments, and the member is in none of them as of their last builds."""

    code = "segment_not_eligible"
    message = "This coupon is for selected members."


class CouponNotAvailableError(ConflictError):
    """The coupon is not in a state that allows this.

    Arguments:
        state: the state it is in, or ``not_started`` or ``blacked_out``; it also reaches the client, as a field.
    """

    code = "coupon_not_available"
    message = "The coupon is not available: it is %(state)s."

    def __init__(self, *, state: str, **params: Any) -> None:
        super().__init__(fields={"state": state}, state=state, **params)
        self.message = _WHY.get(state, type(self).message)  # type: ignore[misc]  # the sentence of this very refusal


class CouponNotApplicableError(ConflictError):
    """The coupon does not fit the goods it is to be redeemed for.

    Arguments:
        reason: a reason code of a quote; it also reaches the client, as a field.
    """

    code = "coupon_not_applicable"
    message = "The coupon does not apply to this order."

    def __init__(self, *, reason: str, **params: Any) -> None:
        super().__init__(fields={"reason": reason}, **params)
        self.message = REASONS.get(reason, type(self).message)  # type: ignore[misc]  # the sentence of this very refusal


class QuoteUnknownError(InvalidError):
    """A ``quote_id`` that this deployment did not give out."""

    code = "quote_unknown"
    message = "The quote is not known. Please ask for a new one."


class QuoteChangedError(ConflictError):
    """What was quoted no longer holds; the fields name what differs.

    ``quote_id`` (``expired``), ``lines`` (``other_cart``), a coupon's id (its reason now, ``not_quoted``, or what it would take
    off now), ``payable_fen`` (what would be to pay now).
    """

    code = "quote_changed"
    message = "The price has changed since it was quoted. Please ask for a new quote."


class SourceConflictError(ConflictError):
    """The same source was used to issue another coupon."""

    code = "source_conflict"
    message = "This source was already used for another coupon."


class IssueFileNotFoundError(NotFoundError):
    """There is no such file of members."""

    code = "coupon_issue_file_not_found"
    message = "There is no such file."


class IssueFileStateError(ConflictError):
    """The file was started before, or names nobody."""

    code = "coupon_issue_file_state"
    message = "This file was started before, or no row of it names a member."


class RecallStateError(ConflictError):
    """There is nothing to take back, or it is being taken back already."""

    code = "coupon_recall_state"
    message = "This file cannot be recalled: it gave nothing, is still being issued, or was recalled before."


class CodeNotValidError(NotFoundError):
    """The code is unknown, used, stopped or out of its time: the same answer for all, so that guessing teaches nothing."""

    code = "coupon_code_not_valid"
    message = "This code is not valid. Please check what you typed."


class TooManyCodeTriesError(TooManyError):
    """The member entered too many wrong codes today."""

    code = "too_many_code_tries"
    message = "There were too many wrong codes today. Please try again tomorrow."


class CodeBatchNotFoundError(NotFoundError):
    """There is no such batch of codes."""

    code = "coupon_code_batch_not_found"
    message = "There is no such batch of codes."


class CodeBatchInvalidError(InvalidError):
    """A batch of codes that could not be made."""

    code = "coupon_code_batch_invalid"
    message = "Please check the batch of codes."


class CodeWordTakenError(ConflictError):
    """The word was given out before; those who read it then would claim something else with it now."""

    code = "coupon_code_word_taken"
    message = "This word was given out before. Please take another one."


class CodeBatchStoppedError(ConflictError):
    """The batch was stopped before."""

    code = "coupon_code_batch_stopped"
    message = "This batch of codes was stopped before."


class CodesGoneError(ConflictError):
    """The file of codes is not there: not made yet, or its time is over."""

    code = "coupon_codes_gone"
    message = "The file of codes is not available: it is still being made, or its time is over."
