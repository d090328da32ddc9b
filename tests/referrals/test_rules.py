"""What a code looks like, what is a loop, which order counts, and what follows for a referral."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from server.kernel.ids import uuid7
from server.referrals import rules
from server.referrals.rules import LoopFacts, Purchase, ReferralPolicy, Verdict
from tests.conftest import START as NOW

JOINED = NOW - timedelta(days=10)
POLICY = ReferralPolicy(window_days=30, min_order_fen=1000, max_rewarded=2)


def bought(**fields):
    return replace(Purchase(uuid7(), JOINED + timedelta(days=1), 5000, undone=False, leaves_at=NOW - timedelta(hours=1)), **fields)


def follows(purchases, loop=None, *, rewarded=0, now=NOW):
    return rules.verdict(purchases, loop, joined_at=JOINED, rewarded=rewarded, policy=POLICY, now=now)


def test_codes_have_no_look_alikes_and_are_read_however_they_are_typed():
    codes = {rules.new_code() for _ in range(200)}
    assert len(codes) == 200
    assert not set("".join(codes)) & set("01OIL")
    code = codes.pop()
    assert rules.normalised_code(f" {code[:4].lower()} {code[4:]}　") == code
    assert rules.normalised_code("0OIL1111") == rules.normalised_code(code + "2") == ""


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({}, None),
        ({"same_member": True, "circle": True}, rules.SELF),
        ({"same_phone": True}, rules.SAME_PHONE),
        ({"same_device": True}, rules.SAME_DEVICE),
        ({"circle": True}, rules.CIRCLE),
        ({"known_before": True}, rules.KNOWN_BEFORE),
    ],
)
def test_what_is_a_loop(found, reason):
    assert rules.loop_of(LoopFacts(**found)) == reason


def test_the_first_order_that_lasts_is_rewarded_once_its_window_is_over():
    first, second = bought(), bought(paid_at=JOINED + timedelta(days=2))
    assert follows([second, first]) == Verdict(rules.REWARDED, order_id=first.order_id)
    assert follows([replace(first, undone=True), second]).order_id == second.order_id
    assert follows([replace(first, left_fen=999), second]).order_id == second.order_id
    assert follows([replace(first, leaves_at=NOW + timedelta(hours=2)), second]) == Verdict(rules.WAITING, look_at=NOW + timedelta(hours=2))
    assert follows([replace(first, leaves_at=None)]) == Verdict(rules.WAITING, look_at=NOW + rules.LOOK_AGAIN)
    assert follows([bought(paid_at=JOINED - timedelta(seconds=1)), bought(paid_at=JOINED + timedelta(days=31))]).state == rules.WAITING


def test_what_is_not_rewarded():
    assert follows([bought()], rules.SELF) == Verdict(rules.REFUSED, rules.SELF)
    assert follows([bought()], rewarded=2) == Verdict(rules.REFUSED, rules.LIMIT)
    assert follows([], now=JOINED + timedelta(days=31)) == Verdict(rules.EXPIRED)
    assert set(rules.wrong_fields(replace(POLICY, window_days=0, friend_points=-1))) == {"window_days", "friend_points"}
    assert rules.wrong_fields(ReferralPolicy()) == {}
