from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.partners import service as partners
from server.partners.models import PartnerNonce
from tests.factories.members import PHONES, SYSTEM, a_member, a_partner, an_unclaimed_member, signed_call

IDENTIFY = "/partner/v1/members/identify"


@pytest.fixture
def key(core, clock):
    return core.db.run(lambda s: a_partner(s, now=clock.now()))


@pytest.fixture
def call(api, key, clock):
    def call(body, path=IDENTIFY, method="POST", **more):
        return signed_call(api, method, path, body, key=more.pop("key", key), now=clock.now(), **more)

    return call


@pytest.mark.requirement("CARD2")
def test_a_till_recognises_a_member_by_code_once(log_in, call, clock):
    phone = log_in()
    shown = phone.call("POST", "/api/v1/card/codes")
    assert shown.status_code == 201
    assert len(shown.json["code"]) == 18
    found = call({"member_code": shown.json["code"]})
    assert found.status_code == 200, found.text
    assert found.json["member_id"] == phone.member_id
    assert found.json["card_no"] == phone.get("/api/v1/card")["card_no"]
    assert (found.json["tier"], found.json["points_available"], found.json["status"]) == ("standard", 0, "active")
    again = call({"member_code": shown.json["code"]})
    assert (again.status_code, again.json["code"]) == (409, "member_code_expired")
    assert again.json["errors"] == [{"field": "member_code", "message": "used"}]
    old = phone.call("POST", "/api/v1/card/codes").json["code"]
    clock.move(timedelta(seconds=60))
    late = call({"member_code": old})
    assert (late.status_code, late.json["code"], late.json["errors"][0]["message"]) == (409, "member_code_expired", "expired")


@pytest.mark.committing
def test_of_many_tills_that_scan_one_code_one_learns_the_member(api, log_in, key, clock):
    code = log_in().call("POST", "/api/v1/card/codes").json["code"]

    def scan(_):
        return signed_call(api.application.test_client(), "POST", IDENTIFY, {"member_code": code}, key=key, now=clock.now()).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(scan, range(6))) == [200] + [409] * 5


def test_a_retry_of_the_same_scan_gets_the_same_answer(log_in, call):
    code = log_in().call("POST", "/api/v1/card/codes").json["code"]
    first = call({"member_code": code}, headers={"Idempotency-Key": "scan-1"})
    again = call({"member_code": code}, headers={"Idempotency-Key": "scan-1"})
    assert again.status_code == 200
    assert again.data == first.data
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_till_recognises_by_phone_and_card_and_nobody_else(core, call, clock):
    one = core.db.run(lambda s: a_member(s, now=clock.now(), phone=PHONES[5]))
    found = call({"phone": "138 0013 8005"}).json
    assert (found["member_id"], found["phone_masked"]) == (str(one), "138****8005")
    assert call({"card_no": found["card_no"]}).json["member_id"] == str(one)
    assert call({"phone": "13900139000"}).status_code == 404
    assert call({"card_no": "1"}).json["code"] == "member_not_found"
    assert call({"phone": "12"}).status_code == 422
    assert call({}).status_code == 422
    assert call({"phone": PHONES[5], "card_no": "1"}).status_code == 422


def test_a_merged_id_leads_to_its_survivor(core, log_in, wechat, call, clock):
    old = core.db.run(lambda s: an_unclaimed_member(s, now=clock.now(), phone=PHONES[2]))
    clock.move(timedelta(days=1))
    phone = log_in()
    phone.call("POST", "/api/v1/me/phone", {"code": wechat.phone_code_for(PHONES[2])})
    answer = call(None, f"/partner/v1/members/{phone.member_id}", "GET")
    assert (answer.status_code, answer.json["member_id"]) == (200, str(old))
    assert call(None, f"/partner/v1/members/{UUID(int=7)}", "GET").status_code == 404


def test_the_query_is_signed_byte_for_byte(call):
    path = "/partner/v1/members/00000000-0000-0000-0000-000000000007?a=%E4%BC%9A&b=+%20"
    assert call(None, path, "GET").status_code == 404
    refused = call(None, path, "GET", signed_path=path.replace("%20", "+"))
    assert (refused.status_code, refused.json["code"]) == (401, "bad_signature")


@pytest.mark.requirement("INT1")
def test_each_fault_of_a_signature_has_its_own_code(core, api, call, key, clock):
    body = {"phone": "13900139000"}
    stamp = int(clock.now().timestamp())

    def code(answer):
        return answer.status_code, answer.json["code"]

    assert code(call(body, key=partners.NewKey(key.partner_id, "hk_nobody", key.secret))) == (401, "unknown_key")
    assert code(call(body, key=partners.NewKey(key.partner_id, key.key_id, "wrong"))) == (401, "bad_signature")
    assert code(call(body, timestamp=str(stamp - 301))) == (401, "stale_timestamp")
    assert code(call(body, timestamp=str(stamp + 301))) == (401, "stale_timestamp")
    assert code(call(body, timestamp="now")) == (401, "stale_timestamp")
    assert code(call(body, nonce="short")) == (401, "bad_signature")
    assert code(api.post(IDENTIFY, json=body)) == (401, "unknown_key")
    assert call(body, timestamp=str(stamp - 300), nonce="n" * 16).status_code == 404
    assert code(call(body, timestamp=str(stamp - 300), nonce="n" * 16)) == (401, "nonce_reused")
    core.db.run(lambda s: partners.change(s, key.partner_id, scopes=["orders:write"], actor=SYSTEM, now=clock.now()))
    refused = call(body)
    assert code(refused) == (403, "scope_missing")
    assert "members:read" in refused.json["detail"]
    core.db.run(lambda s: partners.change(s, key.partner_id, active=False, actor=SYSTEM, now=clock.now()))
    assert code(call(body)) == (401, "unknown_key")
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(PartnerNonce)) == 1


@pytest.mark.committing
def test_of_many_requests_with_one_nonce_one_is_let_in(api, key, clock):
    def send(_):
        client = api.application.test_client()
        return signed_call(client, "POST", IDENTIFY, {"card_no": "1"}, key=key, now=clock.now(), nonce="x" * 20).json["code"]

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(send, range(6))) == ["member_not_found"] + ["nonce_reused"] * 5


def test_both_keys_of_a_partner_work_until_one_is_revoked(core, call, key, clock):
    second = core.db.run(lambda s: partners.add_key(s, key.partner_id, actor=SYSTEM, now=clock.now()))
    assert call({"card_no": "1"}).status_code == 404
    assert call({"card_no": "1"}, key=second).status_code == 404
    core.db.run(lambda s: partners.revoke_key(s, key.key_id, actor=SYSTEM, now=clock.now()))
    assert call({"card_no": "1"}).json["code"] == "unknown_key"
    assert call({"card_no": "1"}, key=second).status_code == 404


def test_a_server_that_hides_the_raw_address_still_verifies(api):
    from miniprogram_api.partner_auth import sent_paths

    with api.application.test_request_context("/partner/v1/a%20b%3ac?x=%E4%BC%9A") as context:
        assert sent_paths() == ["/partner/v1/a%20b%3ac?x=%E4%BC%9A"]
        context.request.environ["REQUEST_URI"] = "http://shop.example/partner/v1/x?y=1"
        assert sent_paths() == ["/partner/v1/x?y=1"]
        for name in ("REQUEST_URI", "RAW_URI"):
            context.request.environ.pop(name)
        for way in ("a%20b:c", "a%20b%3Ac", "a%20b%3ac"):
            assert f"/partner/v1/{way}?x=%E4%BC%9A" in sent_paths()
        assert all(path.endswith("?x=%E4%BC%9A") for path in sent_paths())
