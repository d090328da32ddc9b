"""Signing in: two steps, one answer for every refusal, a lock after failures, codes that work once, sessions that end."""

from __future__ import annotations

from datetime import timedelta

import pyotp
import pytest

from server.kernel.actors import SystemActor
from server.staff import queries, rules, service
from tests.admin.conftest import SECRETS, open_account, sign_in, token_of

pytestmark = pytest.mark.committing
ACCOUNT = SECRETS["operations"]
ACTOR = SystemActor("tests")


def first_step(client, email=ACCOUNT.email, password=ACCOUNT.password):
    return client.post("/admin/login/", data={"email": email, "password": password, "csrf_token": token_of(client)})


def second_step(client, code):
    return client.post("/admin/login/code", data={"code": code, "csrf_token": token_of(client, "/admin/login/code")})


def code_now(core) -> str:
    return pyotp.TOTP(ACCOUNT.totp_secret).at(core.clock.now())


def test_a_wrong_password_an_unknown_address_and_a_locked_account_get_the_same_answer(app, core):
    open_account(core, "operations")
    client = app.test_client()
    answers = [first_step(client, password="wrong"), first_step(client, email="nobody@example.com")]
    for _ in range(rules.MAX_FAILURES):
        first_step(client, password="wrong")
    answers.append(first_step(client))
    texts = {answer.get_data(as_text=True).count("邮箱、密码或动态码有误") for answer in answers}
    assert {answer.status_code for answer in answers} == {401}
    assert texts == {1}
    core.clock.move(rules.LOCK_TIME + timedelta(seconds=1))
    assert first_step(client).status_code == 302


def test_a_password_alone_opens_nothing(app, core):
    open_account(core, "operations")
    client = app.test_client()
    assert first_step(client).headers["Location"] == "/admin/login/code"
    assert client.get("/admin/").status_code == 302
    assert second_step(client, "000000").status_code == 401
    assert client.get("/admin/").status_code == 302
    core.clock.move(timedelta(minutes=11))
    assert client.get("/admin/login/code").headers["Location"] == "/admin/login/"


def test_a_code_seen_over_the_shoulder_does_not_work_again(app, core):
    open_account(core, "operations")
    one, two = app.test_client(), app.test_client()
    code = code_now(core)
    first_step(one)
    first_step(two)
    assert second_step(one, code).status_code == 302
    assert second_step(two, code).status_code == 401
    assert two.get("/admin/").status_code == 302


def test_after_the_log_in_one_goes_on_to_where_one_wanted_to_and_never_to_another_site(app, core):
    open_account(core, "operations")
    for wanted, expected in (("/admin/account/", "/admin/account/"), ("https://evil.example/", "/admin/"), ("//evil.example", "/admin/")):
        core.clock.move(timedelta(minutes=1))
        client = app.test_client()
        client.get("/admin/login/", query_string={"next": wanted})
        first_step(client)
        assert second_step(client, code_now(core)).headers["Location"] == expected


def test_a_new_account_must_set_its_second_factor_up(app, core):
    core.db.run(
        lambda session: service.create(
            session,
            email="new@example.com",
            name="新同事",
            password="kqzv-7712-Berg-hain",
            roles=["service"],
            actor=ACTOR,
            reason="joins",
            now=core.clock.now(),
        )
    )
    client = app.test_client()
    answer = first_step(client, "new@example.com", "kqzv-7712-Berg-hain")
    assert answer.headers["Location"] == "/admin/login/second-factor"
    assert client.get("/admin/login/code").headers["Location"] == "/admin/login/second-factor"
    page = client.get("/admin/login/second-factor").get_data(as_text=True)
    secret = page.split('class="secret">')[1].split("<")[0].replace(" ", "")
    data = {"code": "000000", "csrf_token": token_of(client, "/admin/login/second-factor")}
    assert client.post("/admin/login/second-factor", data=data).status_code == 401
    data = {"code": pyotp.TOTP(secret).at(core.clock.now()), "csrf_token": token_of(client, "/admin/login/second-factor")}
    answer = client.post("/admin/login/second-factor", data=data)
    assert answer.status_code == 200
    assert answer.get_data(as_text=True).count("<li>") == rules.RECOVERY_CODES
    assert client.get("/admin/").status_code == 200
    assert client.get("/admin/login/second-factor").status_code == 302


def test_a_session_ends_when_idle_and_at_the_latest_after_its_life(app, core):
    open_account(core, "operations")
    client = sign_in(app.test_client(), core, "operations")
    core.clock.move(rules.SESSION_IDLE + timedelta(minutes=1))
    assert client.get("/admin/").status_code == 302
    client = sign_in(app.test_client(), core, "operations")
    for _ in range(8):
        core.clock.move(timedelta(minutes=90))
        client.get("/admin/")
    assert client.get("/admin/").status_code == 200
    core.clock.move(timedelta(minutes=1))
    assert client.get("/admin/").status_code == 302


def test_switching_an_account_off_or_changing_its_roles_counts_from_the_next_click(app, core):
    open_account(core, "operations")
    client = sign_in(app.test_client(), core, "operations")
    with core.db.reading() as session:
        staff_id = queries.login_account(session, ACCOUNT.email).id
    core.db.run(lambda s: service.assign_roles(s, staff_id, ["auditor"], actor=ACTOR, reason="moves", now=core.clock.now()))
    assert client.get("/admin/audit/").status_code == 200
    core.db.run(lambda s: service.disable(s, staff_id, actor=ACTOR, reason="leaves", now=core.clock.now()))
    assert client.get("/admin/audit/").status_code == 302


def test_signing_out_ends_the_session_and_everywhere_ends_all(app, core):
    open_account(core, "operations")
    one = sign_in(app.test_client(), core, "operations")
    core.clock.move(timedelta(minutes=1))
    two = sign_in(app.test_client(), core, "operations")
    assert one.post("/admin/login/out", data={"csrf_token": token_of(one, "/admin/account/")}).status_code == 302
    assert one.get("/admin/").status_code == 302
    assert two.get("/admin/").status_code == 200
    core.clock.move(timedelta(minutes=1))
    three = sign_in(app.test_client(), core, "operations")
    three.post("/admin/account/sign-out-everywhere", data={"csrf_token": token_of(three, "/admin/account/")})
    assert two.get("/admin/").status_code == 302
    assert three.get("/admin/").status_code == 302


def test_changing_ones_password_needs_the_present_one_and_ends_other_sessions(app, core):
    open_account(core, "operations")
    other = sign_in(app.test_client(), core, "operations")
    core.clock.move(timedelta(minutes=1))
    client = sign_in(app.test_client(), core, "operations")

    def change(present, new):
        token = token_of(client, "/admin/account/password")
        return client.post("/admin/account/password", data={"present": present, "password": new, "csrf_token": token})

    assert change("wrong", "mossy-Quartz-2211").status_code == 422
    assert change(ACCOUNT.password, "12345678910").status_code == 422
    assert change(ACCOUNT.password, "mossy-Quartz-2211").status_code == 302
    assert client.get("/admin/").status_code == 200
    assert other.get("/admin/").status_code == 302


def test_production_refuses_the_demonstrations_accounts(app, core, monkeypatch):
    open_account(core, "operations")
    monkeypatch.setattr(type(core.settings), "production", property(lambda self: True))
    client = app.test_client()
    token = token_of(client)
    assert ACCOUNT.password not in client.get("/admin/login/").get_data(as_text=True)
    answer = client.post("/admin/login/", data={"email": ACCOUNT.email, "password": ACCOUNT.password, "csrf_token": token})
    assert answer.status_code == 401
    assert "max-age=31536000" in answer.headers["Strict-Transport-Security"]


def test_the_codes_of_the_demonstration_are_offered_in_development_only_to_its_accounts(app, core):
    open_account(core, "operations")
    client = app.test_client()
    first_step(client)
    assert code_now(core) in client.get("/admin/login/code").get_data(as_text=True)
