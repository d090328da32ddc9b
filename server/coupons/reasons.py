"""Why a quote leaves a coupon out: stable codes, and the sentence for each."""

from __future__ import annotations

from server.kernel.text import N_

REASONS: dict[str, str] = {
    "not_found": N_("There is no such coupon in your wallet."),
    "not_available": N_("The coupon was redeemed, is kept for another order, or is no longer valid."),
    "expired": N_("The coupon has expired."),
    "not_started": N_("The coupon is not valid yet."),
    "blacked_out": N_("The coupon cannot be used today."),
    "outside_hours": N_("The coupon cannot be used at this hour."),
    "not_first_order": N_("The coupon is for the first order only."),
    "other_channel": N_("The coupon is for another channel."),
    "other_store": N_("The coupon is for other stores."),
    "other_tier": N_("The coupon is for members of another tier."),
    "other_segment": N_("The coupon is for selected members."),
    "no_matching_goods": N_("The coupon does not apply to these goods."),
    "threshold_not_reached": N_("The goods do not reach the amount the coupon asks for."),
    "no_saving": N_("The coupon takes nothing off this order."),
    "group_taken": N_("A better coupon of the same kind is applied."),
    "not_combinable": N_("The coupon cannot be combined with others."),
    "one_gift": N_("Only one gift goes on an order."),
    "too_many": N_("No more coupons fit on one order."),
    "no_further_saving": N_("The order is cheapest without it."),
}
