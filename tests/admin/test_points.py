"""The console's pages of points and tiers."""

from __future__ import annotations

import pytest

from server.cards import queries as cards
from server.kernel.pagination import PageRequest
from server.points import queries, service
from server.points.overview import LedgerFilter, search_entries
from server.tiers import queries as tiers
from server.tiers import service as tier_service
from tests.admin.conftest import token_of
from tests.conftest import START
from tests.factories.members import a_member
from tests.factories.points import SYSTEM


@pytest.fixture
def card(core):
    """Give (member id, card number) of a member; rules and tiers are there."""

    def prepare(session):
        service.ensure_default_rules(session, actor=SYSTEM, now=START)
        tier_service.ensure_default_tiers(session)
        member_id = a_member(session, now=START)
        service.check_in(session, member_id, actor=SYSTEM, now=START)
        return member_id, cards.of_member(session, member_id).card_no

    return core.db.run(prepare)


def post(client, path, **form):
    return client.post(path, data={**form, "csrf_token": token_of(client, path)})


def test_every_page_opens(core, card, signed_in_as):
    client = signed_in_as("operations")
    with core.db.reading() as session:
        (entry,) = search_entries(session, LedgerFilter(), PageRequest()).items
    for path in (
        "points/", f"points/?card_no={card[1]}", "points/?kind=accrue&source=points/check", "points/health", "points/proof", "points/adjust",
        f"points/entries/{entry.id}", "points-rules/", "points-rules/purchase", "points-rules/check-in/edit", "points-rules/purchase/edit",
        "points-rules/new/per_amount", "points-rules/policies", "tiers/", "tiers/assign",
    ):  # fmt: skip
        answer = client.get(f"/admin/{path}")
        assert answer.status_code == 200, (path, answer.get_data(as_text=True)[-2000:])
    assert client.get("/admin/points-rules/none").status_code == 404
    assert client.get("/admin/points/entries/none").status_code == 404
    assert str(entry.id) not in client.get("/admin/points/?card_no=000").get_data(as_text=True)


def test_points_are_adjusted_once_with_a_reason(core, card, signed_in_as):
    client = signed_in_as("operations")
    form = {"card_no": card[1], "direction": "give", "points": "30", "reason": "Goodwill", "once": "abc"}
    assert post(client, "/admin/points/adjust", **form).status_code == 302
    assert post(client, "/admin/points/adjust", **form).status_code == 302
    assert post(client, "/admin/points/adjust", **form | {"once": "d", "direction": "take", "points": "33"}).status_code == 422
    assert post(client, "/admin/points/adjust", **form | {"once": "e", "reason": ""}).status_code == 422
    assert post(client, "/admin/points/adjust", **form | {"once": "f", "card_no": "000"}).status_code == 422
    with core.db.reading() as session:
        assert queries.balance(session, card[0]).available == 32


def test_a_rule_gets_a_new_version(core, card, signed_in_as):
    client = signed_in_as("operations")
    form = {"code": "purchase", "name": "Purchase", "enabled": "y", "fen_per_point": "0.50", "use_tier_multiplier": "y", "stores": "S1，S2",
            "expiry_kind": "month_end", "expiry_count": "12"}  # fmt: skip
    assert post(client, "/admin/points-rules/purchase/edit", **form).status_code == 302
    assert post(client, "/admin/points-rules/purchase/edit", **form | {"expiry_count": ""}).status_code == 422
    bonus = {"code": "check-in", "name": "C", "points": "3", "streak_bonus": "7:10，30：50", "cycle_days": "30", "expiry_kind": "never"}
    assert post(client, "/admin/points-rules/check-in/edit", **bonus).status_code == 302
    assert post(client, "/admin/points-rules/check-in/edit", **bonus | {"streak_bonus": "7-10"}).status_code == 422
    with core.db.reading() as session:
        rules = {rule.code: rule for rule in queries.rule_versions(session)}
    assert (rules["purchase"].version, rules["purchase"].document["stores"], rules["purchase"].document["fen_per_point"]) == (
        2,
        ["S1", "S2"],
        50,
    )
    assert (rules["check-in"].enabled, rules["check-in"].document["streak_bonus"]) == (False, {"7": 10, "30": 50})


def test_policies_are_declared(core, card, signed_in_as):
    client = signed_in_as("operations")
    assert post(client, "/admin/points-rules/policies", debt_policy="negative", reopen_days="10").status_code == 302
    with core.db.reading() as session:
        assert str(queries.settings(session).debt_policy) == "negative"


def test_a_tier_is_assigned_and_changed(core, card, signed_in_as):
    client = signed_in_as("operations")
    assert post(client, "/admin/tiers/assign", card_no=card[1], tier="gold", reason="VIP").status_code == 302
    assert post(client, "/admin/tiers/assign", card_no="000", tier="gold", reason="VIP").status_code == 422
    with core.db.reading() as session:
        assert tiers.of_member(session, card[0]).code == "gold"


def test_support_staff_without_the_permission_cannot_adjust(card, signed_in_as):
    client = signed_in_as("auditor")
    assert client.get("/admin/points/adjust").status_code == 403
