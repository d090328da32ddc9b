"""The OpenAPI document by itself: valid, whole, and every reference leads somewhere."""

from __future__ import annotations

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from tests.factories.calls import operations as guards_of
from wsgi import create_app

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def document(core):
    return create_app(core=core).test_client().get("/openapi.json").json


def operations(document):
    return [(f"{method.upper()} {path}", operation) for path, found in document["paths"].items() for method, operation in found.items()]


def references(value):
    if isinstance(value, dict):
        found = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return found + [each for inner in value.values() for each in references(inner)]
    return [each for inner in value for each in references(inner)] if isinstance(value, list) else []


@pytest.mark.filterwarnings("ignore")
def test_the_document_is_valid_openapi_3_1_and_every_reference_leads_somewhere(document):
    assert document["openapi"] == "3.1.0"
    assert [str(fault)[:300] for fault in jsonschema_rs.Draft202012Validator(OPENAPI_31).iter_errors(document)] == []
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


@pytest.mark.filterwarnings("ignore")
def test_every_operation_has_a_summary_a_body_and_an_answer_that_names_its_fields(document):
    missing, ids = [], []
    for name, operation in operations(document):
        ids.append(operation["operationId"])
        if not operation.get("summary"):
            missing.append(f"{name}: summary")
        bodies = [("request", media) for media in operation.get("requestBody", {}).get("content", {}).values()]
        answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        if not answers or (not any(answer.get("content") for answer in answers) and "204" not in operation["responses"]):
            missing.append(f"{name}: answer")
        bodies += [("answer", media) for answer in answers for media in answer.get("content", {}).values()]
        missing.extend(f"{name}: {what} without a schema" for what, media in bodies if not media.get("schema"))
    assert missing == []
    assert len(set(ids)) == len(ids) > 60


@pytest.mark.filterwarnings("ignore")
def test_every_operation_says_who_may_call_it(core, document):
    guards = guards_of(create_app(core=core))
    shown = {name: operation.get("security") for name, operation in operations(document)}
    expected = {"member": [{"member": []}], "public": None, "signature": None}
    assert shown == {name: expected.get(guard, [{"partner": [guard.removeprefix("partner:")]}]) for name, guard in guards.items()}


@pytest.mark.filterwarnings("ignore")
def test_bodies_and_statuses_that_a_view_adds_by_hand_are_told(document):
    paths = document["paths"]
    log_out = paths["/api/v1/auth/logout"]["post"]["requestBody"]
    assert log_out["required"] is False
    assert "application/json" in log_out["content"]
    assert set(paths["/api/v1/me/avatar"]["put"]["requestBody"]["content"]) == {"application/json", "multipart/form-data"}
    assert {"200", "202"} <= set(paths["/api/v1/me/profile"]["patch"]["responses"])
    for path in ("/partner/v1/orders", "/partner/v1/points/accruals", "/partner/v1/points/redemptions", "/partner/v1/points/reversals"):
        assert {"200", "201"} <= set(paths[path]["post"]["responses"])
    assert set(paths["/files/{upload_id}"]["get"]["responses"]["200"]["content"]) == {"image/jpeg", "image/png", "image/webp"}
