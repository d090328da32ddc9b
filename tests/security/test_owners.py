"""What is a member's own is there for nobody else: every route that takes an id, by every method, from the path and from the body."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from server.flows.merge import merge
from server.members import deletion
from server.members import service as members
from server.members.models import Member
from tests.factories.calls import CALLS, METHODS, Call, as_member, operations
from tests.factories.members import SYSTEM
from tests.factories.world import World, a_world, changes, every_row
from wsgi import create_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

pytestmark = pytest.mark.committing

ID_NAME = re.compile(r"(^|_)(id|ids|no|nos|code|codes|token)$")

# Ids in a path that name nobody's own thing, and why.
SHARED = {
    "POST /api/v1/coupon-templates/{template_id}/claims": "a template is on offer to all members",
    "GET /api/v1/coupon-gifts/{token}": "whoever has the link may look and answer, once; that is what it is shared for",
    "POST /api/v1/coupon-gifts/{token}/acceptance": "as above",
    "POST /api/v1/coupon-gifts/{token}/refusal": "as above",
    "GET /api/v1/rewards/{reward_id}": "a reward is on offer to all members",
    "POST /api/v1/rewards/{reward_id}/redemptions": "as above",
    "GET /callbacks/unsubscribe/{token}": "whoever has the mail may order it off; it can do nothing else",
    "POST /callbacks/unsubscribe/{token}": "as above",
}

# Ids in a body that name nobody's own thing, and why.
IMPERSONAL = {
    ("POST /api/v1/auth/wechat", "code"): "WeChat's own proof of who logs in",
    ("POST /api/v1/auth/wechat", "invite_code"): "meant to be handed on",
    ("POST /api/v1/auth/refresh", "refresh_token"): "is itself the proof",
    ("POST /api/v1/points/receipt-claims", "external_no"): "whoever holds the paper; a receipt that somebody has is told to nobody",
    ("POST /api/v1/coupons/codes", "code"): "whoever holds the code; one that somebody has is told to nobody",
    ("POST /api/v1/me/phone", "code"): "WeChat's own proof of the number",
    ("POST /api/v1/me/email/verification", "code"): "compared with the one sent for this very member",
}


# Who is frozen or about to leave may look and end log-ins; and who is about to leave may take that back.
SEES = {"frozen", "leaving"}
ENDING = {"POST /api/v1/auth/logout", "DELETE /api/v1/auth/sessions/{session_id}"}
DOES = {"frozen": ENDING, "leaving": {"POST /api/v1/me/deletion", "DELETE /api/v1/me/deletion", *ENDING}}


def _tickets(**named: Any) -> Call:
    return Call("POST", "/api/v1/tickets", {"category": "logistics", "content": "外箱破了", **named})


def _own_ticket_with_foreign_picture(world: World) -> Call:
    own = world.a_ticket(of=world.other)
    return Call("POST", f"/api/v1/tickets/{own}/messages", {"content": "还没有", "upload_ids": [world.an_upload()]})


# The other member names the owner's thing in a body: the call, and what it is answered.
IN_BODY: dict[tuple[str, str], tuple[Callable[[World], Call], int, str]] = {
    ("PUT /api/v1/me/avatar", "upload_id"): (CALLS["PUT /api/v1/me/avatar"], 404, "upload_not_found"),
    ("POST /api/v1/tickets", "upload_ids"): (lambda w: _tickets(upload_ids=[w.an_upload()]), 404, "upload_not_found"),
    ("POST /api/v1/tickets", "order_no"): (lambda w: _tickets(order_no=w.an_order().order_no), 422, "invalid"),
    ("POST /api/v1/tickets/{ticket_no}/messages", "upload_ids"): (_own_ticket_with_foreign_picture, 404, "upload_not_found"),
    # A quote refuses coupon by coupon: somebody else's is as unknown as one that never was.
    ("POST /api/v1/coupons/quotes", "coupon_ids"): (CALLS["POST /api/v1/coupons/quotes"], 200, ""),
}


def guarded(core) -> tuple[FlaskClient, dict[str, str]]:
    app = create_app(core=core)
    found = {operation: guard for operation, guard in operations(app).items() if guard == "member" or operation.startswith("POST /api/")}
    return app.test_client(), found


def in_path(found: dict[str, str]) -> list[str]:
    return [operation for operation, guard in found.items() if guard == "member" and "{" in operation and operation not in SHARED]


def test_every_id_in_a_body_is_known_here(core):
    client, found = guarded(core)
    document = client.get("/openapi.json").json
    schemas = document["components"]["schemas"]

    def names(schema: dict[str, Any]) -> set[str]:
        if "$ref" in schema:
            return names(schemas[schema["$ref"].rsplit("/", 1)[1]])
        inner = [*schema.get("anyOf", []), *schema.get("oneOf", []), *([schema["items"]] if "items" in schema else [])]
        own = schema.get("properties", {})
        return set(own) | {name for each in [*inner, *own.values()] for name in names(each)}

    taken = set()
    for operation in found:
        method, path = operation.split(" ")
        bodies = document["paths"][path][method.lower()].get("requestBody", {}).get("content", {}).values()
        taken |= {(operation, name) for media in bodies for name in names(media["schema"]) if ID_NAME.search(name)}
    assert taken == set(IN_BODY) | set(IMPERSONAL)
    assert len(in_path(found)) >= 9


def test_what_is_the_owners_is_there_for_nobody_else_and_stays_as_it_was(core):
    client, found = guarded(core)
    world = a_world(core)
    wrong = []
    for operation in in_path(found):
        call = CALLS[operation](world)
        before = every_row(core)
        for method in METHODS:
            answer = as_member(client, replace(call, method=method), world.other)
            expected = {404} if method == call.method else {404, 405}
            if answer.status_code not in expected or answer.json["status"] != answer.status_code:
                wrong.append((operation, method, answer.status_code, answer.text[:200]))
        if changed := changes(before, every_row(core)):
            wrong.append((operation, "changed", changed))
        # The owner is not kept out, so it was the owner that made the difference; and an answer kept for the owner is for the owner.
        call = call.with_key("the-same-key")
        for who, expected in ((world.owner, {200, 201, 204}), (world.other, {404})):
            answer = as_member(client, call, who)
            if answer.status_code not in expected or (who is world.other and "Idempotency-Replayed" in answer.headers):
                wrong.append((operation, who.member_id, answer.status_code, answer.text[:200]))
    assert wrong == []


def test_an_id_in_a_body_brings_nothing_of_somebody_elses(core):
    client, _ = guarded(core)
    world = a_world(core)
    wrong = []
    for (operation, name), (make, status, code) in IN_BODY.items():
        call = make(world)
        before = every_row(core)
        answer = as_member(client, call, world.other)
        told = answer.json.get("code", "")
        if (answer.status_code, told) != (status, code):
            wrong.append((operation, name, answer.status_code, answer.text[:300]))
        if status == 200:
            assert [each["reason"] for each in answer.json["refused"]] == ["not_found"]
            assert answer.json["applied"] == []
        if changed := changes(before, every_row(core)):
            wrong.append((operation, name, "changed", changed))
        if "/tickets/" in operation:
            continue  # the ticket is the other's own; the same picture under the owner's ticket stands in the walk above
        if as_member(client, call, world.owner).status_code not in {200, 201}:
            wrong.append((operation, name, "the owner is refused"))
    assert wrong == []


def test_a_picture_is_seen_only_under_the_address_signed_for_it(core):
    client, _ = guarded(core)
    world = a_world(core)
    address = CALLS["GET /files/{upload_id}"](world).path
    own = world.an_upload(of=world.other)
    path, query = address.split("?")
    assert client.get(address).status_code == 200
    for forged in (
        path,
        f"/files/{own}?{query}",
        f"{path}?{query.replace('signature=', 'signature=0')}",
        address.replace("expires=", "expires=9"),
    ):
        assert client.get(forged, headers=world.other.headers).status_code in {403, 404}, forged
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert client.open(address, method=method).status_code == 405


@pytest.mark.parametrize("state", ["frozen", "leaving", "deleted", "merged", "logged out"])
def test_who_is_no_active_member_is_refused_on_every_route(core, state):
    client, found = guarded(core)
    world = a_world(core)
    calls = {operation: CALLS[operation](world) for operation, guard in found.items() if guard == "member"}
    _become(world, state)
    before = every_row(core)
    wrong = []
    for operation, call in calls.items():
        if operation in DOES.get(state, ()):
            continue
        answer = as_member(client, call, world.owner)
        if call.method == "GET" and state in SEES:
            # What there is to see is seen: all of it, but for the wish to leave, which who is frozen never had.
            right = answer.status_code == 200 or (call.leaving and answer.json["code"] == "no_deletion")
        else:
            expected = {"frozen": (403, "member_frozen"), "leaving": (403, "member_leaving")}.get(state, (401, "token_invalid"))
            right = (answer.status_code, answer.json.get("code")) == expected
        if not right:
            wrong.append((operation, answer.status_code, answer.text[:200]))
    assert wrong == []
    assert changes(before, every_row(core)) == {}


def _become(world: World, state: str) -> None:
    """Put the owner into a state in which a token of theirs is still about."""
    owner = world.owner.member_id

    def work(session: Any) -> None:
        if state == "frozen":
            members.set_status(session, owner, "frozen", reason="fraud", actor=SYSTEM, now=world.now)
        elif state == "leaving":
            deletion.request_deletion(session, owner, reason=None, actor=world.owner.actor, now=world.now)
        elif state == "logged out":
            members.log_out(session, owner, session_id=None, now=world.now)
        elif state == "merged":
            # A log-in moves to the surviving record; one that was left behind by a race opens nothing.
            merge(session, owner, world.other.member_id, reason="same person", actor=SYSTEM, now=world.now)
            sessions = sa.table("member_sessions", sa.column("member_id", Member.id.type))
            session.execute(sa.update(sessions).where(sessions.c.member_id == world.other.member_id).values(member_id=owner))
        else:
            session.execute(sa.update(Member).where(Member.id == owner).values(status="deleted"))

    world.run(work)


def test_after_a_merge_a_log_in_stands_for_the_surviving_record_alone(core):
    client, _ = guarded(core)
    world = a_world(core)
    coupon = CALLS["GET /api/v1/coupons/{coupon_id}"](world)
    world.run(lambda s: merge(s, world.owner.member_id, world.other.member_id, reason="same person", actor=SYSTEM, now=world.now))
    assert as_member(client, Call("GET", "/api/v1/me"), world.owner).json["member"]["id"] == str(world.other.member_id)
    assert as_member(client, coupon, world.owner).status_code == as_member(client, coupon, world.other).status_code == 200
