"""Messages over HTTP, and WeChat's server push."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from server.members import service as members
from server.notifications import queries, service
from server.notifications.templates import PointsAccrued
from server.wechat import push
from server.wechat.emulator import outbound
from server.wechat.push import PushSecrets
from tasks.jobs import notifications as job
from tests.factories.members import APPID, a_member
from tests.factories.notifications import ANSWERED, a_grant, all_templates, an_answer

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.clock import MovableClock
    from tests.fakes.wechat import FakeWeChat

pytestmark = pytest.mark.committing
ANSWERED_ID = "demo-tmpl-ticket-answered"
Call = Callable[..., TestResponse]


class Phone:
    """A member with a phone in hand."""

    def __init__(self, core: Core, client: FlaskClient, openid: str = "o1") -> None:
        def enrol(session):
            all_templates(session, now=core.clock.now())
            return members.login_with_wechat(session, appid=APPID, openid=openid, unionid=None, now=core.clock.now())

        login = core.db.run(enrol)
        self.member_id: UUID = login.member_id
        self.client = client
        self.token = login.access_token

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.open(f"/api/v1/{path}", method=method, json=body, headers={"Authorization": f"Bearer {self.token}", **named})


@pytest.fixture
def phone(core: Core, client: FlaskClient) -> Phone:
    return Phone(core, client)


def pushed(client: FlaskClient, core: Core, event: dict[str, Any], *, safe: bool = True, token: str | None = None) -> TestResponse:
    settings, stamp = core.settings, str(int(core.clock.now().timestamp()))
    token = token or settings.wechat_push_token
    body = json.dumps(event).encode()
    query = {"signature": push.signature_of(token, stamp, "n"), "timestamp": stamp, "nonce": "n"}
    if safe:
        encrypted = push.encrypt(body, PushSecrets(settings.wechat_appid, token, settings.wechat_push_aes_key))
        query |= {"encrypt_type": "aes", "msg_signature": push.signature_of(token, stamp, "n", encrypted)}
        body = json.dumps({"Encrypt": encrypted}).encode()
    return client.post("/callbacks/wechat/mini-program", query_string=query, data=body)


def popup(core: Core, openid: str = "o1", *, accept: bool = True) -> dict[str, Any]:
    settings = core.settings
    target = outbound.PushTarget("", PushSecrets(settings.wechat_appid, settings.wechat_push_token))
    event = outbound.popup_event(target, openid, ANSWERED_ID, accept=accept)
    return event | {"CreateTime": int(core.clock.now().timestamp())}


def grants(core: Core, member_id: UUID) -> dict[str, int]:
    with core.db.reading() as session:
        return {code: left for code, left in queries.grants_of(session, member_id).items() if left}


def test_the_inbox_is_listed_read_and_counted(phone: Phone, core: Core) -> None:
    first = core.db.run(lambda s: an_answer(s, phone.member_id, key="a", now=core.clock.now()))
    core.db.run(
        lambda s: service.request(
            s, phone.member_id, PointsAccrued("Daily check-in", 5, 9, core.clock.now()), key="p", now=core.clock.now()
        )
    )
    listed = phone.call("GET", "messages").json
    assert listed["unread"] == 2
    assert [item["code"] for item in listed["items"]] == ["points_accrued", "ticket_answered"]
    assert listed["items"][0]["title"] == "积分到账"
    assert "当前可用 9 积分" in listed["items"][0]["body"]
    english = phone.call("GET", "messages?limit=1", Accept_Language="en").json
    assert english["items"][0]["body"] == "You earned 5 points: Daily check-in. Available now: 9."
    assert english["next_cursor"]
    assert phone.call("POST", f"messages/{first}/read").json == {"unread": 1}
    assert phone.call("POST", f"messages/{first}/read").json == {"unread": 1}
    assert [item["code"] for item in phone.call("GET", "messages?unread=true").json["items"]] == ["points_accrued"]
    assert phone.call("POST", "messages/read").json == {"unread": 0}


def test_somebody_elses_message_is_not_found(phone: Phone, core: Core, client: FlaskClient) -> None:
    other = core.db.run(lambda s: a_member(s, now=core.clock.now()))
    theirs = core.db.run(lambda s: an_answer(s, other, key="a", now=core.clock.now()))
    answer = phone.call("POST", f"messages/{theirs}/read")
    assert (answer.status_code, answer.json["code"]) == (404, "message_not_found")
    with core.db.reading() as session:
        assert queries.unread(session, other) == 1


@pytest.mark.parametrize("path", ["messages", "subscribe-templates", "me/notification-preferences"])
def test_a_log_in_is_needed(client: FlaskClient, path: str) -> None:
    assert client.get(f"/api/v1/{path}").status_code == 401


@pytest.mark.requirement("NTF3")
def test_choices_are_shown_and_changed(phone: Phone) -> None:
    before = phone.call("GET", "me/notification-preferences").json
    assert before["quiet_hours"] is None
    # Offers over a phone number or an address wait for the member's consent; everything else is on.
    off = {(choice["topic"], choice["channel"]) for choice in before["topics"] if not choice["allowed"]}
    assert off == {("offers", "sms"), ("offers", "email")}
    body = {
        "quiet_hours": {"from": "21:30", "until": "07:00"},
        "topics": [{"topic": "points", "channel": "subscribe", "allowed": False}],
    }
    after = phone.call("PUT", "me/notification-preferences", body).json
    assert after["quiet_hours"] == {"from": "21:30", "until": "07:00"}
    assert {(c["topic"], c["channel"]) for c in after["topics"] if not c["allowed"]} == off | {("points", "subscribe")}
    assert phone.call("PUT", "me/notification-preferences", {}).json == after
    cleared = phone.call("PUT", "me/notification-preferences", {"quiet_hours": None}).json
    assert cleared["quiet_hours"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"topics": [{"topic": "orders", "channel": "inbox", "allowed": False}]},
        {"topics": [{"topic": "gossip", "channel": "inbox", "allowed": False}]},
        {"quiet_hours": {"from": "25:00", "until": "07:00"}},
        {"colour": "red"},
    ],
)
def test_choices_that_cannot_be_are_refused_and_nothing_changes(phone: Phone, body: dict[str, Any]) -> None:
    before = phone.call("GET", "me/notification-preferences").json
    body = {**body, "topics": [{"topic": "points", "channel": "subscribe", "allowed": False}, *body.get("topics", [])]}
    assert phone.call("PUT", "me/notification-preferences", body).status_code == 422
    assert phone.call("GET", "me/notification-preferences").json == before


@pytest.mark.requirement("NTF2")
@pytest.mark.parametrize("safe", [True, False])
def test_wechats_event_credits_one_allowance_however_often_it_comes(
    phone: Phone, core: Core, client: FlaskClient, wechat: FakeWeChat, safe: bool
) -> None:
    asked = phone.call("GET", "subscribe-templates?moment=ticket_opened").json
    assert {"template_id": ANSWERED_ID, "code": ANSWERED, "title": "客服已回复您", "available": 0} in asked["items"]
    assert [item["code"] for item in asked["items"]] == ["content_refused", ANSWERED], "what became of the words, and their answer"
    reported = phone.call("POST", "subscribe-grants", {"results": {ANSWERED_ID: "accept", "unknown": "reject"}}).json
    assert reported == {"items": [{"template_id": ANSWERED_ID, "code": ANSWERED, "credited": False}]}
    assert grants(core, phone.member_id) == {}
    event = popup(core)
    for _ in range(3):
        answer = pushed(client, core, event, safe=safe)
        assert (answer.status_code, answer.text) == (200, "success")
    assert grants(core, phone.member_id) == {ANSWERED: 1}
    message_id = core.db.run(lambda s: an_answer(s, phone.member_id, key="a", now=core.clock.now()))
    job.deliver_batch(core, [message_id])
    assert len(wechat.sent) == 1
    assert grants(core, phone.member_id) == {}


def test_a_rejection_credits_nothing_and_a_switch_thrown_empties(phone: Phone, core: Core, client: FlaskClient) -> None:
    assert pushed(client, core, popup(core, accept=False)).status_code == 200
    assert grants(core, phone.member_id) == {}
    core.db.run(lambda s: a_grant(s, phone.member_id, key="g", now=core.clock.now()))
    change = popup(core, accept=False) | {"Event": "subscribe_msg_change_event"}
    assert pushed(client, core, change).status_code == 200
    assert grants(core, phone.member_id) == {}


def test_wechats_receipt_marks_a_message_delivered(phone: Phone, core: Core, client: FlaskClient) -> None:
    core.db.run(lambda s: a_grant(s, phone.member_id, key="g", now=core.clock.now()))
    message_id = core.db.run(lambda s: an_answer(s, phone.member_id, key="a", now=core.clock.now()))
    job.deliver_batch(core, [message_id])
    entry = {"TemplateId": ANSWERED_ID, "MsgID": "900000000000000001", "ErrorCode": "0", "ErrorStatus": "success"}
    receipt = popup(core) | {"Event": "subscribe_msg_sent_event", "List": [entry]}
    assert pushed(client, core, receipt).status_code == 200
    with core.db.reading() as session:
        found = queries.find(session, message_id)
    assert found is not None
    assert found.state == "delivered"


def test_a_stranger_on_the_push_address_is_refused_and_changes_nothing(phone: Phone, core: Core, client: FlaskClient) -> None:
    for safe in (True, False):
        answer = pushed(client, core, popup(core), safe=safe, token="guessed")
        assert (answer.status_code, answer.json["code"]) == (401, "bad_signature")
    assert client.post("/callbacks/wechat/mini-program", data=b"x").status_code == 401
    assert grants(core, phone.member_id) == {}


def test_a_popup_of_somebody_unknown_is_answered(core: Core, client: FlaskClient) -> None:
    assert pushed(client, core, popup(core, "o-nobody")).text == "success"


def test_the_address_is_proved(core: Core, client: FlaskClient) -> None:
    stamp = str(int(core.clock.now().timestamp()))
    query = {"signature": push.signature_of(core.settings.wechat_push_token, stamp, "n"), "timestamp": stamp, "nonce": "n", "echostr": "77"}
    assert client.get("/callbacks/wechat/mini-program", query_string=query).text == "77"
    assert client.get("/callbacks/wechat/mini-program", query_string=query | {"nonce": "m"}).status_code == 401


def test_where_the_page_counts_a_report_is_credited_once(core: Core, client: FlaskClient, clock: MovableClock) -> None:
    object.__setattr__(core, "settings", core.settings.model_copy(update={"grant_source": "page"}))
    phone = Phone(core, client)
    body = {"results": {ANSWERED_ID: "accept"}}
    assert phone.call("POST", "subscribe-grants", body).json["code"] == "idempotency_key_required"
    for _ in range(2):
        answer = phone.call("POST", "subscribe-grants", body, Idempotency_Key="tap-1").json
        assert answer["items"][0]["credited"] is True
    assert grants(core, phone.member_id) == {ANSWERED: 1}
    assert pushed(client, core, popup(core)).text == "success"
    assert grants(core, phone.member_id) == {ANSWERED: 1}
