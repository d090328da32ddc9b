"""Every call of the adapter against the emulator, over real HTTP: session keys, upkeep, templates, links."""

from __future__ import annotations

import pytest
import requests

from server.wechat.emulator.approved import TEMPLATES
from server.wechat.emulator.platform import Fault
from server.wechat.errors import LoginCodeInvalidError, WeChatRejectedError, WeChatUnavailableError
from server.wechat.gateway.templates import Category
from tests.wechat.conftest import SECRET, Emulator

SEND = "/cgi-bin/message/subscribe/send"


@pytest.mark.requirement("MEM1")
def test_a_session_key_is_checked_and_replaced(emulator: Emulator) -> None:
    gateway = emulator.gateway()
    code, openid = emulator.platform.mint_code("o1", None)
    key = gateway.code_to_session(code).session_key or ""
    assert gateway.check_session(openid, key)
    fresh = gateway.reset_session_key(openid, key).session_key or ""
    assert fresh != key
    assert gateway.check_session(openid, fresh)
    assert not gateway.check_session(openid, key)
    with pytest.raises(LoginCodeInvalidError):
        gateway.reset_session_key(openid, key)
    with pytest.raises(LoginCodeInvalidError):
        gateway.check_session(openid, "no base64!")


def test_a_later_log_in_replaces_the_session_key(emulator: Emulator) -> None:
    gateway = emulator.gateway()
    first = gateway.code_to_session(emulator.platform.mint_code("o1", None)[0])
    gateway.code_to_session(emulator.platform.mint_code("o1", None)[0])
    assert not gateway.check_session("o1", first.session_key or "")
    assert (first.session_key or "?") not in repr(first)


def test_a_quota_is_told_and_cleared(emulator: Emulator) -> None:
    gateway = emulator.gateway()
    emulator.platform.used[SEND] = 17
    quota = gateway.quota(SEND)
    assert (quota.used, quota.left, quota.daily_limit) == (17, 10_000_000 - 17, 10_000_000)
    assert (quota.per_call_limit, quota.per_seconds) == (6000, 60)
    gateway.clear_quota()
    assert gateway.quota(SEND).used == 0
    with pytest.raises(WeChatRejectedError):
        gateway.quota("/no/such")


def test_quotas_are_cleared_ten_times_and_without_a_token(emulator: Emulator) -> None:
    gateway = emulator.gateway()
    for _ in range(10):
        gateway.clear_quota()
    assert emulator.platform.token_fetches == 0
    with pytest.raises(WeChatRejectedError) as refused:
        gateway.clear_quota()
    assert refused.value.errcode == 48006


def test_a_refused_request_is_found_by_its_number_without_the_token_in_its_address(emulator: Emulator) -> None:
    gateway = emulator.gateway()
    with pytest.raises(WeChatRejectedError) as refused:
        gateway.send_subscribe_message("o1", "nope", {})
    record = gateway.request_record(refused.value.rid or "")
    assert (record.path, record.errcode) == (SEND, 40037)
    assert "access_token" not in repr(record)
    with pytest.raises(WeChatRejectedError) as refused:
        gateway.request_record("unknown")
    assert refused.value.errcode == 76001


def test_the_accounts_templates_come_with_their_fields(emulator: Emulator) -> None:
    gateway = emulator.gateway()
    found = {one.template_id: one for one in gateway.account_templates()}
    assert set(found) == set(TEMPLATES)
    shipped = found["demo-tmpl-order-shipped"]
    assert (shipped.title, dict(shipped.fields)) == (TEMPLATES[shipped.template_id]["title"], TEMPLATES[shipped.template_id]["fields"])
    assert shipped.one_time
    assert gateway.categories()[0] == Category(307, "线下超市/便利店")
    assert [one.rule for one in gateway.keywords("demo-tmpl-tier-at-risk")] == ["thing", "number", "date"]
    with pytest.raises(WeChatRejectedError):
        gateway.keywords("0")


def test_links_open_the_mini_program(emulator: Emulator) -> None:
    gateway = emulator.gateway()
    assert gateway.url_scheme("pages/index", "a=1").startswith("weixin://")
    assert gateway.url_link("pages/index", days=1).startswith("https://")
    with pytest.raises(WeChatRejectedError):
        gateway.url_link("/pages/index")
    for days, query in ((0, ""), (31, ""), (1, "x" * 1025)):
        with pytest.raises(ValueError, match="30 days"):
            gateway.url_scheme("pages/index", query, days=days)


@pytest.mark.parametrize(
    "path", ["/cgi-bin/openapi/quota/get", "/wxaapi/newtmpl/gettemplate", "/wxa/generatescheme", "/wxa/resetusersessionkey"]
)
def test_an_answer_without_its_content_is_no_answer(emulator: Emulator, path: str) -> None:
    gateway = emulator.gateway()
    emulator.platform.faults.append(Fault(path, 1, errcode=0))
    key = gateway.code_to_session(emulator.platform.mint_code("o1", None)[0]).session_key or ""
    calls = {
        "/cgi-bin/openapi/quota/get": lambda: gateway.quota(SEND),
        "/wxaapi/newtmpl/gettemplate": gateway.account_templates,
        "/wxa/generatescheme": lambda: gateway.url_scheme("pages/index"),
        "/wxa/resetusersessionkey": lambda: gateway.reset_session_key("o1", key),
    }
    with pytest.raises(WeChatUnavailableError) as failed:
        calls[path]()
    assert failed.value.reason == "unreadable"


def test_the_token_is_told_about_without_the_token(emulator: Emulator) -> None:
    gateway = emulator.gateway()
    assert not gateway.token_state().kept
    gateway.check_text("o1", "你好")
    state = gateway.token_state()
    assert state.kept
    assert 6800 < state.left_seconds <= 6900
    assert state.age_seconds < 60


def test_an_event_of_any_kind_can_be_sent(emulator: Emulator) -> None:
    body = {"openid": "o1", "event": "user_authorization_revoke", "fields": {"RevokeInfo": "8"}}
    assert requests.post(f"{emulator.base_url}_emulator/events", json=body, timeout=5).json() == {"pushed": False}
    assert requests.post(f"{emulator.base_url}_emulator/events", json=body | {"fields": 1}, timeout=5).status_code == 422
    assert SECRET
