"""Partners open tickets for members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from server.feedback import desk_queries, queries
from server.feedback.desk_queries import QueueFilter
from server.kernel.pagination import PageRequest
from server.members import queries as members
from tests.factories.feedback import a_caller
from tests.factories.members import a_partner, signed_call

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from server.bootstrap import Core


def key_of(core: Core, *scopes: str) -> Any:
    return core.db.run(lambda session: a_partner(session, now=core.clock.now(), scopes=scopes))


def call(client: FlaskClient, core: Core, key: Any, body: dict[str, Any], idempotency: str | None = "k1") -> Any:
    headers = {"Idempotency-Key": idempotency} if idempotency else {}
    return signed_call(client, "POST", "/partner/v1/tickets", body, key=key, now=core.clock.now(), headers=headers)


def test_a_partner_opens_a_ticket_by_phone_and_a_replay_gives_the_same(client: FlaskClient, core: Core) -> None:
    key = key_of(core, "tickets:write")
    body = {"member": {"phone": "13800138001"}, "content": "顾客来店反映包装破损", "category": "logistics"}
    first, second = call(client, core, key, body), call(client, core, key, body)
    assert first.status_code == 201, first.text
    assert second.data == first.data
    with core.db.reading() as session:
        tickets = desk_queries.queue(session, QueueFilter(), PageRequest(limit=5)).items
        detail = queries.detail(session, first.json["ticket_no"])
        assert members.by_phone(session, "+8613800138001") == detail.ticket.member_id
    assert len(tickets) == 1
    assert (detail.ticket.channel, detail.messages[0].author_kind) == ("partner", "partner")


def test_a_partner_names_the_member_in_each_way(client: FlaskClient, core: Core) -> None:
    key, caller = key_of(core, "tickets:write"), a_caller(core, "openid-known")
    for number, member in enumerate(({"member_id": str(caller.member_id)}, {"openid": "openid-known"})):
        made = call(client, core, key, {"member": member, "content": "电话投诉"}, f"k{number}")
        assert made.json["member_id"] == str(caller.member_id)


@pytest.mark.parametrize(
    "member",
    [
        {},
        {"openid": "nobody"},
        {"card_no": "000"},
        {"member_id": "00000000-0000-7000-8000-000000000000"},
        {"phone": "13800138001", "openid": "x"},
    ],
)
def test_an_unknown_or_unclear_member_is_refused(client: FlaskClient, core: Core, member: dict[str, str]) -> None:
    assert call(client, core, key_of(core, "tickets:write"), {"member": member, "content": "x"}).status_code == 422


def test_a_partner_without_the_scope_or_the_key_is_refused(client: FlaskClient, core: Core) -> None:
    body = {"member": {"phone": "13800138001"}, "content": "x"}
    refused = call(client, core, key_of(core, "members:read"), body)
    assert (refused.status_code, refused.json["code"]) == (403, "scope_missing")


def test_a_command_without_its_key_is_refused(client: FlaskClient, core: Core) -> None:
    refused = call(client, core, key_of(core, "tickets:write"), {"member": {"phone": "13800138001"}, "content": "x"}, None)
    assert (refused.status_code, refused.json["code"]) == (400, "idempotency_key_required")
