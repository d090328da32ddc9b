"""What a reward promises, and the life of a redemption."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from server.kernel.ids import uuid7
from server.rewards.rules.states import REDEMPTION_EDGES, RedemptionState, target_of
from server.rewards.rules.terms import Kind, RewardDraft, Standing, problems, refusal
from tests.conftest import START

NOW = START
DRAFT = RewardDraft("thermos", Kind.GOODS, "保温杯", 100)
RICH = Standing(1000, None, 0, 0, None, None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"code": "Bad Code"}, "code"),
        ({"name": " "}, "name"),
        ({"name": "长" * 61}, "name"),
        ({"description": "x" * 1001}, "description"),
        ({"points": 0}, "points"),
        ({"cash_fen": -1}, "cash_fen"),
        ({"pay_minutes": 0}, "pay_minutes"),
        ({"kind": Kind.COUPON}, "coupon_template"),
        ({"coupon_template_id": uuid7()}, "coupon_template"),
        ({"voucher_days": 3}, "voucher_days"),
        ({"kind": Kind.SERVICE, "voucher_days": 0}, "voucher_days"),
        ({"on_sale_from": NOW, "on_sale_until": NOW}, "on_sale_until"),
        ({"stock": 0}, "stock"),
        ({"per_member_daily": -1}, "per_member_daily"),
    ],
)
def test_a_draft_that_cannot_be_names_its_field(changes, field):
    assert set(problems(replace(DRAFT, **changes))) == {field}


def test_a_whole_draft_has_no_problem_and_comes_back_from_its_document():
    whole = replace(
        DRAFT, tiers=("gold",), picture_id=uuid7(), on_sale_from=NOW, on_sale_until=NOW + timedelta(days=1), stock=1, cash_fen=1
    )
    assert problems(whole) == problems(DRAFT) == {}
    for draft in (whole, DRAFT, replace(DRAFT, kind=Kind.COUPON, coupon_template_id=uuid7())):
        assert RewardDraft.of_document(draft.to_document() | {"later": 1}) == draft


@pytest.mark.parametrize(
    ("changes", "standing", "state", "reason"),
    [
        ({}, RICH, "published", None),
        ({}, RICH, "paused", "not_in_window"),
        ({"on_sale_from": NOW + timedelta(seconds=1)}, RICH, "published", "not_in_window"),
        ({"on_sale_until": NOW}, RICH, "published", "not_in_window"),
        ({"tiers": ("gold",)}, replace(RICH, tier="silver"), "published", "tier_not_eligible"),
        ({"tiers": ("gold",)}, replace(RICH, tier="gold"), "published", None),
        ({"per_member": 2}, replace(RICH, held=2), "published", "redemption_limit_reached"),
        ({"per_member_daily": 1}, replace(RICH, held=1, held_today=1), "published", "daily_redemption_limit_reached"),
        ({}, replace(RICH, left=0), "published", "sold_out"),
        ({}, replace(RICH, left=5, left_today=0), "published", "sold_out_today"),
        ({}, replace(RICH, available=99), "published", "insufficient_points"),
        ({}, replace(RICH, available=99, left=0), "published", "sold_out"),
    ],
)
def test_a_refusal_has_one_reason(changes, standing, state, reason):
    assert refusal(replace(DRAFT, **changes), state, standing, NOW) == reason


def test_every_edge_leads_where_the_table_says_and_nowhere_else():
    for event, (sources, target) in REDEMPTION_EDGES.items():
        for state in (None, *RedemptionState):
            assert target_of(event, state) == (target if state in sources else None)
    ends = {event for event, (sources, target) in REDEMPTION_EDGES.items() if RedemptionState.CANCELLED in sources}
    assert {REDEMPTION_EDGES[event][1] for event in ends} == {RedemptionState.CANCELLED}
