"""What an offline till may tell, and what becomes of a claimed receipt."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from server.kernel.ids import uuid7
from server.orders import late
from server.orders.errors import CapturedInFutureError, CapturedTooLongAgoError
from server.orders.late import Sold
from tests.conftest import START as NOW

DAY = date(2026, 6, 15)


def test_the_time_a_till_may_have_been_offline():
    for ago in (-late.CAPTURE_SKEW, timedelta(0), timedelta(days=7)):
        late.check_captured(NOW - ago, NOW, offline_days=7)
    with pytest.raises(CapturedInFutureError):
        late.check_captured(NOW + late.CAPTURE_SKEW + timedelta(seconds=1), NOW, offline_days=7)
    with pytest.raises(CapturedTooLongAgoError):
        late.check_captured(NOW - timedelta(days=7, seconds=1), NOW, offline_days=7)


def test_which_instant_an_order_earns_by():
    sold = NOW - timedelta(days=3)
    assert late.earns_as_of(captured_at=None, attached_at=None, paid_at=sold, now=NOW) is None
    assert late.earns_as_of(captured_at=None, attached_at=NOW, paid_at=sold, now=NOW) == sold
    assert late.earns_as_of(captured_at=sold, attached_at=NOW, paid_at=NOW, now=NOW) == sold
    assert late.earns_as_of(captured_at=NOW + timedelta(minutes=3), attached_at=None, paid_at=None, now=NOW) == NOW


def sale(**fields):
    return Sold(**{"order_id": uuid7(), "payable_fen": 1990, "sold_on": DAY - timedelta(days=30), "free": True, "undone": False, **fields})


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        ([], late.NOT_FOUND),
        ([sale(payable_fen=1991)], late.NOT_FOUND),
        ([sale(), sale()], late.AMBIGUOUS),
        ([sale(), sale(payable_fen=5)], late.GRANTED),
        ([sale(free=False, undone=True)], late.CREDITED),
        ([sale(undone=True)], late.REFUNDED),
        ([sale(sold_on=DAY - timedelta(days=31))], late.TOO_OLD),
    ],
)
def test_what_becomes_of_a_claim(found, outcome):
    assert late.judge(found, amount_fen=1990, today=DAY, claim_days=30)[0] == outcome


def test_a_receipt_number_as_it_is_typed():
    assert late.normalised_receipt(" Ｒ－００１　") == "R-001"
