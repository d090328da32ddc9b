from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from miniprogram_api.v1.me import HomeOut
from server.cards import queries as card_queries
from server.kernel.actors import StaffActor
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent
from server.members import queries, service
from server.members.models import Member, MemberConsent, MemberMerge
from server.wechat import open_data
from tasks.jobs import retention
from tests.factories.members import APPID, PHONES, a_member, an_unclaimed_member

STAFF = StaffActor(uuid7(), "Lin")
WHOLE = {
    "nickname": "小满",
    "gender": "female",
    "city": "杭州",
    "interests": ["咖啡"],
    "birthday": {"calendar": "lunar", "month": 12, "day": 30},
}


def topics(core):
    with core.db.reading() as session:
        return list(session.scalars(sa.select(OutboxEvent.topic).order_by(OutboxEvent.id)))


def test_home_is_one_statement_after_the_guards(core, log_in):
    phone = log_in()
    seen = []

    def watch(_connection, _cursor, statement, *_rest):
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    event.listen(core.db.engine, "before_cursor_execute", watch)
    body = phone.get("/api/v1/me")
    event.remove(core.db.engine, "before_cursor_execute", watch)
    assert len(seen) == 2
    assert body["points"] == {"available": 0, "pending": 0, "expiring_soon": 0}
    assert body["coupons"] == {"available": 0}
    assert body["unread"] == 0
    assert body["member"]["id"] == phone.member_id
    assert len(body["card"]["card_no"]) == 12
    assert {"kind": "bind_phone", "count": 1} in body["todo"]
    assert {"kind": "complete_profile", "count": 0} in body["todo"]


@pytest.mark.requirement("MEM3")
def test_a_profile_is_completed_once_and_tells_it_once(core, log_in, wechat):
    phone = log_in()
    answer = phone.call("PATCH", "/api/v1/me/profile", WHOLE)
    assert answer.status_code == 200, answer.text
    assert answer.json["birthday"] == {"calendar": "lunar", "month": 12, "day": 30, "year": None}
    assert (answer.json["completeness"], answer.json["completed"]) == (70, False)
    assert phone.call("POST", "/api/v1/me/phone", {"code": wechat.phone_code_for(PHONES[1])}).status_code == 200
    assert phone.get("/api/v1/me/profile")["completed"] is True
    phone.call("PATCH", "/api/v1/me/profile", {"city": None})
    phone.call("PATCH", "/api/v1/me/profile", {"city": "上海"})
    assert topics(core).count("members.profile_completed") == 1
    assert {"kind": "complete_profile", "count": 90} not in phone.get("/api/v1/me")["todo"]


def test_what_a_patch_leaves_out_stays(log_in):
    phone = log_in()
    phone.call("PATCH", "/api/v1/me/profile", WHOLE)
    changed = phone.call("PATCH", "/api/v1/me/profile", {"nickname": "大满"}).json
    assert (changed["nickname"], changed["city"], changed["gender"]) == ("大满", "杭州", "female")
    assert changed["interests"] == ["咖啡"]


@pytest.mark.parametrize(
    "birthday",
    [
        {"calendar": "solar", "month": 2, "day": 30},
        {"calendar": "solar", "month": 2, "day": 29, "year": 2023},
        {"calendar": "solar", "month": 6, "day": 16, "year": 2026},
        {"calendar": "lunar", "month": 1, "day": 31},
        {"calendar": "solar", "month": 6, "day": 16, "year": 2027},
    ],
)
def test_a_birthday_that_does_not_exist_changes_nothing(log_in, birthday):
    phone = log_in()
    answer = phone.call("PATCH", "/api/v1/me/profile", {"nickname": "x", "birthday": birthday})
    assert (answer.status_code, answer.json["code"]) == (422, "birthday_invalid")
    assert phone.get("/api/v1/me/profile")["nickname"] is None


@pytest.mark.requirement("MEM4")
def test_a_second_birthday_waits_for_staff(core, log_in, clock):
    phone = log_in()
    first, second = {"calendar": "solar", "month": 2, "day": 29}, {"calendar": "solar", "month": 3, "day": 1, "year": 1990}
    assert phone.call("PATCH", "/api/v1/me/profile", {"birthday": first}).status_code == 200
    assert phone.call("PATCH", "/api/v1/me/profile", {"birthday": first}).status_code == 200
    waiting = phone.call("PATCH", "/api/v1/me/profile", {"birthday": second, "city": "宁波"})
    assert waiting.status_code == 202
    request = waiting.json["change_request"]
    assert (request["state"], request["after"]) == ("pending", second)
    assert waiting.json["birthday"]["month"] == 2
    assert waiting.json["city"] == "宁波"
    again = phone.call("PATCH", "/api/v1/me/profile", {"birthday": second, "city": "绍兴"})
    assert (again.status_code, again.json["code"]) == (409, "change_pending")
    assert phone.get("/api/v1/me/profile")["city"] == "宁波"
    assert {"kind": "birthday_request", "count": 1} in phone.get("/api/v1/me")["todo"]
    core.db.run(lambda s: service.decide_change(s, _uuid(request["id"]), approve=True, reason=None, actor=STAFF, now=clock.now()))
    profile = phone.get("/api/v1/me/profile")
    assert profile["birthday"] == second
    assert profile["change_request"]["state"] == "approved"


def _uuid(text):
    from uuid import UUID

    return UUID(text)


def test_a_refused_change_says_why_and_may_be_asked_again(core, log_in, clock):
    phone = log_in()
    phone.call("PATCH", "/api/v1/me/profile", {"birthday": {"calendar": "solar", "month": 1, "day": 1}})
    wanted = {"birthday": {"calendar": "solar", "month": 1, "day": 2}}
    request_id = _uuid(phone.call("PATCH", "/api/v1/me/profile", wanted).json["change_request"]["id"])

    def decide(reason, approve=False):
        return core.db.run(lambda s: service.decide_change(s, request_id, approve=approve, reason=reason, actor=STAFF, now=clock.now()))

    with pytest.raises(service.ReasonRequiredError):
        decide(" ")
    decide("no proof")
    with pytest.raises(service.ChangeDecidedError):
        decide(None, approve=True)
    profile = phone.get("/api/v1/me/profile")
    assert profile["birthday"]["day"] == 1
    assert profile["change_request"]["reason"] == "no proof"
    assert phone.call("PATCH", "/api/v1/me/profile", wanted).status_code == 202


@pytest.mark.requirement("MEM2")
def test_a_phone_is_bound_sealed_and_shown_masked(core, log_in, wechat):
    phone = log_in()
    answer = phone.call("POST", "/api/v1/me/phone", {"code": wechat.phone_code_for("13800138001")})
    assert answer.json == {"phone_masked": "138****8001", "merge": None}
    assert phone.call("POST", "/api/v1/me/phone", {"code": wechat.phone_code_for("+8613800138001")}).status_code == 200
    assert topics(core).count("members.phone_bound") == 1
    with core.db.reading() as session:
        row = session.execute(sa.select(Member.phone_sealed, Member.phone_index, Member.phone_tail_index)).one()
        assert queries.by_phone(session, "+8613800138001") == _uuid(phone.member_id)
    assert "8001" not in row.phone_sealed.split(".")[0]
    assert "13800138001" not in "".join(row)


def test_a_phone_code_works_once_and_a_broken_number_changes_nothing(log_in, wechat):
    phone = log_in()
    code = wechat.phone_code_for("+8613800138001")
    assert phone.call("POST", "/api/v1/me/phone", {"code": code}).status_code == 200
    assert phone.call("POST", "/api/v1/me/phone", {"code": code}).json["code"] == "wechat_phone_code_invalid"
    bad = phone.call("POST", "/api/v1/me/phone", {"code": wechat.phone_code_for("+8612")})
    assert (bad.status_code, bad.json["code"]) == (422, "phone_invalid")
    assert phone.get("/api/v1/me/profile")["phone_masked"] == "138****8001"


@pytest.mark.requirement("MEM6")
def test_binding_the_phone_of_a_till_record_joins_the_two(core, log_in, wechat, clock):
    old = core.db.run(lambda s: an_unclaimed_member(s, now=clock.now(), phone=PHONES[2], pos_id="P-7"))
    clock.move(timedelta(days=3))
    phone = log_in()
    card_no = phone.get("/api/v1/card")["card_no"]
    phone.call("PATCH", "/api/v1/me/profile", {"nickname": "小满"})
    phone.call("PUT", "/api/v1/me/consents", [{"purpose": "marketing", "policy_version": "1", "granted": True}])
    answer = phone.call("POST", "/api/v1/me/phone", {"code": wechat.phone_code_for(PHONES[2])})
    assert answer.json["merge"] == {"into": str(old), "merged": phone.member_id}
    home = phone.get("/api/v1/me")
    assert home["member"]["id"] == str(old)
    assert home["member"]["nickname"] == "小满"
    assert home["card"]["card_no"] == card_no
    assert log_in().member_id == str(old)
    with core.db.reading() as session:
        gone = queries.require(session, _uuid(phone.member_id))
        assert (gone.status, gone.merged_into, gone.phone_masked) == ("merged", old, None)
        assert queries.resolve(session, gone.id) == old
        assert queries.by_external(session, "pos", "P-7") == old
        assert queries.by_phone(session, PHONES[2]) == old
        assert queries.has_consented(session, old, "marketing")
        assert card_queries.by_card_no(session, card_no) == old
        assert session.scalar(sa.select(MemberMerge.into_id)) == old
    assert topics(core).count("members.merged") == 1


def test_the_newer_till_record_goes_into_the_member(core, log_in, wechat, clock):
    phone = log_in()
    clock.move(timedelta(days=3))
    newer = core.db.run(lambda s: an_unclaimed_member(s, now=clock.now(), phone=PHONES[2]))
    clock.move(timedelta(minutes=3))
    phone = log_in()
    phone.call("POST", "/api/v1/me/phone", {"code": wechat.phone_code_for(PHONES[1])})
    answer = phone.call("POST", "/api/v1/me/phone", {"code": wechat.phone_code_for(PHONES[2])})
    assert answer.json == {"phone_masked": "138****8002", "merge": {"into": phone.member_id, "merged": str(newer)}}
    with core.db.reading() as session:
        assert queries.by_phone(session, PHONES[1]) is None


def test_a_phone_of_another_wechat_user_needs_staff_and_changes_nothing(core, log_in, wechat, clock):
    other = core.db.run(lambda s: a_member(s, now=clock.now(), phone=PHONES[3]))
    phone = log_in()
    answer = phone.call("POST", "/api/v1/me/phone", {"code": wechat.phone_code_for(PHONES[3])})
    assert (answer.status_code, answer.json["code"]) == (409, "merge_needs_staff")
    assert phone.get("/api/v1/me")["member"]["phone_bound"] is False
    with core.db.reading() as session:
        assert queries.by_phone(session, PHONES[3]) == other
        assert session.scalar(sa.select(sa.func.count()).select_from(MemberMerge)) == 0


def test_a_frozen_record_stays_frozen_through_a_merge(core, log_in, wechat, clock):
    old = core.db.run(lambda s: an_unclaimed_member(s, now=clock.now(), phone=PHONES[2]))
    core.db.run(lambda s: service.set_status(s, old, "frozen", reason="fraud", actor=STAFF, now=clock.now()))
    clock.move(timedelta(days=1))
    phone = log_in()
    assert phone.call("POST", "/api/v1/me/phone", {"code": wechat.phone_code_for(PHONES[2])}).status_code == 200
    assert phone.get("/api/v1/me")["member"]["status"] == "frozen"
    refused = phone.call("PATCH", "/api/v1/me/profile", {"city": "x"})
    assert (refused.status_code, refused.json["code"]) == (403, "member_frozen")


@pytest.mark.committing
def test_two_members_who_bind_one_phone_at_once_do_not_both_get_it(core, api, log_in, wechat):
    phones = [log_in(f"o-{number}") for number in range(4)]
    codes = [wechat.phone_code_for(PHONES[9]) for _ in phones]

    def bind(pair):
        phone, code = pair
        return api.application.test_client().post(
            "/api/v1/me/phone", json={"code": code}, headers={"Authorization": f"Bearer {phone.access_token}"}
        )

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(bind, zip(phones, codes, strict=True)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Member).where(Member.phone_index.is_not(None))) == 1


@pytest.mark.requirement("MEM10")
def test_consents_are_versions_of_which_the_last_counts(core, log_in, clock):
    phone = log_in()
    yes = [{"purpose": "marketing", "policy_version": "1", "granted": True}]
    no = [{"purpose": "marketing", "policy_version": "1", "granted": False}]
    assert phone.call("PUT", "/api/v1/me/consents", yes).status_code == 200
    phone.call("PUT", "/api/v1/me/consents", yes)
    clock.move(timedelta(seconds=5))
    assert phone.call("PUT", "/api/v1/me/consents", no).json[0]["granted"] is False
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(MemberConsent)) == 2
        assert not queries.has_consented(session, _uuid(phone.member_id), "marketing")
    assert phone.call("PUT", "/api/v1/me/consents", [{**yes[0], "purpose": "espionage"}]).status_code == 422


def test_a_replayed_change_gets_the_first_answer_byte_for_byte(log_in):
    phone = log_in()
    first = phone.call("PATCH", "/api/v1/me/profile", WHOLE, Idempotency_Key="k-1")
    phone.call("PATCH", "/api/v1/me/profile", {"city": "嘉兴"})
    again = phone.call("PATCH", "/api/v1/me/profile", WHOLE, Idempotency_Key="k-1")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.data == first.data
    assert phone.get("/api/v1/me/profile")["city"] == "嘉兴"


def test_a_picture_must_be_ones_own(log_in):
    phone = log_in()
    answer = phone.call("PUT", "/api/v1/me/avatar", {"upload_id": str(uuid7())})
    assert answer.status_code == 404
    assert phone.get("/api/v1/me/profile")["avatar_url"] is None


def test_home_is_what_its_document_promises(log_in):
    # The answer is written without its model, so the two are held together here.
    body = log_in().get("/api/v1/me")
    assert HomeOut.model_validate(body).model_dump(mode="json") == body


def encrypted_phone(wechat, phone, *, appid=APPID, at=None, openid="o-first"):
    info = {
        "phoneNumber": phone,
        "purePhoneNumber": phone,
        "countryCode": "86",
        "watermark": {"appid": appid, "timestamp": int(at.timestamp())},
    }
    encrypted, iv = open_data.encrypt(info, wechat.session_keys[openid])
    return {"encrypted_data": encrypted, "iv": iv}


@pytest.mark.requirement("MEM2")
def test_an_older_wechat_passes_its_phone_on_encrypted(core, log_in, wechat, clock):
    phone = log_in()
    body = encrypted_phone(wechat, "13800138001", at=clock.now())
    answer = phone.call("POST", "/api/v1/me/phone", body)
    assert answer.json == {"phone_masked": "138****8001", "merge": None}
    assert phone.call("POST", "/api/v1/me/phone", body).status_code == 200
    assert topics(core).count("members.phone_bound") == 1
    with core.db.reading() as session:
        kept = session.scalars(sa.text("SELECT key_sealed FROM wechat_session_keys")).all()
    assert wechat.session_keys["o-first"] not in "".join(kept)


@pytest.mark.requirement("MEM2")
def test_an_encrypted_phone_that_is_old_foreign_or_of_another_log_in_changes_nothing(core, log_in, wechat, clock):
    phone = log_in()
    now = clock.now()
    earlier = encrypted_phone(wechat, "13800138001", at=now)
    refused = [
        encrypted_phone(wechat, "13800138001", at=now - timedelta(seconds=301)),
        encrypted_phone(wechat, "13800138001", at=now, appid="wxother"),
        encrypted_phone(wechat, "no number", at=now),
        {"encrypted_data": "AAAA", "iv": "AAAA"},
    ]
    log_in()
    refused.append(earlier)  # the log-in since has brought another key
    for body in refused:
        answer = phone.call("POST", "/api/v1/me/phone", body)
        assert (answer.status_code, answer.json["code"]) == (422, "wechat_data_invalid")
    fresh = encrypted_phone(wechat, "13800138001", at=now)
    for half in ({}, {"iv": "AAAA"}, {"encrypted_data": "AAAA"}, {"code": "c", **fresh}):
        assert phone.call("POST", "/api/v1/me/phone", half).status_code == 422
    assert phone.get("/api/v1/me/profile")["phone_masked"] is None


@pytest.mark.requirement("MEM2")
def test_a_session_key_is_kept_for_a_day(core, log_in, wechat, clock):
    phone = log_in()
    clock.move(timedelta(hours=25))
    renewed = phone.client.post("/api/v1/auth/refresh", json={"refresh_token": phone.refresh_token}).json
    phone.access_token = renewed["access_token"]
    answer = phone.call("POST", "/api/v1/me/phone", encrypted_phone(wechat, "13800138001", at=clock.now()))
    assert answer.json["code"] == "wechat_data_invalid"
    retention.forget(core, clock.now())
    with core.db.reading() as session:
        assert session.scalar(sa.text("SELECT COUNT(*) FROM wechat_session_keys")) == 0
