"""The life of a redemption and of a reward, as data."""

from __future__ import annotations

from enum import StrEnum


class RewardState(StrEnum):
    """Where a reward stands."""

    DRAFT = "draft"
    PUBLISHED = "published"
    PAUSED = "paused"


class RedemptionState(StrEnum):
    """Where a redemption stands."""

    RESERVED = "reserved"
    PLACED = "placed"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"


_R = RedemptionState

# event → (states it may start from, state it ends in). ``None`` is "not there yet". ``take_back`` is for staff: goods that came
# back, a coupon that is voided. Money that comes or goes after the end changes no state and is a row all the same.
REDEMPTION_EDGES: dict[str, tuple[frozenset[RedemptionState | None], RedemptionState]] = {
    "reserve": (frozenset({None}), _R.RESERVED),
    "place": (frozenset({None}), _R.PLACED),
    "pay": (frozenset({_R.RESERVED}), _R.PLACED),
    "issue": (frozenset({_R.PLACED}), _R.FULFILLED),
    "ship": (frozenset({_R.PLACED}), _R.FULFILLED),
    "hand_over": (frozenset({_R.PLACED}), _R.FULFILLED),
    "cancel": (frozenset({_R.RESERVED, _R.PLACED}), _R.CANCELLED),
    "time_out": (frozenset({_R.RESERVED}), _R.CANCELLED),
    "take_back": (frozenset({_R.FULFILLED}), _R.CANCELLED),
    "pay_late": (frozenset({_R.CANCELLED}), _R.CANCELLED),
    "refund": (frozenset({_R.CANCELLED}), _R.CANCELLED),
}

REWARD_EDGES: dict[str, tuple[frozenset[RewardState], RewardState]] = {
    "publish": (frozenset({RewardState.DRAFT, RewardState.PAUSED}), RewardState.PUBLISHED),
    "pause": (frozenset({RewardState.PUBLISHED}), RewardState.PAUSED),
}


def target_of(event: str, state: RedemptionState | None) -> RedemptionState | None:
    """Return the state an event leads to, or None when it may not happen in this state."""
    sources, target = REDEMPTION_EDGES[event]
    return target if state in sources else None
