"""What comes in from outside about channels: reports, answers, followers, links; and the member's own e-mail address."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.flows.merge import merge
from server.members import emails
from server.members.models import MemberEmail
from server.notifications import queries, routes, service, unsubscribing
from server.notifications.rules import Channel
from server.notifications.templates import REGISTRY, Topic
from server.wechat import followers, push
from server.wechat.push import PushSecrets
from tasks.jobs import channels as channel_job
from tasks.jobs import notifications as job
from tests.factories.members import SYSTEM, a_member, an_unclaimed_member
from tests.fakes.senders import FakeMail, FakeSms
from tests.notifications.test_api import Phone, phone
from tests.notifications.test_channels import PHONE, SHIPPED, TEXT_FIELDS

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from server.bootstrap import Core
    from server.kernel.clock import MovableClock
    from server.kernel.outbox import Event

__all__ = ["phone"]
pytestmark = [pytest.mark.committing, pytest.mark.requirement("NTF1")]
NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)


def a_text(core: Core) -> UUID:
    """Send one text message through Aliyun."""

    def ask(session):
        template = REGISTRY["order_shipped"]
        routes.set_carrier(session, template, "aliyun", "SMS_1", TEXT_FIELDS, actor=SYSTEM, now=NOW)
        member_id = an_unclaimed_member(session, now=NOW, phone=PHONE)
        return service.request(session, member_id, SHIPPED, key="k1", now=NOW)

    message_id = core.db.run(ask)
    assert job.deliver_batch(replace(core, sms=(FakeSms("aliyun"),)), [message_id]) == 1
    return message_id


def state_of(core: Core, message_id: UUID) -> str:
    with core.db.reading() as session:
        found = queries.find(session, message_id)
    assert found is not None
    return found.state


def a_report(**more: object) -> list[dict[str, object]]:
    return [{"phone_number": "13800138000", "biz_id": "aliyun-1", "success": True, "report_time": "2026-06-15 12:00:05", **more}]


def test_a_report_behind_the_secret_marks_a_text_as_arrived(core: Core, client: FlaskClient):
    message_id = a_text(core)
    secret = core.settings.sms_callback_secret
    assert client.post("/callbacks/sms/aliyun/wrong/reports", json=a_report()).status_code == 401
    assert client.post(f"/callbacks/sms/pigeon/{secret}/reports", json=a_report()).status_code == 404
    assert client.post(f"/callbacks/sms/aliyun/{secret}/reports", data=b"{").status_code == 400
    assert state_of(core, message_id) == "sent"
    for _ in range(2):
        answer = client.post(f"/callbacks/sms/aliyun/{secret}/reports", json=a_report())
        assert answer.json == {"code": 0, "msg": "ok"}
    assert state_of(core, message_id) == "delivered"


def test_the_other_providers_number_is_not_mistaken(core: Core, client: FlaskClient):
    message_id = a_text(core)
    entry = {"mobile": "13800138000", "sid": "aliyun-1", "report_status": "SUCCESS", "user_receive_time": "2026-06-15 12:00:05"}
    answer = client.post(f"/callbacks/sms/tencent/{core.settings.sms_callback_secret}/reports", json=[entry])
    assert answer.json == {"result": 0, "errmsg": "OK"}
    assert state_of(core, message_id) == "sent"


@pytest.mark.requirement("NTF3")
def test_an_answer_ends_text_messages(core: Core, client: FlaskClient):
    member_id = core.db.run(lambda s: an_unclaimed_member(s, now=NOW, phone=PHONE))
    reply = [{"phone_number": "13800138000", "content": "退订", "send_time": "2026-06-15 12:00:05"}]
    assert client.post(f"/callbacks/sms/aliyun/{core.settings.sms_callback_secret}/replies", json=reply).status_code == 200
    with core.db.reading() as session:
        assert not any(queries.allowed(session, member_id, topic, Channel.SMS) for topic in Topic)
        assert queries.allowed(session, member_id, Topic.ORDERS, Channel.SUBSCRIBE)


@pytest.mark.requirement("NTF3")
def test_a_link_asks_first_and_one_click_needs_no_log_in(core: Core, client: FlaskClient):
    member_id = core.db.run(lambda s: a_member(s, now=NOW))
    path = f"/callbacks/unsubscribe/{unsubscribing.token_of(core.settings.secret_key, member_id, Topic.COUPONS)}"

    def takes(topic: Topic) -> bool:
        with core.db.reading() as session:
            return queries.allowed(session, member_id, topic, Channel.EMAIL)

    page = client.get(path, headers={"Accept-Language": "zh-CN"})
    assert page.status_code == 200
    assert "<form" in page.text
    assert takes(Topic.COUPONS)
    for _ in range(2):
        assert client.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert not takes(Topic.COUPONS)
    assert takes(Topic.ORDERS)
    assert client.post(path, data={"scope": "all"}).status_code == 200
    assert not takes(Topic.ORDERS)
    assert client.post(path[:-1] + ("A" if path[-1] != "A" else "B")).status_code == 404


def an_event(core: Core, event: str, openid: str = "f1", *, at: datetime = NOW, **more: str) -> tuple[str, bytes]:
    """Return the query and body of a push as the Official Account sends it: XML, encrypted."""
    settings = core.settings
    secrets = PushSecrets(settings.official_account_appid, settings.official_account_push_token, settings.official_account_push_aes_key)
    fields = {
        "ToUserName": "gh_2",
        "FromUserName": openid,
        "CreateTime": str(int(at.timestamp())),
        "MsgType": "event",
        "Event": event,
        **more,
    }
    inner = "<xml>" + "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items()) + "</xml>"
    encrypted = push.encrypt(inner.encode(), secrets)
    stamp = str(int(core.clock.now().timestamp()))
    signature = push.signature_of(secrets.token, stamp, "n", encrypted)
    query = f"encrypt_type=aes&timestamp={stamp}&nonce=n&msg_signature={signature}"
    return query, f"<xml><ToUserName>gh_2</ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>".encode()


def test_followers_come_and_go_by_push(core: Core, client: FlaskClient):
    core.official_account.people["f1"] = "u1"  # type: ignore[union-attr]
    for event, at in (("subscribe", NOW), ("unsubscribe", NOW + timedelta(seconds=5)), ("subscribe", NOW + timedelta(seconds=9))):
        query, body = an_event(core, event, at=at)
        for _ in range(2):
            answer = client.post(f"/callbacks/wechat/official-account?{query}", data=body, content_type="text/xml")
            assert (answer.status_code, answer.text) == (200, "success")
        assert client.post(f"/callbacks/wechat/official-account?{query}x", data=body).status_code == 401
    channel_job.name_followers(core, NOW)
    with core.db.reading() as session:
        found = followers.figures(session, core.settings.official_account_appid)
    assert (found.following, found.known) == (1, 1)


def test_a_finished_job_that_failed_sends_the_message_on(core: Core, client: FlaskClient):
    def ask(session):
        template = REGISTRY["order_shipped"]
        keys = [(spec.name, spec.default_key) for spec in template.specs]
        routes.set_carrier(session, template, "official_account", "oa-1", keys, actor=SYSTEM, now=NOW)
        member_id = a_member(session, now=NOW)
        from server.members import service as members

        members.add_identity(session, member_id, "wechat_union", "u1", actor=SYSTEM, now=NOW)
        followers.note_followed(session, core.settings.official_account_appid, "f1", following=True, now=NOW)
        asked = followers.unasked(session, core.settings.official_account_appid, 5)
        followers.note_infos(session, asked, [followers.Follower("f1", True, "u1")], now=NOW)
        return service.request(session, member_id, SHIPPED, key="k1", now=NOW)

    message_id = core.db.run(ask)
    assert job.deliver_batch(core, [message_id]) == 1
    query, body = an_event(core, "TEMPLATESENDJOBFINISH", MsgID="oa-0", Status="failed:user block")
    assert client.post(f"/callbacks/wechat/official-account?{query}", data=body).status_code == 200
    with core.db.reading() as session:
        found = queries.find(session, message_id)
    assert found is not None
    assert (found.state, found.reason) == ("failed", "receipt_user_block")


def codes_of(core: Core) -> list[Event]:
    """Return the events that ask for codes to be sent."""
    from server.kernel.outbox import Event, OutboxEvent

    with core.db.reading() as session:
        rows = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == "members.email_code_asked").order_by(OutboxEvent.id)).all()
        return [
            Event(row.id, row.key, row.topic, row.aggregate_type, row.aggregate_id, row.version, row.payload, row.occurred_at)
            for row in rows
        ]


def send_codes(core: Core) -> list[str]:
    """Send what was asked for, and return the codes."""
    mail = FakeMail()
    channel_job.send_email_codes(replace(core, mail=mail), codes_of(core))
    return [next(word for word in one.text.replace("，", " ").split() if word.isdigit() and len(word) == 6) for one in mail.taken]


def test_an_address_is_in_use_once_its_code_came_back(core: Core, phone: Phone, clock: MovableClock):
    assert phone.call("GET", "me/email").json["masked"] is None
    assert phone.call("PUT", "me/email", {"address": "not an address"}).status_code == 422
    asked = phone.call("PUT", "me/email", {"address": " Lin@Example.com "})
    assert (asked.status_code, asked.json["masked"], asked.json["pending_masked"]) == (200, None, "L***@example.com")
    (code,) = send_codes(core)
    assert send_codes(core) == []
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    assert phone.call("POST", "me/email/verification", {"code": wrong}).json["code"] == "email_code_invalid"
    good = phone.call("POST", "me/email/verification", {"code": code})
    assert (good.status_code, good.json["masked"], good.json["pending_masked"]) == (200, "L***@example.com", None)
    assert phone.call("POST", "me/email/verification", {"code": code}).status_code == 422
    with core.db.reading() as session:
        assert emails.address_of(session, phone.member_id) == "Lin@example.com"
        (row,) = session.scalars(sa.select(MemberEmail)).all()
        assert "example" not in row.address_sealed
    assert phone.call("DELETE", "me/email").json["masked"] is None
    assert phone.call("DELETE", "me/email").status_code == 200
    assert clock.now() == NOW


def test_a_code_dies_of_time_and_of_wrong_tries_and_few_are_sent(core: Core, phone: Phone, clock: MovableClock):
    phone.call("PUT", "me/email", {"address": "lin@example.com"})
    (code,) = send_codes(core)
    for number in range(5):
        wrong = f"{(int(code) + 1 + number) % 1_000_000:06d}"
        assert phone.call("POST", "me/email/verification", {"code": wrong}).status_code == 422
    assert phone.call("POST", "me/email/verification", {"code": code}).status_code == 422
    phone.call("PUT", "me/email", {"address": "lin@example.com"})
    code = send_codes(core)[-1]
    clock.move(timedelta(minutes=16))
    assert phone.call("POST", "me/email/verification", {"code": code}).status_code == 422
    assert phone.call("PUT", "me/email", {"address": "a@example.com"}).status_code == 200
    assert phone.call("PUT", "me/email", {"address": "b@example.com"}).status_code == 429
    clock.move(timedelta(minutes=60))
    assert phone.call("PUT", "me/email", {"address": "b@example.com"}).status_code == 200


def test_the_survivor_of_a_merge_keeps_its_own_address(core: Core):
    def work(session):
        first, second, third = (a_member(session, now=NOW) for _ in range(3))
        emails.give(session, first, "first@example.com", now=NOW)
        merge(session, first, second, reason="same", actor=SYSTEM, now=NOW)
        assert emails.address_of(session, second) == "first@example.com"
        emails.give(session, third, "third@example.com", now=NOW)
        merge(session, third, second, reason="same", actor=SYSTEM, now=NOW)
        assert emails.address_of(session, second) == "first@example.com"
        assert emails.address_of(session, third) is None

    core.db.run(work)
