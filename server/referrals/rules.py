"""Pure rules of referrals: the form of codes, what is a loop, which order counts, and what follows now."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

# Nothing that looks like something else on paper or sounds like it on the phone: no 0 O 1 I L.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
CODE_CHARS = 8

WAITING, HELD, REWARDED, REFUSED, EXPIRED = "waiting", "held", "rewarded", "refused", "expired"
STATES = (WAITING, HELD, REWARDED, REFUSED, EXPIRED)

SELF, SAME_PHONE, SAME_DEVICE, CIRCLE, KNOWN_BEFORE = "self", "same_phone", "same_device", "circle", "known_before"
LIMIT, VELOCITY, MERGED, BY_STAFF = "limit", "velocity", "merged", "staff"
REASONS = (SELF, SAME_PHONE, SAME_DEVICE, CIRCLE, KNOWN_BEFORE, LIMIT, VELOCITY, MERGED, BY_STAFF)

# How soon an order that nobody knows the end of is looked at again.
LOOK_AGAIN = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class ReferralPolicy:
    """What the brand declares.

    Arguments:
        enabled: whether new members are bound to who invited them.
        inviter_points, friend_points: what each side gets; 0 for nothing.
        window_days: until how many days after joining the friend's order must be paid.
        min_order_fen: what must be left of that order after refunds.
        daily_cap: friends of one inviter on one day that need no look; further ones are held for staff.
        max_rewarded: friends one inviter is rewarded for in all; None for no limit.
        points_days: life of the points; None for ever.
    """

    enabled: bool = True
    inviter_points: int = 100
    friend_points: int = 50
    window_days: int = 90
    min_order_fen: int = 1
    daily_cap: int = 10
    max_rewarded: int | None = 100
    points_days: int | None = 365


# Name → lowest and highest that make sense.
LIMITS: dict[str, tuple[int, int]] = {
    "inviter_points": (0, 1_000_000),
    "friend_points": (0, 1_000_000),
    "window_days": (1, 3650),
    "min_order_fen": (1, 10**10),
    "daily_cap": (1, 100_000),
    "max_rewarded": (1, 1_000_000),
    "points_days": (1, 3650),
}


def wrong_fields(policy: ReferralPolicy) -> dict[str, str]:
    """Return what makes no sense in a policy, by field."""
    return {
        name: f"{low}–{high}"
        for name, (low, high) in LIMITS.items()
        if (value := getattr(policy, name)) is not None and not low <= value <= high
    }


def new_code() -> str:
    """Return an unguessable invitation code."""
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_CHARS))


def normalised_code(text: str) -> str:
    """Return a code as it is kept, whoever types it how; empty when it can be none."""
    code = "".join(unicodedata.normalize("NFKC", text).split()).upper()
    return code if len(code) == CODE_CHARS and all(letter in ALPHABET for letter in code) else ""


@dataclass(frozen=True, slots=True)
class LoopFacts:
    """What may tie two sides of a referral together, as it is known now."""

    same_member: bool = False
    same_phone: bool = False
    same_device: bool = False
    circle: bool = False
    known_before: bool = False


def loop_of(facts: LoopFacts) -> str | None:
    """Return why two sides cannot be rewarded, or None."""
    for found, reason in (
        (facts.same_member, SELF),
        (facts.same_phone, SAME_PHONE),
        (facts.same_device, SAME_DEVICE),
        (facts.circle, CIRCLE),
        (facts.known_before, KNOWN_BEFORE),
    ):
        if found:
            return reason
    return None


@dataclass(frozen=True, slots=True)
class Purchase:
    """An order of the friend's.

    Arguments:
        order_id: key.
        paid_at: when it was paid.
        left_fen: what was paid minus what went back.
        undone: cancelled, or refunded whole.
        leaves_at: when its return window ends; None while nobody can say.
    """

    order_id: UUID
    paid_at: datetime
    left_fen: int
    undone: bool
    leaves_at: datetime | None


def counting(purchases: Sequence[Purchase], joined_at: datetime, policy: ReferralPolicy) -> Purchase | None:
    """Return the order that counts: the first one paid in time that was not undone; when it is refunded, the next takes its place."""
    until = joined_at + timedelta(days=policy.window_days)
    fitting = [one for one in purchases if not one.undone and one.left_fen >= policy.min_order_fen and joined_at <= one.paid_at <= until]
    return min(fitting, key=lambda one: (one.paid_at, one.order_id), default=None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows for a referral now.

    Arguments:
        state: as it is from now on.
        reason: why it is refused.
        order_id: which order it is rewarded for.
        look_at: when to look again while it waits.
    """

    state: str
    reason: str | None = None
    order_id: UUID | None = None
    look_at: datetime | None = None


def verdict(
    purchases: Sequence[Purchase], loop: str | None, *, joined_at: datetime, rewarded: int, policy: ReferralPolicy, now: datetime
) -> Verdict:
    """Return what follows for a referral that waits.

    Arguments:
        purchases: the friend's orders.
        loop: from ``loop_of``.
        joined_at: when the friend joined.
        rewarded: how many friends the inviter was rewarded for so far.
        policy: the one that holds now.
        now: present instant.
    """
    if loop is not None:
        return Verdict(REFUSED, loop)
    order = counting(purchases, joined_at, policy)
    if order is None:
        over = now > joined_at + timedelta(days=policy.window_days)
        return Verdict(EXPIRED) if over else Verdict(WAITING, look_at=now + LOOK_AGAIN)
    if order.leaves_at is None or order.leaves_at > now:
        # It may be refunded, delivered or called off any time; nothing can be due before its window ends.
        return Verdict(WAITING, look_at=min(order.leaves_at or now + LOOK_AGAIN, now + LOOK_AGAIN))
    if policy.max_rewarded is not None and rewarded >= policy.max_rewarded:
        return Verdict(REFUSED, LIMIT)
    return Verdict(REWARDED, order_id=order.order_id)
