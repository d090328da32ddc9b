"""Why a member cannot have a reward now, as codes and in words."""

from __future__ import annotations

from typing import Final

from server.points.errors import InsufficientPointsError
from server.rewards.errors import (
    DailyRedemptionLimitReachedError,
    NotOnSaleError,
    RedemptionLimitReachedError,
    SoldOutError,
    SoldOutTodayError,
    TierNotEligibleError,
)

# What ``rules.terms.refusal`` tells → the refusal that redeeming would meet.
REFUSALS: Final = {
    "not_in_window": NotOnSaleError,
    "tier_not_eligible": TierNotEligibleError,
    "redemption_limit_reached": RedemptionLimitReachedError,
    "daily_redemption_limit_reached": DailyRedemptionLimitReachedError,
    "sold_out": SoldOutError,
    "sold_out_today": SoldOutTodayError,
    "insufficient_points": InsufficientPointsError,
}
REASONS: Final = {reason: error.message for reason, error in REFUSALS.items()}
CODES: Final = {reason: error.code for reason, error in REFUSALS.items()}
