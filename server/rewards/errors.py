"""Why a reward or a redemption is refused."""

from __future__ import annotations

from typing import Any, Final

from server.kernel.errors import ConflictError, InvalidError, NotFoundError
from server.kernel.text import N_

# Whole sentences, so that every language can say them its own way.
_WHY: Final = {
    "reserved": N_("This redemption is not paid yet."),
    "placed": N_("This redemption is not fulfilled yet."),
    "fulfilled": N_("This redemption is fulfilled already."),
    "cancelled": N_("This redemption was cancelled."),
}


class RewardNotFoundError(NotFoundError):
    """There is no such reward, or it is not open to members."""

    code = "reward_not_found"
    message = "There is no such reward."


class RedemptionNotFoundError(NotFoundError):
    """There is no such redemption, or it is somebody else's."""

    code = "redemption_not_found"
    message = "There is no such redemption."


class RewardCodeTakenError(ConflictError):
    """Another reward has this code."""

    code = "reward_code_taken"
    message = "Another reward already has this code."


class RewardInvalidError(InvalidError):
    """A draft that nobody could redeem points for."""

    code = "reward_invalid"
    message = "Please check the reward's terms."


class RewardStateError(ConflictError):
    """The reward is not in a state that allows this."""

    code = "reward_state"
    message = "The reward is %(state)s, so this cannot be done."


class StockBelowIssuedError(ConflictError):
    """Stock would fall below what has been redeemed already."""

    code = "stock_below_issued"
    message = "The stock cannot be lower than what has been redeemed already."


class SoldOutError(ConflictError):
    """The stock is used up."""

    code = "sold_out"
    message = "This reward is all gone."


class SoldOutTodayError(SoldOutError):
    """Today's share of the stock is used up."""

    message = "Today's share of this reward is all gone. Please come back tomorrow."


class RedemptionLimitReachedError(ConflictError):
    """The member has redeemed as often as one member may."""

    code = "redemption_limit_reached"
    message = "You have already redeemed points for this reward as often as one member may."


class DailyRedemptionLimitReachedError(RedemptionLimitReachedError):
    """The member has redeemed as often as one member may on one day."""

    message = "You have already redeemed points for this reward as often as one member may in a day."


class NotOnSaleError(ConflictError):
    """Redeeming has not begun, is over, or is paused."""

    code = "not_in_window"
    message = "This reward cannot be redeemed now."


class TierNotEligibleError(ConflictError):
    """The reward is for members of other tiers."""

    code = "tier_not_eligible"
    message = "This reward is for members of another tier."


class RewardChangedError(ConflictError):
    """The reward was edited since the member looked at it."""

    code = "reward_changed"
    message = "This reward has changed. Please look at it again."


class ReceiverMissingError(InvalidError):
    """Goods need a name, a phone number and an address to be sent to."""

    code = "receiver_missing"
    message = "Please say where the goods are to be sent."


class RedemptionStateError(ConflictError):
    """The redemption is not in a state that allows this.

    Arguments:
        state: the state it is in; it also reaches the client, as a field.
    """

    code = "redemption_state"
    message = "The redemption is %(state)s, so this cannot be done."

    def __init__(self, *, state: str, **params: Any) -> None:
        super().__init__(fields={"state": state}, state=state, **params)
        self.message = _WHY.get(state, type(self).message)  # type: ignore[misc]  # the sentence of this very refusal


class RedemptionKindError(ConflictError):
    """This is not done to rewards of this kind."""

    code = "redemption_kind"
    message = "This cannot be done to a reward of this kind."


class VoucherExpiredError(ConflictError):
    """The voucher's time is over."""

    code = "voucher_expired"
    message = "The time of this voucher is over."


class ShipmentConflictError(ConflictError):
    """It was shipped with another carrier or tracking number before."""

    code = "shipment_conflict"
    message = "This redemption was shipped with another tracking number before."


class PaymentConflictError(ConflictError):
    """The payment was told of something else, or the redemption was paid otherwise."""

    code = "payment_conflict"
    message = "This payment and this redemption do not belong together."


class PaymentDiffersError(ConflictError):
    """The amount is not the cash part of the redemption.

    Arguments:
        cash_fen: what is to be paid.
    """

    code = "payment_differs"
    message = "The amount paid differs from the cash part of this redemption."


class RefundConflictError(ConflictError):
    """Nothing is to be refunded, or it was refunded otherwise."""

    code = "refund_conflict"
    message = "There is nothing to refund for this redemption."


class ReasonMissingError(InvalidError):
    """A member of staff gave no reason."""

    code = "reason_required"
    message = "Please give a reason."


class PolicyInvalidError(InvalidError):
    """A policy of paying with points that does not make sense."""

    code = "payment_policy_invalid"
    message = "Please check how points may pay."
