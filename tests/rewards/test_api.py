"""Rewards over HTTP: the catalogue, redeeming, my redemptions, cancelling, and the partners' facts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from server.kernel.ids import uuid7
from server.points import queries as points_queries
from server.points import service as points
from server.rewards import queries, service
from server.rewards.rules.paying import PaymentPolicy
from server.rewards.rules.terms import Kind
from tests.conftest import START
from tests.factories.coupons import a_template
from tests.factories.feedback import Caller, a_caller
from tests.factories.members import a_partner, signed_call
from tests.factories.points import Points, a_source
from tests.factories.rewards import STAFF, SYSTEM, a_reward

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from server.bootstrap import Core

NOW = START
HOME = {"name": "王小明", "phone": "13800138000", "address": "上海市静安区南京西路 1 号"}


@pytest.fixture
def member(core: Core) -> Caller:
    caller = a_caller(core)
    with core.db.transaction() as session:
        points.accrue(session, caller.member_id, Points(500), source=a_source(), reason="Gift", actor=SYSTEM, now=NOW)
    return caller


@pytest.fixture
def till(core: Core, client: FlaskClient):
    with core.db.transaction() as session:
        key = a_partner(session, now=NOW, scopes=("rewards:write", "coupons:write"))

    def post(path: str, body: dict[str, Any]) -> Any:
        headers = {"Idempotency-Key": uuid7().hex}
        return signed_call(client, "POST", f"/partner/v1/{path}", body, key=key, now=NOW, headers=headers)

    return post


def made(core: Core, **draft: Any):
    with core.db.transaction() as session:
        return a_reward(session, now=NOW, **draft)


def post(client, caller, path, body=None, key=None, **headers):
    named = caller.headers | {"Idempotency-Key": key or uuid7().hex} | headers
    return client.post(f"/api/v1/{path}", json=body or {}, headers=named)


def get(client, caller, path, **headers):
    return client.get(f"/api/v1/{path}", headers=caller.headers | headers)


def available(core, caller):
    with core.db.reading() as session:
        return points_queries.balance(session, caller.member_id, now=NOW).available


@pytest.mark.requirement("PTS5")
def test_the_catalogue_tells_what_i_can_have_and_why_not_in_both_languages(client, core, member):
    can, dear = made(core, name="保温杯", stock=3, cash_fen=1990), made(core, name="行李箱", points=900)
    found = {each["name"]: each for each in get(client, member, "rewards").json["items"]}
    assert (found["保温杯"]["redeemable"], found["保温杯"]["reason"], found["保温杯"]["left"]) == (True, None, 3)
    assert (found["保温杯"]["needs_receiver"], found["保温杯"]["cash_fen"], found["保温杯"]["version"]) == (True, 1990, 1)
    assert (found["行李箱"]["redeemable"], found["行李箱"]["reason"], found["行李箱"]["missing_points"]) == (
        False,
        "insufficient_points",
        400,
    )
    english = get(client, member, f"rewards/{dear}", **{"Accept-Language": "en"}).json
    assert english["message"] == "There are not enough points available."
    assert found["行李箱"]["message"] != english["message"]
    assert get(client, member, f"rewards/{can}").json["redeemable"]
    assert get(client, member, f"rewards/{uuid7()}").status_code == 404


def test_redeeming_needs_a_key_replays_its_answer_and_is_seen_in_my_redemptions(client, core, member):
    reward = made(core, stock=3)
    body = {"receiver": HOME, "seen_version": 1}
    assert (
        client.post(f"/api/v1/rewards/{reward}/redemptions", json=body, headers=member.headers).json["code"] == "idempotency_key_required"
    )
    first = post(client, member, f"rewards/{reward}/redemptions", body, key="k1")
    assert (first.status_code, first.json["state"], first.json["points"]) == (201, "placed", 100)
    assert first.json["receiver"] == {"name": "王**", "phone": "138****8000", "address": "上海市静安区****"}
    again = post(client, member, f"rewards/{reward}/redemptions", body, key="k1")
    assert (again.data, again.headers["Idempotency-Replayed"]) == (first.data, "true")
    assert available(core, member) == 400
    mine = get(client, member, "redemptions").json["items"]
    assert [each["id"] for each in mine] == [first.json["id"]]
    assert get(client, member, "redemptions?state=cancelled").json["items"] == []
    assert get(client, member, "redemptions?state=nonsense").status_code == 422
    shown = get(client, member, f"redemptions/{first.json['id']}").json
    assert shown["redemption_no"].startswith("R")
    other = a_caller(core, "openid-two")
    assert get(client, other, f"redemptions/{first.json['id']}").status_code == 404
    assert post(client, other, f"redemptions/{first.json['id']}/cancellation").status_code == 404


@pytest.mark.parametrize(
    ("draft", "body", "status", "code"),
    [
        ({"points": 501}, {"receiver": HOME}, 409, "insufficient_points"),
        ({"on_sale_from": NOW + timedelta(days=1)}, {"receiver": HOME}, 409, "not_in_window"),
        ({"tiers": ("gold",)}, {"receiver": HOME}, 409, "tier_not_eligible"),
        ({}, {}, 422, "receiver_missing"),
        ({}, {"receiver": HOME, "seen_version": 9}, 409, "reward_changed"),
        ({}, {"receiver": HOME | {"phone": "abc"}}, 422, "invalid"),
        ({}, {"receiver": HOME, "price": 1}, 422, "invalid"),
        ({"published": False}, {"receiver": HOME}, 404, "reward_not_found"),
    ],
)
def test_a_refusal_is_a_problem_document_and_costs_nothing(client, core, member, draft, body, status, code):
    reward = made(core, **draft)
    answer = post(client, member, f"rewards/{reward}/redemptions", body)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.content_type == "application/problem+json"
    assert available(core, member) == 500


def test_the_last_piece_and_the_limit_have_their_codes(client, core, member):
    reward = made(core, stock=1, per_member=1)
    assert post(client, member, f"rewards/{reward}/redemptions", {"receiver": HOME}).status_code == 201
    assert post(client, member, f"rewards/{reward}/redemptions", {"receiver": HOME}).json["code"] == "redemption_limit_reached"
    other = a_caller(core, "openid-two")
    assert post(client, other, f"rewards/{reward}/redemptions", {"receiver": HOME}).json["code"] == "sold_out"


def test_cancelling_gives_the_points_back_until_it_is_shipped(client, core, member):
    reward = made(core)
    one, two = (post(client, member, f"rewards/{reward}/redemptions", {"receiver": HOME}).json for _ in range(2))
    done = post(client, member, f"redemptions/{one['id']}/cancellation", {"reason": "不想要了"})
    assert (done.status_code, done.json["state"]) == (201, "cancelled")
    assert available(core, member) == 400
    with core.db.transaction() as session:
        service.ship(session, queries.id_of_number(session, two["redemption_no"]), carrier="顺丰", tracking_no="1", actor=STAFF, now=NOW)
    refused = post(client, member, f"redemptions/{two['id']}/cancellation")
    assert (refused.status_code, refused.json["code"], refused.json["errors"][0]["message"]) == (409, "redemption_state", "fulfilled")
    assert "已完成" in refused.json["detail"]


def test_a_coupon_is_in_the_wallet_at_once(client, core, member):
    with core.db.transaction() as session:
        template = a_template(session, now=NOW)
        reward = a_reward(session, now=NOW, kind=Kind.COUPON, coupon_template_id=template)
    done = post(client, member, f"rewards/{reward}/redemptions").json
    assert done["state"] == "fulfilled"
    assert get(client, member, f"coupons/{done['coupon_id']}").json["state"] == "issued"


def test_partners_tell_payment_parcel_and_refund_by_the_redemptions_number(client, core, member, till):
    reward = made(core, cash_fen=1990)
    one = post(client, member, f"rewards/{reward}/redemptions", {"receiver": HOME}).json
    path = f"rewards/redemptions/{one['redemption_no']}"
    assert one["state"] == "reserved"
    assert till(f"{path}/shipments", {"carrier": "顺丰", "tracking_no": "1"}).json["code"] == "redemption_state"
    assert till(f"{path}/payments", {"payment_ref": "p1", "paid_fen": 1}).json["code"] == "payment_differs"
    paid = till(f"{path}/payments", {"payment_ref": "p1", "paid_fen": 1990})
    assert (paid.status_code, paid.json["state"], paid.json["payment_ref"]) == (201, "placed", "p1")
    assert till(f"{path}/payments", {"payment_ref": "p1", "paid_fen": 1990}).json["state"] == "placed"
    assert till(f"{path}/payments", {"payment_ref": "p2", "paid_fen": 1990}).json["code"] == "payment_conflict"
    assert "receiver" not in paid.json
    cancelled = post(client, member, f"redemptions/{one['id']}/cancellation").json
    assert cancelled["refund_due_fen"] == 1990
    refunded = till(f"{path}/refunds", {"refund_id": "f1"}).json
    assert (refunded["state"], refunded["refund_due_fen"]) == ("cancelled", 0)
    assert till(f"{path}/refunds", {"refund_id": "f2"}).json["code"] == "refund_conflict"
    assert till("rewards/redemptions/R0/payments", {"payment_ref": "p9", "paid_fen": 1}).status_code == 404
    two = post(client, member, f"rewards/{made(core)}/redemptions", {"receiver": HOME}).json
    shipped = till(f"rewards/redemptions/{two['redemption_no']}/shipments", {"carrier": "顺丰", "tracking_no": "1"})
    assert (shipped.status_code, shipped.json["state"]) == (201, "fulfilled")


def test_a_till_redeems_a_voucher_once(client, core, member, till):
    reward = made(core, kind=Kind.SERVICE, voucher_days=7)
    one = post(client, member, f"rewards/{reward}/redemptions").json
    assert one["voucher_code"].startswith("V")
    done = till("rewards/vouchers/redemptions", {"voucher_code": one["voucher_code"], "store": "S1"})
    assert (done.status_code, done.json["state"]) == (201, "fulfilled")
    assert till("rewards/vouchers/redemptions", {"voucher_code": one["voucher_code"]}).json["code"] == "redemption_state"
    assert till("rewards/vouchers/redemptions", {"voucher_code": "V1"}).status_code == 404


def test_a_quote_tells_how_far_points_pay_under_the_brands_caps(client, core, member, till):
    lines = [{"sku": "TEA-1", "quantity": 1, "unit_price_fen": 601}]
    cart = {"lines": lines, "points": 500, "shipping_fen": 100}
    found = post(client, member, "coupons/quotes", cart).json
    assert (found["points_used"], found["points_paid_fen"], found["points_max"], found["payable_fen"]) == (500, 500, 500, 201)
    with core.db.transaction() as session:
        service.set_payment_policy(session, PaymentPolicy(200, 30, 300), actor=STAFF, now=NOW)
    found = post(client, member, "coupons/quotes", cart).json
    assert (found["points_used"], found["points_paid_fen"], found["points_max"], found["payable_fen"]) == (300, 150, 300, 551)
    counter = till("coupons/quotes", {"member_id": str(member.member_id), "channel": "till", "lines": lines, "points": 100}).json
    assert (counter["points_used"], counter["points_paid_fen"], counter["points_max"]) == (100, 50, 300)
