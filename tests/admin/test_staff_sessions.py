"""Where staff are signed in: the list, ending one of one's own, and the security officer ending another person's."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from admin.staff_sessions import device_words
from server.staff import queries
from tests.admin.conftest import SECRETS, sign_in, token_of

pytestmark = pytest.mark.committing
PHONE = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 MicroMessenger/8.0.50"}
END = re.compile(r"/admin/(?:account|staff/[0-9a-f-]+)/sessions/[0-9a-f-]+/end")


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge · Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 15_0) Version/18.0 Safari/605.1", "Safari · macOS"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36", "Chrome · Android"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0", "Firefox · Linux"),
        ("curl/8.0", "未知设备"),
        ("", "未知设备"),
    ],
)
def test_a_browser_is_named_in_a_few_words(app, agent, words):
    with app.test_request_context("/admin/"):
        assert device_words(agent) == words


def test_one_ends_another_of_ones_own_sessions_and_stays_signed_in(app, core, clock, signed_in_as):
    here = signed_in_as("service")
    clock.move(timedelta(minutes=1))  # a one-time code works once
    there = app.test_client()
    there.environ_base["HTTP_USER_AGENT"] = PHONE["User-Agent"]
    sign_in(there, core, "service")
    page = here.get("/admin/account/").get_data(as_text=True)
    assert "微信 · iOS" in page
    assert "本机" in page
    addresses = END.findall(page)
    assert len(addresses) == 1
    assert there.get("/admin/").status_code == 200
    assert here.post(addresses[0], data={"csrf_token": token_of(here, "/admin/account/")}).status_code == 302
    assert there.get("/admin/").headers["Location"].startswith("/admin/login/")
    assert here.get("/admin/account/").status_code == 200
    assert END.findall(here.get("/admin/account/").get_data(as_text=True)) == []


def test_the_security_officer_ends_another_persons_session_with_a_reason(core, signed_in_as):
    clerk, officer = signed_in_as("store"), signed_in_as("security")
    with core.db.reading() as session:
        staff_id = queries.list_accounts(session, text=SECRETS["store"].email).items[0].id
    page = officer.get(f"/admin/staff/{staff_id}").get_data(as_text=True)
    address = END.findall(page)[0]
    token = token_of(officer, "/admin/account/")
    officer.post(address, data={"csrf_token": token, "reason": " "})
    assert clerk.get("/admin/").status_code == 200
    officer.post(address, data={"csrf_token": token, "reason": "telephone lost"})
    assert clerk.get("/admin/").headers["Location"].startswith("/admin/login/")
    assert "telephone lost" in officer.get(f"/admin/staff/{staff_id}").get_data(as_text=True)


def test_an_auditor_sees_sessions_and_ends_none(core, signed_in_as):
    signed_in_as("store")
    auditor = signed_in_as("auditor")
    with core.db.reading() as session:
        staff_id = queries.list_accounts(session, text=SECRETS["store"].email).items[0].id
    page = auditor.get(f"/admin/staff/{staff_id}").get_data(as_text=True)
    assert "登录设备" in page
    assert END.findall(page) == []


def test_signing_out_ends_the_session_for_a_stolen_cookie_too(app, signed_in_as):
    client = signed_in_as("service")
    stolen = client.get_cookie("session").value
    assert client.post("/admin/login/out", data={"csrf_token": token_of(client, "/admin/account/")}).status_code == 302
    thief = app.test_client()
    thief.set_cookie("session", stolen)
    assert thief.get("/admin/").headers["Location"].startswith("/admin/login/")
