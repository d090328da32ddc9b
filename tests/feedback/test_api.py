"""The member's tickets over HTTP."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from server.feedback import service
from server.wechat.errors import WeChatUnavailableError
from tests.factories.feedback import Caller, a_caller, a_picture, an_agent

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from server.bootstrap import Core


@pytest.fixture
def member(core: Core) -> Caller:
    return a_caller(core)


def post(client: FlaskClient, who: Caller, path: str, body: dict[str, Any], key: str | None = "key-1") -> Any:
    headers = {**who.headers, **({"Idempotency-Key": key} if key else {})}
    return client.post(f"/api/v1/{path}", json=body, headers=headers)


def upload(client: FlaskClient, who: Caller, data: bytes | None = None, purpose: str = "ticket") -> Any:
    file = (io.BytesIO(a_picture() if data is None else data), "photo.png")
    return client.post("/api/v1/uploads", data={"file": file, "purpose": purpose}, headers=who.headers)


def test_a_ticket_with_photo_is_opened_answered_and_rated_once(client: FlaskClient, core: Core, member: Caller) -> None:
    picture = upload(client, member)
    assert picture.status_code == 201, picture.text
    opened = post(client, member, "tickets", {"category": "logistics", "content": "外箱破了", "upload_ids": [picture.json["upload_id"]]})
    assert opened.status_code == 201, opened.text
    number = opened.json["ticket_no"]
    assert opened.json["state"] == "open"
    assert [step["step"] for step in opened.json["progress"]] == ["received", "assigned", "working", "answered", "closed"]
    assert client.get(opened.json["messages"][0]["uploads"][0]["url"]).content_type == "image/png"

    core.db.run(lambda session: service.reply(session, number, "马上补发", actor=an_agent(), now=core.clock.now()))
    seen = client.get(f"/api/v1/tickets/{number}", headers=member.headers).json
    assert seen["state"] == "answered"
    assert [message["author"] for message in seen["messages"]] == ["member", "staff"]
    rated = post(client, member, f"tickets/{number}/rating", {"score": 5, "comment": "很快"}, key="r1")
    assert (rated.status_code, rated.json["rating"]["score"]) == (201, 5)
    again = post(client, member, f"tickets/{number}/rating", {"score": 1}, key="r2")
    assert (again.status_code, again.json["code"]) == (409, "already_rated")


def test_the_same_key_opens_one_ticket(client: FlaskClient, member: Caller) -> None:
    first = post(client, member, "tickets", {"content": "没有收到货"})
    second = post(client, member, "tickets", {"content": "没有收到货"})
    assert second.data == first.data
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(client.get("/api/v1/tickets", headers=member.headers).json["items"]) == 1


def test_a_ticket_needs_a_key(client: FlaskClient, member: Caller) -> None:
    refused = post(client, member, "tickets", {"content": "没有收到货"}, key=None)
    assert (refused.status_code, refused.json["code"]) == (400, "idempotency_key_required")


def test_somebody_elses_ticket_is_not_there(client: FlaskClient, core: Core, member: Caller) -> None:
    number = post(client, member, "tickets", {"content": "没有收到货"}).json["ticket_no"]
    stranger = a_caller(core, "openid-two")
    assert client.get(f"/api/v1/tickets/{number}", headers=stranger.headers).status_code == 404
    for path, body in (("messages", {"content": "x"}), ("rating", {"score": 1}), ("reopening", {})):
        assert post(client, stranger, f"tickets/{number}/{path}", body).status_code == 404


def test_somebody_elses_picture_cannot_be_attached(client: FlaskClient, core: Core, member: Caller) -> None:
    theirs = upload(client, a_caller(core, "openid-two")).json["upload_id"]
    refused = post(client, member, "tickets", {"content": "看图", "upload_ids": [theirs]})
    assert (refused.status_code, refused.json["code"]) == (404, "upload_not_found")
    assert client.get("/api/v1/tickets", headers=member.headers).json["items"] == []


def test_a_risky_text_is_refused_and_opens_nothing(client: FlaskClient, core: Core, member: Caller) -> None:
    core.wechat.risky_words.append("违禁")
    refused = post(client, member, "tickets", {"content": "违禁内容"})
    assert (refused.status_code, refused.json["code"]) == (422, "content_refused")
    assert client.get("/api/v1/tickets", headers=member.headers).json["items"] == []


def test_a_ticket_is_taken_in_for_review_when_wechat_is_away(
    client: FlaskClient, core: Core, member: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: object, **_more: object) -> None:
        raise WeChatUnavailableError

    monkeypatch.setattr(core.wechat, "check_text", away)
    opened = post(client, member, "tickets", {"content": "没有收到货"})
    assert opened.status_code == 201
    from server.feedback import queries

    with core.db.reading() as session:
        assert queries.find(session, opened.json["ticket_no"]).needs_review


@pytest.mark.parametrize(
    "body",
    [{}, {"content": ""}, {"content": "x" * 2001}, {"content": "x", "category": "nonsense"}, {"content": "x", "upload_ids": ["no"]}],
)
def test_a_body_that_cannot_be_a_ticket_is_refused(client: FlaskClient, member: Caller, body: dict[str, Any]) -> None:
    assert post(client, member, "tickets", body).status_code == 422


def test_an_unknown_order_is_refused(client: FlaskClient, member: Caller) -> None:
    refused = post(client, member, "tickets", {"content": "没到", "order_no": "2606150000000000"})
    assert refused.status_code == 422
    assert refused.json["errors"][0]["field"] == "order_no"


def test_an_upload_without_file_or_with_a_wrong_purpose_is_refused(client: FlaskClient, member: Caller) -> None:
    assert client.post("/api/v1/uploads", data={"purpose": "ticket"}, headers=member.headers).status_code == 422
    assert upload(client, member, purpose="reply").status_code == 422
    assert client.post("/api/v1/uploads", headers={}).status_code == 401


def test_a_reopening_starts_a_new_round_that_can_be_rated_again(client: FlaskClient, core: Core, member: Caller) -> None:
    number = post(client, member, "tickets", {"content": "没有收到货"}).json["ticket_no"]
    core.db.run(lambda session: service.reply(session, number, "已补发", actor=an_agent(), now=core.clock.now()))
    assert post(client, member, f"tickets/{number}/rating", {"score": 2}, key="a").status_code == 201
    core.db.run(lambda session: service.close(session, number, actor=an_agent(), now=core.clock.now()))
    assert post(client, member, f"tickets/{number}/messages", {"content": "还是没到"}, key="b").json["code"] == "ticket_closed"
    reopened = post(client, member, f"tickets/{number}/reopening", {"content": "还是没到"}, key="c")
    assert (reopened.status_code, reopened.json["state"], reopened.json["rating"]) == (200, "reopened", None)
    core.db.run(lambda session: service.reply(session, number, "再次补发", actor=an_agent(), now=core.clock.now()))
    assert post(client, member, f"tickets/{number}/rating", {"score": 4}, key="d").status_code == 201


def test_an_avatar_is_made_small_and_becomes_the_members(client: FlaskClient, core: Core, member: Caller) -> None:
    large = a_picture("JPEG", size=(1200, 900))
    answer = client.put("/api/v1/me/avatar", data={"file": (io.BytesIO(large), "me.jpg")}, headers=member.headers)
    assert answer.status_code == 200, answer.text
    from server.files import queries as files
    from server.members import queries as members

    with core.db.reading() as session:
        avatar = members.require(session, member.member_id).avatar_upload_id
        assert avatar is not None
        assert str(avatar) == answer.json["upload_id"]
        assert files.owned(session, member.member_id, [avatar])[0].width == 512
    refused = client.put("/api/v1/me/avatar", data={"file": (io.BytesIO(b"<svg/>"), "me.jpg")}, headers=member.headers)
    assert refused.status_code == 415
    gone = client.put("/api/v1/me/avatar", json={"upload_id": None}, headers=member.headers)
    assert (gone.status_code, gone.json) == (200, {"upload_id": None, "url": None})
    chosen = client.put("/api/v1/me/avatar", json={"upload_id": answer.json["upload_id"]}, headers=member.headers)
    assert chosen.json["upload_id"] == answer.json["upload_id"]
    assert client.put("/api/v1/me/avatar", json={}, headers=member.headers).status_code == 422
    assert client.put("/api/v1/me/avatar", headers=member.headers).status_code == 422
