"""How far points pay for an order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.rewards.rules.paying import PaymentPolicy, PointsPayment, pay

ONE_FEN = PaymentPolicy()


@pytest.mark.requirement("PTS5")
@pytest.mark.parametrize(
    ("policy", "goods", "wanted", "available", "points", "fen", "most"),
    [
        (ONE_FEN, 600, 0, 700, 0, 0, 600),
        (ONE_FEN, 600, 100, 700, 100, 100, 600),
        (ONE_FEN, 600, 900, 700, 600, 600, 600),
        (ONE_FEN, 600, 900, 50, 50, 50, 50),
        (PaymentPolicy(100, 50), 999, 999, 5000, 499, 499, 499),
        (PaymentPolicy(100, 100, 300), 999, 999, 5000, 300, 300, 300),
        (PaymentPolicy(100, 0), 999, 999, 5000, 0, 0, 0),
        (PaymentPolicy(300), 600, 7, 5000, 6, 2, 1800),
        (PaymentPolicy(10), 600, 7, 5000, 7, 70, 60),
        (PaymentPolicy(33), 1000, 10, 10, 10, 30, 10),
        (ONE_FEN, -5, 10, 10, 0, 0, 0),
        (ONE_FEN, 100, 10, -10, 0, 0, 0),
    ],
)
def test_points_pay_within_every_cap(policy, goods, wanted, available, points, fen, most):
    assert pay(policy, goods_fen=goods, wanted=wanted, available=available) == PointsPayment(points, fen, most)


@given(
    st.builds(PaymentPolicy, st.integers(1, 1000), st.integers(0, 100), st.none() | st.integers(1, 5000)),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_nobody_gives_more_than_they_want_have_or_may_and_every_point_counts(policy, goods, wanted, available):
    found = pay(policy, goods_fen=goods, wanted=wanted, available=available)
    assert 0 <= found.points <= min(wanted, available, policy.max_points or 10**9)
    assert found.points <= found.max_points <= available
    assert found.fen * 100 <= goods * policy.max_percent
    assert policy.fen_of(found.points) == found.fen or found.fen == goods * policy.max_percent // 100
    assert found.points == 0 or policy.fen_of(found.points - 1) < found.fen
