"""A body brings what its schema names and nothing else: every column of every table, sent along with every body, is refused by name."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from server.kernel.db import Base
from tests.factories.calls import CALLS, as_member, as_partner, operations
from tests.factories.world import World, a_world, changes, every_row
from wsgi import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from tests.factories.calls import Call

pytestmark = [pytest.mark.committing, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

# Whose bodies are theirs to shape: WeChat's events, signed by WeChat, are kept as they come and read field by field.
FOREIGN = {
    "POST /callbacks/wechat/mini-program",
    "POST /callbacks/wechat/official-account",
    # The providers' of text messages, behind the secret of the address.
    "POST /callbacks/sms/{provider}/{secret}/reports",
    "POST /callbacks/sms/{provider}/{secret}/replies",
}
# What only the product itself decides, and no member can so much as name.
OURS = {
    "id", "member_id", "owner_member_id", "status", "state", "stage", "version", "role", "roles", "tier", "tier_code", "scopes", "partner_id",
    "available", "pending", "reserved", "debt", "debt_owed", "balance", "amount", "growth", "issued", "stock", "valid_until", "expires_at",
    "created_at", "updated_at", "joined_at", "phone", "openid", "merged_into", "needs_review", "priority", "assignee_id",
}  # fmt: skip
NONCES = ("partner_nonces",)


def columns() -> set[str]:
    return {column.name for table in Base.metadata.tables.values() for column in table.columns}


def objects(
    schemas: dict[str, Any], schema: dict[str, Any], body: Any, path: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], set[str]]]:
    """Yield the place of every object in a body and the names that its schema gives it; what is free in form is not walked."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    for choice in [*schema.get("anyOf", []), *schema.get("oneOf", [])]:
        yield from objects(schemas, choice, body, path)
    if isinstance(body, dict) and "properties" in schema:
        yield path, set(schema["properties"])
        for name, inner in body.items():
            yield from objects(schemas, schema["properties"].get(name, {}), inner, (*path, name))
    if isinstance(body, list) and "items" in schema:
        for place, inner in enumerate(body[:1]):
            yield from objects(schemas, schema["items"], inner, (*path, place))


def with_extras(body: Any, path: tuple[Any, ...], extras: set[str]) -> Any:
    changed = copy.deepcopy(body)
    place = changed
    for step in path:
        place = place[step]
    place.update(dict.fromkeys(sorted(extras), "1"))
    return changed


def sent(client: FlaskClient, call: Call, guard: str, world: World) -> TestResponse:
    if guard.startswith("partner"):
        return as_partner(client, call, world.till, world=world)
    return as_member(client, call, world.owner if guard == "member" else None)


def bodies(document: dict[str, Any], operation: str) -> dict[str, Any]:
    method, path = operation.split(" ")
    return document["paths"][path][method.lower()].get("requestBody", {}).get("content", {})


def test_no_body_takes_a_column_that_its_schema_does_not_name(core):
    client = create_app(core=core).test_client()
    guards, world = operations(client.application), a_world(core)
    document = client.get("/openapi.json").json
    schemas, names = document["components"]["schemas"], columns()
    assert len(names) > 150
    tried, wrong = set(), []
    for operation, guard in guards.items():
        schema = bodies(document, operation).get("application/json", {}).get("schema")
        if schema is None or operation in FOREIGN:
            continue
        call = CALLS[operation](world)
        for path, known in objects(schemas, schema, call.json):
            tried.add(operation)
            extras = names - known
            before = every_row(core, without=NONCES)
            answer = sent(client, replace(call, json=with_extras(call.json, path, extras)), guard, world)
            refused = {each["field"].rsplit(".", 1)[-1] for each in answer.json.get("errors", [])}
            # The log-out tells all that is wrong with its one field; everywhere else each name is told.
            if answer.status_code != 422 or (not refused >= extras and not operation.endswith("/logout")):
                wrong.append((operation, path, answer.status_code, sorted(extras - refused)[:5]))
            if changed := changes(before, every_row(core)):
                wrong.append((operation, path, "changed", sorted(changed)))
    assert wrong == []
    with_body = {operation for operation in guards if "application/json" in bodies(document, operation)}
    assert with_body - FOREIGN == tried
    assert len(tried) > 20


def test_every_sale_of_a_batch_is_held_to_the_same(core):
    """Its items are free in form in the document, for one that cannot be read must not refuse the others."""
    client = create_app(core=core).test_client()
    world = a_world(core)
    call = CALLS["POST /partner/v1/orders/batch"](world)
    document = client.get("/openapi.json").json
    alone = bodies(document, "POST /partner/v1/orders")["application/json"]["schema"]
    sale, before = call.json["orders"][0], every_row(core, without=(*NONCES, "idempotency_records"))
    for path, known in objects(document["components"]["schemas"], alone, sale):
        odd = [with_extras(sale, path, {name}) for name in sorted(columns() - known)]
        assert len(odd) > 150
        for start in range(0, len(odd), 400):
            part = odd[start : start + 400]
            answer = as_partner(client, replace(call, json={"orders": part}), world.till, world=world)
            assert [item["status"] for item in answer.json["items"]] == [422] * len(part), path
    assert changes(before, every_row(core)) == {}


def test_no_member_can_name_what_the_product_decides(core):
    client = create_app(core=core).test_client()
    document = client.get("/openapi.json").json
    schemas = document["components"]["schemas"]

    def names(schema: dict[str, Any]) -> set[str]:
        if "$ref" in schema:
            return names(schemas[schema["$ref"].rsplit("/", 1)[1]])
        inner = [*schema.get("anyOf", []), *schema.get("oneOf", []), *([schema["items"]] if "items" in schema else [])]
        own = schema.get("properties", {})
        return set(own) | {name for each in [*inner, *own.values()] for name in names(each)}

    taken = {
        (operation, name)
        for operation, guard in operations(client.application).items()
        if guard == "member"
        for media in bodies(document, operation).values()
        for name in names(media["schema"]) & OURS
    }
    # The receiver of goods may be anybody: their number is not the member's, and is only written on the parcel.
    assert taken == {("POST /api/v1/rewards/{reward_id}/redemptions", "phone")}
