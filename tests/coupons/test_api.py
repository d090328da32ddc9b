"""Coupons over HTTP: the claim centre, the wallet, quotes, and the till."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from server.coupons import queries, service
from server.coupons.errors import QuoteChangedError
from server.coupons.rules.cart import CartLine
from server.coupons.rules.hours import Window
from server.coupons.rules.terms import Kind, Scope, Terms
from server.kernel.ids import uuid7
from server.orders.drafts import MemberRef
from server.partners import service as partners
from tests.conftest import START
from tests.factories.coupons import SYSTEM, a_coupon, a_template, percent_terms, some_terms
from tests.factories.feedback import Caller, a_caller
from tests.factories.orders import a_till_draft, an_order

if TYPE_CHECKING:
    from uuid import UUID

    from flask.testing import FlaskClient

    from server.bootstrap import Core

NOW = START
LINES = [{"sku": "TEA-1", "category": "tea", "quantity": 2, "unit_price_fen": 6000}]


@pytest.fixture
def member(core: Core) -> Caller:
    return a_caller(core)


@pytest.fixture
def till(core: Core, client: FlaskClient):
    with core.db.transaction() as session:
        key = partners.create(session, "till", ["coupons:write"], actor=SYSTEM, now=NOW)

    def post(path: str, body: dict[str, Any], idempotency_key: str | None = None) -> Any:
        data = json.dumps(body).encode()
        stamp, nonce, target = str(int(NOW.timestamp())), secrets.token_hex(16), f"/partner/v1/{path}"
        text = "\n".join(["POST", target, stamp, nonce, hashlib.sha256(data).hexdigest()])
        headers = {
            "Content-Type": "application/json",
            "X-Huiban-Key": key.key_id,
            "X-Huiban-Timestamp": stamp,
            "X-Huiban-Nonce": nonce,
            "X-Huiban-Signature": hmac.new(key.secret.encode(), text.encode(), hashlib.sha256).hexdigest(),
            "Idempotency-Key": idempotency_key or secrets.token_hex(8),
        }
        return client.post(target, data=data, headers=headers)

    return post


def open_template(core: Core, **draft: Any) -> UUID:
    with core.db.transaction() as session:
        return a_template(session, now=NOW, **draft)


def claim(client: FlaskClient, who: Caller, template: UUID, key: str | None = "k1", language: str = "zh-CN") -> Any:
    headers = {**who.headers, "Accept-Language": language, **({"Idempotency-Key": key} if key else {})}
    return client.post(f"/api/v1/coupon-templates/{template}/claims", headers=headers)


def get(client: FlaskClient, who: Caller, path: str, language: str = "zh-CN") -> Any:
    return client.get(f"/api/v1/{path}", headers={**who.headers, "Accept-Language": language})


def quote(client: FlaskClient, who: Caller, **body: Any) -> Any:
    return client.post("/api/v1/coupons/quotes", json={"lines": LINES, **body}, headers=who.headers)


def test_a_member_finds_claims_and_keeps_a_coupon(client, core, member):
    template = open_template(core, stock=3)
    offered = get(client, member, "coupon-templates").json
    assert offered["next_cursor"] is None
    [card] = offered["items"]
    assert (card["claimable"], card["left"], card["offer"]) == (True, 3, "满100元减20元")
    assert card["sentence"] == "满100元减20元，领取后30天内有效。"
    first = claim(client, member, template)
    assert first.status_code == 201, first.text
    again = claim(client, member, template)
    assert again.data == first.data
    assert again.headers["Idempotency-Replayed"] == "true"
    assert get(client, member, "coupons?state=available").json["items"] == [first.json]
    assert get(client, member, "coupons?state=redeemed").json["items"] == []
    assert get(client, member, f"coupons/{first.json['id']}").json == first.json
    assert get(client, member, "coupon-templates", "en").json["items"][0]["reason"] == "claim_limit_reached"


def test_a_claim_is_refused_with_its_code(client, core, member):
    template = open_template(core, stock=1)
    assert claim(client, member, template, key=None).json["code"] == "idempotency_key_required"
    assert claim(client, member, template).status_code == 201
    for who, wanted, code, status in (
        (member, template, "claim_limit_reached", 409),
        (a_caller(core, "openid-two"), template, "sold_out", 409),
        (member, open_template(core, claim_until=NOW), "not_in_window", 409),
        (member, open_template(core, terms=some_terms(scope=Scope(tiers=("black",)))), "tier_not_eligible", 409),
        (member, uuid7(), "coupon_template_not_found", 404),
    ):
        refused = claim(client, who, wanted, key="k2")
        assert (refused.status_code, refused.json["code"]) == (status, code)
    assert claim(client, member, template, key="k3").json["detail"] == "您领取的数量已达上限。"


def test_somebody_elses_coupon_is_not_there(client, core, member):
    coupon = claim(client, member, open_template(core)).json
    stranger = a_caller(core, "openid-two")
    assert get(client, stranger, f"coupons/{coupon['id']}").status_code == 404
    found = quote(client, stranger, coupon_ids=[coupon["id"]]).json
    assert [each["reason"] for each in found["refused"]] == ["not_found"]
    assert client.get("/api/v1/coupons").status_code == 401


def test_a_quote_takes_the_best_coupon_and_tells_why_not_the_other(client, core, member):
    with core.db.transaction() as session:
        good = a_coupon(session, member.member_id, now=NOW, terms=percent_terms())
        other = a_coupon(session, member.member_id, now=NOW, terms=some_terms())
    found = quote(client, member, shipping_fen=800).json
    assert (found["payable_fen"], found["discount_fen"], found["line_discounts"]) == (10400, 2400, [2400])
    assert [each["coupon_id"] for each in found["applied"]] == [str(good.id)]
    assert found["refused"] == [
        {"coupon_id": str(other.id), "reason": "group_taken", "message": "已为您选用同类更优惠的券。", "missing_fen": None}
    ]
    chosen = quote(client, member, coupon_ids=[str(other.id)]).json
    assert chosen["payable_fen"] == 10000
    assert quote(client, member, points=99).json["points_used"] == 0
    assert quote(client, member, lines=[]).status_code == 422


def test_steps_a_gift_and_the_first_order_are_told_and_quoted(client, core, member, till):
    promised = Terms(
        "首单满赠", Kind.GIFT, gift_sku="CUP-1", gift_quantity=1, gift_value_fen=900, exclusion_group="gift", first_order_only=True
    )
    steps = Terms(
        "阶梯", Kind.STEPS, steps=((10000, 1000), (12000, 3000)), hours=(Window(0, 1440, (1,)), Window(0, 1440, (2, 3, 4, 5, 6, 7)))
    )
    with core.db.transaction() as session:
        given = a_coupon(session, member.member_id, now=NOW, terms=promised)
        stepped = a_coupon(session, member.member_id, now=NOW, terms=steps)
    shown = get(client, member, f"coupons/{stepped.id}").json["template"]
    assert shown["steps"][1] == {"threshold_fen": 12000, "amount_off_fen": 3000}
    assert shown["hours"][0] == {"weekdays": [1], "begins": "00:00", "ends": "24:00"}
    cup = {"sku": "CUP-1", "quantity": 1}
    shown = get(client, member, f"coupons/{given.id}").json["template"]
    assert (shown["gift"], shown["first_order_only"], shown["sentence"]) == (cup, True, "赠CUP-1×1，仅限首单。")
    found = quote(client, member).json
    assert (found["payable_fen"], found["gift"]) == (9000, cup)
    assert {each["coupon_id"]: each["gift"] for each in found["applied"]} == {str(given.id): cup, str(stepped.id): None}
    with core.db.transaction() as session:
        an_order(session, a_till_draft(now=NOW, member=MemberRef(member_id=member.member_id)), now=NOW)
    asked = {"member_id": str(member.member_id), "channel": "till", "lines": LINES}
    assert {each["reason"] for each in till("coupons/quotes", asked).json["refused"]} == {"not_first_order"}
    refused = till(f"coupons/{given.id}/redemptions", {"channel": "till", "external_no": "2", "lines": LINES})
    assert (refused.status_code, "仅限首单" in refused.json["detail"]) == (409, True)


def test_a_till_quotes_locks_redeems_and_returns(client, core, member, till):
    with core.db.transaction() as session:
        coupon = a_coupon(session, member.member_id, now=NOW)
    found = till("coupons/quotes", {"member_id": str(member.member_id), "channel": "till", "lines": LINES})
    assert found.json["payable_fen"] == 10000
    order = {"channel": "till", "external_no": "1001"}
    locked = till(f"coupons/{coupon.id}/locks", order)
    assert (locked.status_code, locked.json["state"]) == (201, "locked")
    refused = till(f"coupons/{coupon.id}/redemptions", {**order, "external_no": "1002"})
    assert (refused.status_code, refused.json["code"]) == (409, "coupon_not_available")
    assert "已被订单占用" in refused.json["detail"]
    done = till(f"coupons/{coupon.id}/redemptions", {**order, "lines": LINES})
    assert (done.status_code, done.json["state"], done.json["discount_fen"]) == (201, "redeemed", 2000)
    assert done.json["quote"]["line_discounts"] == [2000]
    assert till(f"coupons/{coupon.id}/redemptions", order).json["state"] == "redeemed"
    back = till(f"coupons/{coupon.id}/returns", {"refund_id": "r1"})
    assert (back.status_code, back.json["state"]) == (201, "issued")
    assert till(f"coupons/{uuid7()}/locks", order).status_code == 404
    assert till("coupons/quotes", {"member_id": str(uuid7()), "channel": "till", "lines": LINES}).status_code == 404


def test_what_was_quoted_is_what_is_charged_or_the_till_is_told_what_changed(client, core, member, till):
    with core.db.transaction() as session:
        goods = a_coupon(session, member.member_id, now=NOW)
        off = a_coupon(session, member.member_id, now=NOW, terms=percent_terms(exclusion_group="more"))
        other = a_coupon(session, member.member_id, now=NOW, terms=percent_terms(exclusion_group="third", percent_off=1))
    cart = {"channel": "till", "lines": LINES, "shipping_fen": 500}
    wanted = {"coupon_ids": [str(goods.id), str(off.id)]}
    quoted = client.post("/api/v1/coupons/quotes", json={**cart, **wanted}, headers=member.headers).json
    assert (quoted["payable_fen"], len(quoted["applied"])) == (8500, 2)
    assert till("coupons/quotes", {**cart, **wanted, "member_id": str(member.member_id)}).json["quote_id"] == quoted["quote_id"]
    order = {**cart, "external_no": "1", "quote_id": quoted["quote_id"]}

    def changed(path: str, **changes: Any) -> dict[str, str]:
        answer = till(path, {**order, **changes})
        assert (answer.status_code, answer.json["code"]) == (409, "quote_changed"), answer.text
        return {each["field"]: each["message"] for each in answer.json["errors"]}

    lock = f"coupons/{goods.id}/locks"
    assert changed(lock, shipping_fen=400) == {"lines": "other_cart"}
    assert changed(f"coupons/{other.id}/locks") == {str(other.id): "not_quoted"}
    forged = till(lock, {**order, "quote_id": "x" + quoted["quote_id"]})
    assert (forged.status_code, forged.json["code"]) == (422, "quote_unknown")
    assert till(lock, {"channel": "till", "external_no": "1", "quote_id": quoted["quote_id"]}).status_code == 422
    assert till(lock, order).status_code == 201
    assert changed(f"coupons/{off.id}/locks", external_no="2") == {
        str(goods.id): "not_available",
        str(off.id): "2400",
        "payable_fen": "10100",
    }
    done = till(f"coupons/{off.id}/redemptions", order)
    assert (done.status_code, done.json["discount_fen"], done.json["quote"]["payable_fen"]) == (201, 2000, 8500)
    fresh = quote(client, member, channel="till", shipping_fen=500).json["quote_id"]
    later, secret = NOW + timedelta(seconds=901), core.settings.secret_key
    line = CartLine("TEA-1", 2, 6000, "tea")
    slow = service.QuotedOrder(quoted["quote_id"], (line,), "till", "1", None, 500)
    late = service.QuotedOrder(fresh, (line,), "till", "3", None, 500)
    with core.db.transaction() as session:
        paid, _ = service.redeem_as_quoted(session, goods.id, slow, secret_key=secret, actor=SYSTEM, now=later)
        assert (paid.state, paid.discount_fen) == ("redeemed", 2000)
        with pytest.raises(QuoteChangedError) as refused:
            service.lock_as_quoted(session, other.id, late, secret_key=secret, actor=SYSTEM, now=later)
    assert refused.value.fields == {"quote_id": "expired"}


def test_a_coupon_that_does_not_fit_the_goods_is_not_redeemed(client, core, member, till):
    with core.db.transaction() as session:
        coupon = a_coupon(session, member.member_id, now=NOW, terms=some_terms(threshold_fen=99900))
    refused = till(f"coupons/{coupon.id}/redemptions", {"channel": "till", "external_no": "1", "lines": LINES})
    assert (refused.status_code, refused.json["code"]) == (409, "coupon_not_applicable")
    with core.db.reading() as session:
        assert queries.find(session, coupon.id, now=NOW).state == "issued"


def test_the_home_and_the_wallet_agree_after_expiry(client, core, member, clock):
    with core.db.transaction() as session:
        coupon = a_coupon(session, member.member_id, now=NOW)
    clock.set(coupon.valid_until)
    with core.db.transaction() as session:
        assert queries.count_available(session, member.member_id, clock.now()) == 0
        service.expire_due(session, clock.now())
        found = queries.wallet(session, member.member_id, "expired", queries.PageRequest(), now=clock.now())
    assert [each.id for each in found.items] == [coupon.id]
