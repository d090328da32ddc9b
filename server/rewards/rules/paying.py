"""How far points pay for an order: what one is worth, and the caps per order."""

from __future__ import annotations

from dataclasses import dataclass

from server.kernel.text import N_

FEN_PER_YUAN = 100
MAX_POINTS_PER_YUAN = 100_000
MAX_POINTS = 10**9
WHOLE_PERCENT = 100


@dataclass(frozen=True, slots=True)
class PaymentPolicy:
    """How points may pay for part of an order.

    Arguments:
        points_per_yuan: points that pay one yuan; 100 makes a point worth a fen.
        max_percent: of the goods after coupons, at most so many percent; 0 switches paying with points off.
        max_points: on one order; None for no limit.
    """

    points_per_yuan: int = 100
    max_percent: int = 100
    max_points: int | None = None

    def fen_of(self, points: int) -> int:
        """Return the whole fen that some points pay, rounded down."""
        return points * FEN_PER_YUAN // self.points_per_yuan

    def points_for(self, fen: int) -> int:
        """Return the points that pay an amount, rounded up."""
        return -(-fen * self.points_per_yuan // FEN_PER_YUAN)


@dataclass(frozen=True, slots=True)
class PointsPayment:
    """What points pay on one order.

    Arguments:
        points: redeemed, if the order is placed like this.
        fen: what they pay.
        max_points: the most this member could have paid with on this order.
    """

    points: int = 0
    fen: int = 0
    max_points: int = 0


def pay(policy: PaymentPolicy, *, goods_fen: int, wanted: int, available: int) -> PointsPayment:
    """Return how many points pay how much of an order. Points pay for goods, never for shipping.

    Only whole fen are paid, and only with the points that these need: of 7 points at 300 a yuan, 6 pay 2 fen and one is kept.

    Arguments:
        policy: the brand's.
        goods_fen: what the goods cost after the coupons.
        wanted: points the member would like to pay with.
        available: points the member has.
    """
    most_points = available if policy.max_points is None else min(available, policy.max_points)
    most_fen = min(policy.fen_of(max(most_points, 0)), max(goods_fen, 0) * policy.max_percent // WHOLE_PERCENT)
    fen = min(most_fen, policy.fen_of(max(wanted, 0)))
    return PointsPayment(policy.points_for(fen), fen, policy.points_for(most_fen))


def policy_problems(policy: PaymentPolicy) -> dict[str, str]:
    """Return what is wrong with a policy, ``{field: message}``."""
    checks = (
        (not 1 <= policy.points_per_yuan <= MAX_POINTS_PER_YUAN, "points_per_yuan", N_("A whole number between 1 and 100,000.")),
        (not 0 <= policy.max_percent <= WHOLE_PERCENT, "max_percent", N_("A percentage between 0 and 100.")),
        (
            policy.max_points is not None and not 1 <= policy.max_points <= MAX_POINTS,
            "max_points",
            N_("A whole number greater than zero, or nothing for no limit."),
        ),
    )
    return {name: message for wrong, name, message in checks if wrong}
