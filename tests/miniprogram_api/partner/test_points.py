"""Partners' points over HTTP."""

from __future__ import annotations

import secrets
from datetime import timedelta
from uuid import UUID

import pytest
from apiflask import APIFlask
from flask_babel import Babel

from miniprogram_api import problems
from miniprogram_api.partner import points
from server.cards import queries as cards
from server.kernel.ids import uuid7
from server.points import queries
from tests.conftest import START
from tests.factories.members import a_member, a_partner, signed_call


@pytest.fixture
def till(core):
    """Give a function of path and body that makes a call, signed by a partner that may move points."""
    app = APIFlask("api", json_errors=False)
    app.extensions["huiban"] = core
    Babel(app, default_locale="en")
    problems.init_app(app)
    app.register_blueprint(points.bp)
    app.testing = True
    client = app.test_client()
    keys = {}

    def call(path, body, *, partner="till", scopes=("points:write",), idempotency_key=None):
        if partner not in keys:
            keys[partner] = core.db.run(lambda session: a_partner(session, now=START, scopes=scopes, name=partner))
        headers = {"Idempotency-Key": idempotency_key or secrets.token_hex(8)}
        return signed_call(client, "POST", f"/partner/v1/points/{path}", body, key=keys[partner], now=START, headers=headers)

    return call


@pytest.fixture
def member_id(core):
    return str(core.db.run(lambda session: a_member(session, now=START)))


def accrual(member_id, count=100, source="receipt-1", **more):
    return {"member_id": member_id, "points": count, "source": source, "reason": "Till sale", **more}


def test_an_accrual_is_made_once_for_each_source(till, member_id):
    first = till("accruals", accrual(member_id))
    assert first.status_code == 201
    assert {"points": 100, "available": 100, "pending": 0, "kind": "accrue"}.items() <= first.json.items()
    again = till("accruals", accrual(member_id))
    assert (again.status_code, again.json) == (200, first.json)
    conflict = till("accruals", accrual(member_id, 99))
    assert (conflict.status_code, conflict.json["code"]) == (409, "source_conflict")


def test_the_same_key_replays_byte_for_byte(till, member_id):
    first = till("accruals", accrual(member_id), idempotency_key="one-key-1")
    again = till("accruals", accrual(member_id), idempotency_key="one-key-1")
    assert (again.status_code, again.data) == (201, first.data)
    assert till("accruals", accrual(member_id, 1), idempotency_key="one-key-1").status_code == 422


def test_sources_of_two_partners_do_not_meet(till, member_id):
    assert till("accruals", accrual(member_id)).status_code == 201
    assert till("accruals", accrual(member_id, 5), partner="shop").status_code == 201


def test_points_for_later_are_pending(till, member_id):
    answer = till("accruals", accrual(member_id, available_at="2026-07-01T00:00:00+08:00"))
    assert (answer.json["available"], answer.json["pending"]) == (0, 100)


def test_too_few_points_are_refused_and_nothing_changes(core, till, member_id):
    till("accruals", accrual(member_id, 10))
    answer = till("redemptions", accrual(member_id, 11, "spend-1"))
    assert (answer.status_code, answer.json["code"]) == (409, "insufficient_points")
    with core.db.reading() as session:
        assert queries.prove(session) == []
    spent = till("redemptions", accrual(member_id, 10, "spend-1"))
    assert (spent.status_code, spent.json["available"], spent.json["points"]) == (201, 0, 10)


def test_an_entry_is_taken_back_in_parts(till, member_id):
    entry = till("accruals", accrual(member_id)).json
    back = {"entry_id": entry["entry_id"], "points": 30, "source": "refund-1", "reason": "Refund"}
    first = till("reversals", back)
    assert (first.status_code, first.json["points"], first.json["available"]) == (201, 30, 70)
    assert till("reversals", back).status_code == 200
    rest = till("reversals", {"entry_id": entry["entry_id"], "source": "refund-2", "reason": "Refund"})
    assert (rest.json["points"], rest.json["available"]) == (70, 0)
    more = till("reversals", {"entry_id": entry["entry_id"], "source": "refund-3", "reason": "Refund"})
    assert (more.status_code, more.json["code"]) == (409, "reversal_exceeds_entry")


def test_a_redemption_that_is_reversed_returns(till, member_id):
    till("accruals", accrual(member_id))
    spent = till("redemptions", accrual(member_id, 60, "spend-1")).json
    answer = till("reversals", {"entry_id": spent["entry_id"], "source": "undo-1", "reason": "Cancelled"})
    assert (answer.json["kind"], answer.json["available"]) == ("return", 100)


def test_another_partners_entry_does_not_exist(till, member_id):
    entry = till("accruals", accrual(member_id)).json
    answer = till("reversals", {"entry_id": entry["entry_id"], "source": "x", "reason": "x"}, partner="shop")
    assert (answer.status_code, answer.json["code"]) == (404, "points_entry_not_found")


def test_an_unknown_member_is_not_found(till):
    assert till("accruals", accrual(str(uuid7()))).status_code == 404


@pytest.mark.parametrize(
    "change", [{"points": 0}, {"points": -5}, {"source": ""}, {"reason": ""}, {"extra": 1}, {"available_at": "2026-07-01"}]
)
def test_what_cannot_be_is_refused(till, member_id, change):
    assert till("accruals", accrual(member_id) | change).status_code == 422


def test_the_scope_is_needed(till, member_id):
    answer = till("accruals", accrual(member_id), partner="reader", scopes=("members:read",))
    assert (answer.status_code, answer.json["code"]) == (403, "scope_missing")


def test_a_till_that_was_offline_names_the_card_and_spends_nothing(till, core, member_id):
    with core.db.reading() as session:
        card_no = cards.of_member(session, UUID(member_id)).card_no
    sale = {key: value for key, value in accrual(member_id).items() if key != "member_id"}
    at = (START - timedelta(days=1)).isoformat()
    assert till("accruals", {**sale, "card_no": card_no, "captured_at": at}).status_code == 201
    assert till("accruals", {**sale, "card_no": card_no, "captured_at": at}).status_code == 200
    assert till("accruals", accrual(member_id, captured_at=at)).json["code"] == "captured_needs_card"
    assert till("accruals", sale).status_code == till("accruals", {**accrual(member_id), "card_no": card_no}).status_code == 422
    assert till("accruals", {**sale, "card_no": "000000000000"}).status_code == 404
    assert till("redemptions", accrual(member_id, 1, "r", captured_at=at)).json["code"] == "offline_redemption_refused"
    with core.db.reading() as session:
        assert queries.balance(session, UUID(member_id), now=START).available == 100
