from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from miniprogram_api.auth import guard_of
from server.cards.models import Card
from server.kernel.outbox import OutboxEvent
from server.members.models import Member, MemberIdentity, MemberSession


def count(core, model):
    with core.db.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(model))


@pytest.mark.requirement("MEM1")
def test_a_first_log_in_makes_a_member_with_a_card_and_tells_it_once(core, log_in):
    first = log_in("o-a", invite_code="ABC", policy_version="2026-01")
    again = log_in("o-a")
    assert first.is_new
    assert not again.is_new
    assert again.member_id == first.member_id
    assert (count(core, Member), count(core, MemberIdentity), count(core, Card)) == (1, 1, 1)
    with core.db.reading() as session:
        assert session.scalars(sa.select(OutboxEvent.topic)).all() == ["members.enrolled"]
        assert session.scalar(sa.select(Member.invite_code)) == "ABC"
    consents = first.get("/api/v1/me/consents")
    assert [(item["purpose"], item["policy_version"], item["granted"]) for item in consents] == [("membership_terms", "2026-01", True)]


def test_nothing_of_an_openid_is_stored_in_the_clear(core, log_in):
    log_in("o-very-secret")
    with core.db.reading() as session:
        row = session.execute(sa.select(MemberIdentity.external_index, MemberIdentity.external_sealed)).one()
    assert "o-very-secret" not in "".join(row)


def test_a_code_works_once(api, wechat):
    code = wechat.code_for("o-a")
    assert api.post("/api/v1/auth/wechat", json={"code": code}).status_code == 200
    again = api.post("/api/v1/auth/wechat", json={"code": code})
    assert (again.status_code, again.json["code"]) == (401, "wechat_code_invalid")


def test_an_unknown_app_and_unknown_fields_are_refused_before_wechat_is_asked(core, api, wechat):
    code = wechat.code_for("o-a")
    other = api.post("/api/v1/auth/wechat", json={"code": code, "appid": "wxother"})
    assert (other.status_code, other.json["code"]) == (422, "unknown_app")
    misspelt = api.post("/api/v1/auth/wechat", json={"code": code, "invitecode": "x"})
    assert misspelt.status_code == 422
    assert misspelt.json["errors"][0]["field"] == "invitecode"
    assert count(core, Member) == 0
    assert api.post("/api/v1/auth/wechat", json={"code": code, "appid": "wxdemo0000000000"}).status_code == 200


@pytest.mark.committing
def test_two_simultaneous_first_log_ins_of_one_person_give_one_member(core, api, wechat):
    codes = [wechat.code_for("o-race") for _ in range(8)]

    def log_in(code):
        return api.application.test_client().post("/api/v1/auth/wechat", json={"code": code})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(log_in, codes))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.json["member"]["id"] for answer in answers}) == 1
    assert sum(answer.json["member"]["is_new"] for answer in answers) == 1
    assert (count(core, Member), count(core, MemberIdentity), count(core, Card), count(core, MemberSession)) == (1, 1, 1, 8)


@pytest.mark.committing
def test_one_person_in_two_apps_is_one_member_by_unionid(core, clock):
    from server.members import service

    def log_in(part):
        appid, openid = part
        return core.db.run(
            lambda session: service.login_with_wechat(session, appid=appid, openid=openid, unionid="u-1", now=clock.now()).member_id
        )

    with ThreadPoolExecutor(6) as pool:
        members = set(pool.map(log_in, [("wxone", "o-1"), ("wxtwo", "o-2"), ("wxone", "o-1"), ("wxtwo", "o-2"), ("wxthree", "o-3")]))
    assert len(members) == 1
    assert count(core, Member) == 1
    assert count(core, MemberIdentity) == 4


def test_a_token_lives_two_hours(api, log_in, clock):
    phone = log_in()
    clock.move(timedelta(hours=2, seconds=-1))
    assert phone.call("GET", "/api/v1/auth/sessions").status_code == 200
    clock.move(timedelta(seconds=1))
    late = phone.call("GET", "/api/v1/auth/sessions")
    assert (late.status_code, late.json["code"]) == (401, "token_invalid")
    assert api.get("/api/v1/me").status_code == 401
    assert api.get("/api/v1/me", headers={"Authorization": "Bearer nonsense"}).status_code == 401


def test_a_refresh_replaces_both_tokens(api, log_in, clock):
    phone = log_in()
    clock.move(timedelta(days=29))
    answer = api.post("/api/v1/auth/refresh", json={"refresh_token": phone.refresh_token})
    assert answer.status_code == 200
    assert answer.json["expires_in"] == 7200
    assert phone.call("GET", "/api/v1/auth/sessions").status_code == 401
    phone.access_token = answer.json["access_token"]
    assert len(phone.get("/api/v1/auth/sessions")["items"]) == 1
    clock.move(timedelta(days=30))
    late = api.post("/api/v1/auth/refresh", json={"refresh_token": answer.json["refresh_token"]})
    assert (late.status_code, late.json["code"]) == (401, "refresh_token_invalid")


def test_a_refresh_token_seen_again_ends_its_log_in_and_no_other(api, log_in):
    phone, other = log_in(), log_in()
    fresh = api.post("/api/v1/auth/refresh", json={"refresh_token": phone.refresh_token}).json
    again = api.post("/api/v1/auth/refresh", json={"refresh_token": phone.refresh_token})
    assert (again.status_code, again.json["code"]) == (401, "refresh_token_invalid")
    phone.access_token = fresh["access_token"]
    assert phone.call("GET", "/api/v1/me/profile").status_code == 401
    assert api.post("/api/v1/auth/refresh", json={"refresh_token": fresh["refresh_token"]}).status_code == 401
    assert other.call("GET", "/api/v1/me/profile").status_code == 200
    assert api.post("/api/v1/auth/refresh", json={"refresh_token": "never given"}).status_code == 401


@pytest.mark.committing
def test_of_many_refreshes_with_one_token_one_is_answered_and_the_family_dies(core, api, log_in):
    phone = log_in()

    def refresh(_):
        return api.application.test_client().post("/api/v1/auth/refresh", json={"refresh_token": phone.refresh_token})

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(refresh, range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 5
    with core.db.reading() as session:
        assert session.scalar(sa.select(MemberSession.revoked_because)) == "token_reused"


def test_log_out_ends_this_log_in_or_all_of_them(log_in):
    one, two, three = log_in(), log_in(), log_in()
    stranger = log_in("o-stranger")
    sessions = one.get("/api/v1/auth/sessions")["items"]
    assert len(sessions) == 3
    assert [item["current"] for item in sessions].count(True) == 1
    assert one.call("POST", "/api/v1/auth/logout").json == {"ended": 1}
    assert one.call("GET", "/api/v1/auth/sessions").status_code == 401
    other = next(item["id"] for item in two.get("/api/v1/auth/sessions")["items"] if not item["current"])
    assert stranger.call("DELETE", f"/api/v1/auth/sessions/{other}").status_code == 404
    assert two.call("DELETE", f"/api/v1/auth/sessions/{other}").status_code == 204
    assert three.call("GET", "/api/v1/auth/sessions").status_code == 401
    log_in()
    assert two.call("POST", "/api/v1/auth/logout", {"all": True}).json == {"ended": 2}
    assert stranger.call("GET", "/api/v1/auth/sessions").status_code == 200


@pytest.mark.parametrize("status", ["frozen", "deleting"])
def test_log_ins_can_be_ended_whatever_the_membership_is(core, log_in, status):
    one, two, three = log_in(), log_in(), log_in()
    core.db.run(lambda s: s.execute(sa.update(Member).values(status=status)))
    other = next(item["id"] for item in one.get("/api/v1/auth/sessions")["items"] if not item["current"])
    assert one.call("DELETE", f"/api/v1/auth/sessions/{other}").status_code == 204
    assert one.call("POST", "/api/v1/auth/logout", {"all": True}).json == {"ended": 2}
    assert [phone.call("GET", "/api/v1/auth/sessions").status_code for phone in (one, two, three)] == [401, 401, 401]


def test_a_member_keeps_at_most_twenty_log_ins(core, log_in, clock):
    for _ in range(22):
        clock.move(timedelta(seconds=1))
        phone = log_in()
    assert len(phone.get("/api/v1/auth/sessions")["items"]) == 20


def test_every_view_keeps_its_guard(api):
    app = api.application
    guards = {rule.rule: guard_of(app.view_functions[rule.endpoint]) for rule in app.url_map.iter_rules()}
    ours = {path: guard for path, guard in guards.items() if path.startswith(("/api/", "/partner/"))}
    assert ours["/api/v1/auth/wechat"] == "public"
    assert ours["/partner/v1/members/identify"] == "partner:members:read"
    assert None not in ours.values()


def test_a_bad_body_is_told_to_nobody_without_a_token(api):
    assert api.patch("/api/v1/me/profile", json={"nonsense": 1}).status_code == 401
