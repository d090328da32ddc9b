"""The pages of messages, as a browser without scripts sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from server.notifications import queries
from server.wechat.errors import WeChatUnavailableError
from tasks.jobs import notifications as job
from tests.admin.conftest import token_of
from tests.factories.members import a_member
from tests.factories.notifications import a_grant, all_templates, an_answer

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from server.bootstrap import Core
    from tests.fakes.wechat import FakeWeChat

pytestmark = pytest.mark.committing


@pytest.fixture
def uncertain(core: Core, wechat: FakeWeChat) -> UUID:
    def work(session):
        at = core.clock.now()
        all_templates(session, now=at)
        member_id = a_member(session, now=at)
        a_grant(session, member_id, key="g", now=at)
        return an_answer(session, member_id, key="answer:1", now=at, excerpt="<b>您好</b>，这是一段很长很长需要截断的客服回复内容")

    message_id = core.db.run(work)
    wechat.failures = [WeChatUnavailableError("timeout")]
    job.deliver_batch(core, [message_id])
    return message_id


def text(answer) -> str:
    return answer.get_data(as_text=True)


def state(core: Core, message_id: UUID) -> str:
    with core.db.reading() as session:
        found = queries.find(session, message_id)
    assert found is not None
    return found.state


def test_the_flow_shows_what_waits_for_a_decision(signed_in_as, uncertain: UUID) -> None:
    shown = text(signed_in_as("operations").get("/admin/messages/"))
    assert f"/admin/messages/{uncertain}" in shown
    assert "No answer in time" in shown or "未在时限内得到答复" in shown


def test_a_message_is_shown_as_on_the_phone_and_nothing_of_it_is_markup(signed_in_as, uncertain: UUID) -> None:
    shown = text(signed_in_as("operations").get(f"/admin/messages/{uncertain}"))
    assert "wx-card" in shown
    assert "<b>您好" not in shown
    assert "&lt;b&gt;您好" in shown
    assert "…" in shown


@pytest.mark.parametrize(("verb", "after"), [("sent", "sent"), ("give-up", "failed"), ("send-again", "queued")])
def test_an_uncertain_message_is_decided_with_a_reason(signed_in_as, core: Core, uncertain: UUID, verb: str, after: str) -> None:
    client: FlaskClient = signed_in_as("operations")
    path = f"/admin/messages/{uncertain}"
    data = {"csrf_token": token_of(client, path), "reason": "会员确认已收到"}
    assert client.post(f"{path}/{verb}", data=data).status_code == 302
    assert state(core, uncertain) == after


def test_who_may_only_read_cannot_decide(signed_in_as, core: Core, uncertain: UUID) -> None:
    client = signed_in_as("auditor")
    token = token_of(client, "/admin/")
    answer = client.post(f"/admin/messages/{uncertain}/sent", data={"csrf_token": token, "reason": "x"})
    assert answer.status_code == 403
    assert state(core, uncertain) == "uncertain"


def test_messages_are_found_by_state_and_template(signed_in_as, uncertain: UUID) -> None:
    client = signed_in_as("operations")
    assert str(uncertain) in text(client.get("/admin/messages/all?state=uncertain&template=ticket_answered&reason=timeout"))
    assert str(uncertain) not in text(client.get("/admin/messages/all?state=sent"))
    assert client.get("/admin/messages/00000000-0000-0000-0000-000000000000").status_code == 404


def test_templates_tell_whom_they_reach_and_can_be_chosen(signed_in_as, core: Core, uncertain: UUID) -> None:
    client = signed_in_as("operations")
    assert "demo-tmpl-ticket-answered" in text(client.get("/admin/message-templates/"))
    assert "wx-card" in text(client.get("/admin/message-templates/birthday_greeting"))
    assert client.get("/admin/message-templates/gossip").status_code == 404
    path = "/admin/message-templates/ticket_answered/edit"
    data = {
        "csrf_token": token_of(client, path),
        "template_id": "real-template",
        "enabled": "y",
        "key_ticket_no": "character_string5",
        "key_excerpt": "phrase1",
        "key_answered_at": "time3",
    }
    refused = client.post(path, data=data)
    assert refused.status_code in {200, 422}
    with core.db.reading() as session:
        assert queries.code_of(session, "real-template") is None
    assert client.post(path, data=data | {"key_excerpt": "thing9"}).status_code == 302
    with core.db.reading() as session:
        assert queries.code_of(session, "real-template") == "ticket_answered"
