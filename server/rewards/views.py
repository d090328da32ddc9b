"""What reads and commands of rewards answer with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from server.rewards.rules.terms import RewardDraft


@dataclass(frozen=True, slots=True)
class RewardView:
    """A reward as it stands; ``left`` and ``left_today`` are None without a limit."""

    id: UUID
    draft: RewardDraft
    state: str
    version: int
    issued: int
    left: int | None
    left_today: int | None
    created_at: datetime
    updated_at: datetime

    @property
    def name(self) -> str:
        """Return what members read."""
        return self.draft.name


@dataclass(frozen=True, slots=True)
class OfferView:
    """A reward as one member sees it.

    Arguments:
        redeemable: whether they can have it now.
        reason: if not, why (see ``rules.terms.refusal``).
        missing_points: how many more they need.
    """

    reward: RewardView
    redeemable: bool
    reason: str | None
    missing_points: int


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where goods go."""

    name: str
    phone: str
    address: str


@dataclass(frozen=True, slots=True)
class RedemptionView:
    """A redemption as it stands; ``receiver`` is masked."""

    id: UUID
    redemption_no: str
    reward_id: UUID
    reward_version: int
    reward_name: str
    member_id: UUID
    kind: str
    state: str
    version: int
    points: int
    cash_fen: int
    pay_until: datetime | None
    entry_id: UUID | None
    return_entry_id: UUID | None
    payment_ref: str | None
    paid_at: datetime | None
    refund_state: str
    refund_ref: str | None
    carrier: str | None
    tracking_no: str | None
    voucher_code: str | None
    voucher_until: datetime | None
    coupon_id: UUID | None
    created_at: datetime
    placed_at: datetime | None
    fulfilled_at: datetime | None
    cancelled_at: datetime | None
    receiver: Receiver | None = None

    @property
    def refund_due_fen(self) -> int:
        """Return what is to be given back in money, in fen."""
        return self.cash_fen if self.refund_state == "due" else 0


@dataclass(frozen=True, slots=True)
class TransitionView:
    """One change of a redemption."""

    event: str
    from_state: str | None
    to_state: str
    detail: str | None
    reason: str | None
    actor_kind: str
    actor_ref: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version of a reward's terms."""

    version: int
    draft: RewardDraft
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Funnel:
    """What became of a reward's redemptions: counts, and the points and fen of those that stand."""

    reserved: int
    placed: int
    fulfilled: int
    cancelled: int
    points: int
    cash_fen: int

    @property
    def made(self) -> int:
        """Return how many were ever made."""
        return self.reserved + self.placed + self.fulfilled + self.cancelled


@dataclass(frozen=True, slots=True)
class Work:
    """What waits for staff."""

    to_ship: int
    to_hand_over: int
    to_issue: int
    to_refund: int
