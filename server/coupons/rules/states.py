"""The life of a coupon and of a template, as data."""

from __future__ import annotations

from enum import StrEnum


class CouponState(StrEnum):
    """Where an issued coupon stands."""

    ISSUED = "issued"
    LOCKED = "locked"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    VOIDED = "voided"
    OFFERED = "offered"
    GIVEN = "given"


class GiftState(StrEnum):
    """What became of an offer to a friend."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


class TemplateState(StrEnum):
    """Where a template stands."""

    DRAFT = "draft"
    PUBLISHED = "published"
    PAUSED = "paused"


# event → (states it may start from, state it ends in). ``None`` is "not there yet". A returned coupon is available
# again, or expired when its validity and grace have ended. A coupon that is offered to a friend comes back, or was given:
# then the friend has another one in its place, and this one only keeps its place in the giver's limit.
COUPON_EDGES: dict[str, tuple[frozenset[CouponState | None], CouponState]] = {
    "issue": (frozenset({None}), CouponState.ISSUED),
    "lock": (frozenset({CouponState.ISSUED}), CouponState.LOCKED),
    "unlock": (frozenset({CouponState.LOCKED}), CouponState.ISSUED),
    "redeem": (frozenset({CouponState.ISSUED, CouponState.LOCKED}), CouponState.REDEEMED),
    "return": (frozenset({CouponState.REDEEMED}), CouponState.ISSUED),
    "return_late": (frozenset({CouponState.REDEEMED}), CouponState.EXPIRED),
    "expire": (frozenset({CouponState.ISSUED}), CouponState.EXPIRED),
    "void": (frozenset({CouponState.ISSUED}), CouponState.VOIDED),
    "offer": (frozenset({CouponState.ISSUED}), CouponState.OFFERED),
    "take_back": (frozenset({CouponState.OFFERED}), CouponState.ISSUED),
    "give": (frozenset({CouponState.OFFERED}), CouponState.GIVEN),
}

TERMINAL = frozenset({CouponState.EXPIRED, CouponState.VOIDED, CouponState.GIVEN})

TEMPLATE_EDGES: dict[str, tuple[frozenset[TemplateState], TemplateState]] = {
    "publish": (frozenset({TemplateState.DRAFT, TemplateState.PAUSED}), TemplateState.PUBLISHED),
    "pause": (frozenset({TemplateState.PUBLISHED}), TemplateState.PAUSED),
}


def target_of(event: str, state: CouponState | None) -> CouponState | None:
    """Return the state an event leads to, or None when it may not happen in this state."""
    sources, target = COUPON_EDGES[event]
    return target if state in sources else None
