"""What a partner's key opens: its scopes and nothing else, under a signature of exactly these bytes, once; one partner's facts are its own."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from server.partners import service as partners
from server.partners.rules import SCOPES, TOLERANCE_SECONDS
from tests.factories.calls import CALLS, METHODS, Call, as_member, as_partner, body_of, operations, signed_headers
from tests.factories.members import SYSTEM
from tests.factories.world import World, a_world, changes, every_row
from wsgi import create_app

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

pytestmark = pytest.mark.committing

# A nonce that was taken stays taken, whatever the call then met.
NONCES = ("partner_nonces",)


@pytest.fixture
def found(core) -> tuple[FlaskClient, World, dict[str, str]]:
    app = create_app(core=core)
    named = {operation: guard.removeprefix("partner:") for operation, guard in operations(app).items() if guard.startswith("partner:")}
    assert {operation for operation in operations(app) if " /partner/" in operation} == set(named)
    return app.test_client(), a_world(core), named


# What docs/connect-till.md promises, by the first word of the path.
SCOPE_OF = {
    "members": "members:read",
    "orders": "orders:write",
    "points": "points:write",
    "coupons": "coupons:write",
    "rewards": "rewards:write",
    "tickets": "tickets:write",
    "stock": "stock:write",
}


def key_with(world: World, *scopes: str) -> partners.NewKey:
    return world.run(lambda s: partners.create(s, f"one of many {secrets.token_hex(4)}", scopes, actor=SYSTEM, now=world.now))


def test_each_scope_opens_its_routes_and_no_other(core, found):
    client, world, named = found
    assert set(named.values()) == set(SCOPES)
    assert named == {operation: SCOPE_OF[operation.split("/")[3]] for operation in named}
    keys = {scope: key_with(world, scope) for scope in SCOPES}
    all_but = {scope: key_with(world, *(other for other in SCOPES if other != scope)) for scope in SCOPES}
    wrong = []
    for operation, scope in named.items():
        call = CALLS[operation](world)
        if operation == "POST /partner/v1/points/reversals":
            call = replace(call, json={**call.json, "entry_id": world.an_entry(by=keys[scope])})
        before = every_row(core, without=NONCES)
        refused = {**{other: keys[other] for other in SCOPES if other != scope}, "all but it": all_but[scope]}
        for other, key in refused.items():
            answer = as_partner(client, call, key, world=world)
            if (answer.status_code, answer.json.get("code")) != (403, "scope_missing"):
                wrong.append((operation, other, answer.status_code, answer.text[:200]))
        if changed := changes(before, every_row(core)):
            wrong.append((operation, "changed", changed))
        answer = as_partner(client, call, keys[scope], world=world)
        if not 200 <= answer.status_code < 300:
            wrong.append((operation, scope, answer.status_code, answer.text[:200]))
    assert wrong == []


def test_no_method_but_the_routes_own_is_answered(core, found):
    client, world, named = found
    calls = {operation: CALLS[operation](world) for operation in named}
    before = every_row(core)
    for operation, call in calls.items():
        path = operation.split(" ")[1]
        for method in METHODS:
            if f"{method} {path}" not in named:
                assert as_partner(client, replace(call, method=method), world.till, world=world).status_code in {404, 405}, (method, path)
    assert changes(before, every_row(core)) == {}


def tampered(client: FlaskClient, call: Call, world: World) -> dict[str, TestResponse]:
    """Send a call whose signature is for something slightly else, in every way there is."""
    stamp, body, nonce = int(world.now.timestamp()), body_of(call), secrets.token_hex(16)
    right = signed_headers(call, body, world.till, stamp=stamp, nonce=nonce)

    def send(*, path: str = call.path, method: str = call.method, data: bytes = body, **headers: str | None) -> TestResponse:
        named = {**right, **{name.replace("_", "-"): value for name, value in headers.items()}}
        kept = {name: value for name, value in named.items() if value is not None}
        return client.open(path, method=method, data=data, content_type="application/json", headers={"Idempotency-Key": nonce, **kept})

    signature = right["X-Huiban-Signature"]
    flipped = ("0" if signature[0] != "0" else "1") + signature[1:]
    other = signed_headers(call, body, world.shop, stamp=stamp, nonce=nonce)["X-Huiban-Signature"]
    longer = "&" if "?" in call.path else "?"
    return {
        "unsigned": send(X_Huiban_Signature=None),
        "empty signature": send(X_Huiban_Signature=""),
        "flipped signature": send(X_Huiban_Signature=flipped),
        "upper-case signature": send(X_Huiban_Signature=signature.upper()),
        "another partner's signature": send(X_Huiban_Signature=other),
        "longer path": send(path=f"{call.path}{longer}a=1"),
        "longer body": send(data=body + b" "),
        "shorter body": send(data=body[:-1]) if body else send(data=b"{}"),
        "another second": send(X_Huiban_Timestamp=str(stamp + 1)),
        "another nonce": send(X_Huiban_Nonce=nonce[:-1] + ("0" if nonce[-1] != "0" else "1")),
        "no key": send(X_Huiban_Key=None),
        "another key": send(X_Huiban_Key=world.shop.key_id),
        "unknown key": send(X_Huiban_Key="nobody"),
    }


def test_a_call_that_was_not_signed_as_it_came_does_nothing(core, found):
    client, world, named = found
    calls = {operation: CALLS[operation](world) for operation in named}
    before = every_row(core)
    wrong = []
    for operation, call in calls.items():
        for way, answer in tampered(client, call, world).items():
            expected = "unknown_key" if way in {"no key", "unknown key"} else "bad_signature"
            if (answer.status_code, answer.json.get("code")) != (401, expected):
                wrong.append((operation, way, answer.status_code, answer.text[:200]))
        for skew in (-TOLERANCE_SECONDS - 1, TOLERANCE_SECONDS + 1, 10**9):
            headers = signed_headers(call, body_of(call), world.till, stamp=int(world.now.timestamp()) + skew)
            answer = as_partner(client, replace(call, headers=headers), world.till, world=world)
            if (answer.status_code, answer.json.get("code")) != (401, "stale_timestamp"):
                wrong.append((operation, skew, answer.status_code, answer.text[:200]))
    assert wrong == []
    assert changes(before, every_row(core)) == {}


def test_the_same_method_and_path_are_part_of_what_is_signed(core, found):
    client, world, _ = found
    sale = world.an_order()
    read = Call("GET", f"/partner/v1/orders/{sale.channel}/{sale.external_no}")
    event = Call("POST", f"{read.path}/events", {"event_id": "e", "kind": "delivered", "occurred_at": world.now.isoformat()})
    headers = signed_headers(replace(event, method="PUT"), body_of(event), world.till, stamp=int(world.now.timestamp()))
    before = every_row(core)
    for forged in (
        replace(event, headers=headers),
        replace(read, path=read.path + "x", headers=signed_headers(read, b"", world.till, stamp=int(world.now.timestamp()))),
    ):
        answer = as_partner(client, forged, world.till, world=world)
        assert (answer.status_code, answer.json["code"]) == (401, "bad_signature")
    assert changes(before, every_row(core)) == {}


def test_a_call_played_again_is_refused_on_every_route_and_does_nothing_twice(core, found):
    client, world, named = found
    wrong = []
    for operation in named:
        call = CALLS[operation](world)
        headers = signed_headers(call, body_of(call), world.till, stamp=int(world.now.timestamp()))
        call = replace(call, headers={**headers, "Idempotency-Key": secrets.token_hex(8)})
        first = as_partner(client, call, world.till, world=world)
        before = every_row(core)
        # With the same Idempotency-Key, and with another one, which is not signed.
        for again in (call, replace(call, headers={**headers, "Idempotency-Key": secrets.token_hex(8)})):
            answer = as_partner(client, again, world.till, world=world)
            if first.status_code >= 300 or (answer.status_code, answer.json.get("code")) != (401, "nonce_reused"):
                wrong.append((operation, first.status_code, answer.status_code, answer.text[:200]))
        if changed := changes(before, every_row(core)):
            wrong.append((operation, "changed", changed))
    assert wrong == []


def test_a_partners_facts_keys_and_answers_are_its_own(core, found):
    client, world, _ = found
    entry = world.an_entry(by=world.till)
    reversal = Call("POST", "/partner/v1/points/reversals", {"entry_id": entry, "source": "r", "reason": "Mistake"})
    before = every_row(core, without=NONCES)
    answer = as_partner(client, reversal, world.shop, world=world)
    assert (answer.status_code, answer.json["code"]) == (404, "points_entry_not_found")
    assert changes(before, every_row(core)) == {}
    # One source and one Idempotency-Key, sent by two partners: two facts, two answers.
    member = str(world.owner.member_id)
    accrual = Call("POST", "/partner/v1/points/accruals", {"member_id": member, "points": 5, "source": "receipt-1", "reason": "Gift"})
    answers = [as_partner(client, accrual.with_key("one"), key, world=world) for key in (world.till, world.shop)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.json["entry_id"] for answer in answers}) == 2
    assert all("Idempotency-Replayed" not in answer.headers for answer in answers)
    again = as_partner(client, accrual.with_key("one"), world.till, world=world)
    assert (again.headers["Idempotency-Replayed"], again.json) == ("true", answers[0].json)


def test_orders_are_the_brands_so_that_the_warehouse_reports_what_the_shop_sold(core, found):
    """As docs/connect-till.md says: an order is named by channel and number, whoever sends it."""
    client, world, _ = found
    sale = CALLS["POST /partner/v1/orders"](world)
    assert as_partner(client, sale, world.shop, world=world).status_code == 201
    where = f"/partner/v1/orders/{sale.json['channel']}/{sale.json['external_no']}"
    assert as_partner(client, Call("GET", where), world.till, world=world).status_code == 200
    event: dict[str, Any] = {
        "event_id": "s1",
        "kind": "shipped",
        "occurred_at": world.now.isoformat(),
        "carrier": "sf",
        "tracking_no": "SF1",
    }
    assert as_partner(client, Call("POST", f"{where}/events", event), world.till, world=world).status_code == 201
    # What comes back names no person.
    assert not re.search(r"receiver|phone|address|nickname|member", as_partner(client, Call("GET", where), world.till, world=world).text)


def test_a_partner_switched_off_or_a_key_revoked_opens_nothing_from_then_on(core, found):
    client, world, named = found
    calls = {operation: CALLS[operation](world) for operation in named}
    world.run(lambda s: partners.revoke_key(s, world.till.key_id, actor=SYSTEM, now=world.now))
    world.run(lambda s: partners.change(s, world.shop.partner_id, active=False, actor=SYSTEM, now=world.now))
    before = every_row(core)
    for operation, call in calls.items():
        for key in (world.till, world.shop):
            answer = as_partner(client, call, key, world=world)
            assert (answer.status_code, answer.json["code"]) == (401, "unknown_key"), operation
    assert changes(before, every_row(core)) == {}


def test_a_members_token_opens_no_partner_route_and_a_partners_key_no_members(core, found):
    client, world, named = found
    before = every_row(core)
    for operation in named:
        method, path = operation.split(" ")
        answer = as_member(client, Call(method, re.sub(r"{\w+}", str(world.owner.member_id), path), {}), world.owner)
        assert (answer.status_code, answer.json["code"]) == (401, "unknown_key"), operation
    for operation, guard in operations(client.application).items():
        if guard == "member":
            method, path = operation.split(" ")
            call = Call(method, re.sub(r"{\w+}", str(world.owner.member_id), path), {})
            answer = as_partner(client, call, world.till, world=world)
            assert (answer.status_code, answer.json["code"]) == (401, "token_invalid"), operation
    assert changes(before, every_row(core)) == {}
