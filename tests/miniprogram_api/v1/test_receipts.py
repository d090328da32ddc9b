"""Claiming a receipt over HTTP: a refused try is on record, kept under its key, and still a problem document."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest

from server.orders.drafts import MemberRef
from tests.conftest import START
from tests.factories.orders import a_till_draft, an_order
from tests.factories.world import a_world


@pytest.mark.committing
def test_a_wrong_try_counts_once_for_each_tap_and_the_right_one_earns(core, client):
    world = a_world(core)
    sale = a_till_draft(now=START - timedelta(hours=1), member=MemberRef(), external_no="R-77")
    core.db.run(lambda session: an_order(session, sale, now=START))
    body = {"external_no": "Ｒ-77 ", "amount_fen": 10_000, "placed_on": "2026-06-15"}

    def claim(key=None, **changes):
        headers = {**world.owner.headers, "Idempotency-Key": key or secrets.token_hex(8), "Accept-Language": "en"}
        return client.post("/api/v1/points/receipt-claims", json={**body, **changes}, headers=headers)

    for _ in range(6):
        wrong = claim("one-tap", amount_fen=1)
        assert (wrong.status_code, wrong.json["code"], wrong.content_type) == (404, "receipt_not_found", "application/problem+json")
    for _ in range(3):
        claim(amount_fen=1)
    # A ligature of one character is eighteen when it is written out: no receipt has such a number, and no column takes it.
    assert [claim(external_no=number).status_code for number in ("\ufdfa" * 80, "\u3000")] == [422, 422]
    done = claim()
    assert (done.status_code, done.json["points"]) == (201, 100)
    assert claim().json["code"] == "receipt_already_credited"
    claim(amount_fen=1)
    limited = claim()
    assert (limited.status_code, limited.json["code"]) == (429, "too_many_receipt_tries")
    assert int(limited.headers["Retry-After"]) > 0
