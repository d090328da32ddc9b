"""The adapter against the emulator, over real HTTP."""

from __future__ import annotations

import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from server.wechat.calls import client
from server.wechat.emulator.platform import Fault
from server.wechat.errors import (
    LoginCodeInvalidError,
    PhoneCodeInvalidError,
    UserBlockedError,
    WeChatMisconfiguredError,
    WeChatRejectedError,
    WeChatUnavailableError,
)
from server.wechat.gateway import Suggestion
from server.wechat.wechatpy_gateway import WeChatPyGateway
from tests.wechat.conftest import APPID, SECRET, Emulator

TEMPLATE = "demo-tmpl-ticket-answered"
DATA = {"character_string1": "T1", "thing2": "已回复", "time3": "2026年06月15日 12:00"}
SEND = "/cgi-bin/message/subscribe/send"


@pytest.mark.requirement("MEM1")
def test_a_login_code_gives_the_person_once(emulator: Emulator) -> None:
    code, openid = emulator.platform.mint_code("o1", "u1")
    gateway = emulator.gateway()
    session = gateway.code_to_session(code)
    assert (session.openid, session.unionid) == (openid, "u1")
    with pytest.raises(LoginCodeInvalidError):
        gateway.code_to_session(code)
    with pytest.raises(LoginCodeInvalidError):
        gateway.code_to_session("never-minted")


def test_login_needs_no_access_token(emulator: Emulator) -> None:
    code, _ = emulator.platform.mint_code(None, None)
    emulator.gateway().code_to_session(code)
    assert emulator.platform.token_fetches == 0


def test_a_blocked_user_is_told_apart(emulator: Emulator) -> None:
    emulator.platform.faults.append(Fault("/sns/jscode2session", 1, errcode=40226))
    with pytest.raises(UserBlockedError):
        emulator.gateway().code_to_session("any")


@pytest.mark.requirement("MEM2")
def test_a_phone_code_gives_the_number_in_e164_once(emulator: Emulator) -> None:
    code = emulator.platform.mint_phone_code("13800138000")
    gateway = emulator.gateway()
    assert gateway.phone_number(code) == "+8613800138000"
    with pytest.raises(PhoneCodeInvalidError):
        gateway.phone_number(code)


def test_a_message_is_sent_once_for_each_acceptance(emulator: Emulator) -> None:
    emulator.platform.popup("o1", TEMPLATE, accept=True)
    gateway = emulator.gateway()
    sent = gateway.send_subscribe_message("o1", TEMPLATE, DATA, "pages/tickets/detail")
    assert sent.msg_id == emulator.platform.messages()[0].msg_id
    assert int(sent.msg_id or 0) > 2**53
    with pytest.raises(WeChatRejectedError) as refused:
        gateway.send_subscribe_message("o1", TEMPLATE, DATA)
    assert refused.value.errcode == 43101


def test_a_wrong_field_is_named(emulator: Emulator) -> None:
    with pytest.raises(WeChatRejectedError) as refused:
        emulator.gateway().send_subscribe_message("o1", TEMPLATE, DATA | {"thing2": "字" * 21})
    assert (refused.value.errcode, refused.value.field) == (47003, "thing2")
    assert refused.value.rid


@pytest.mark.parametrize("expire", [True, False])
def test_a_token_that_died_is_replaced_within_the_call(emulator: Emulator, expire: bool) -> None:
    gateway = emulator.gateway()
    assert gateway.check_text("o1", "你好").passed
    emulator.platform.revoke_tokens(expire=expire)
    assert gateway.check_text("o1", "你好").passed
    assert emulator.platform.token_fetches == 2


def test_a_token_that_is_never_right_is_tried_twice_and_no_more(emulator: Emulator) -> None:
    emulator.platform.faults.append(Fault("/wxa/msg_sec_check", 99, errcode=40001))
    with pytest.raises(WeChatMisconfiguredError):
        emulator.gateway().check_text("o1", "你好")
    assert [call.path for call in emulator.platform.calls].count("/wxa/msg_sec_check") == 2


def test_threads_without_a_token_fetch_one(emulator: Emulator) -> None:
    gateway = emulator.gateway()
    with ThreadPoolExecutor(8) as pool:
        assert all(v.passed for v in pool.map(lambda n: gateway.check_text("o1", f"你好{n}"), range(16)))
    assert emulator.platform.token_fetches == 1


def test_a_wrong_secret_is_our_own_fault_and_stays_secret(emulator: Emulator) -> None:
    gateway = emulator.gateway(secret=SECRET + "x")
    with pytest.raises(WeChatMisconfiguredError) as refused:
        gateway.check_text("o1", "你好")
    assert SECRET not in _everything(refused.value)


def test_a_risky_text_is_told_and_an_answer_not_understood_is_no_pass(emulator: Emulator) -> None:
    gateway = emulator.gateway()
    assert gateway.check_text("o1", "代开发票").suggestion is Suggestion.RISKY
    emulator.platform.faults.append(Fault("/wxa/msg_sec_check", 1, errcode=0))
    assert not gateway.check_text("o1", "你好").passed


def test_a_code_image_comes_back_and_a_bad_page_is_refused(emulator: Emulator) -> None:
    assert emulator.gateway().qr_code("m=abc", "pages/index").startswith(b"\x89PNG")
    with pytest.raises(WeChatRejectedError):
        emulator.gateway().qr_code("m=abc", "/pages/index")


def test_busy_and_quota_are_certainly_not_done(emulator: Emulator) -> None:
    for errcode in (-1, 45009):
        emulator.platform.faults.append(Fault(SEND, 1, errcode=errcode))
        with pytest.raises(WeChatUnavailableError) as failed:
            emulator.gateway().send_subscribe_message("o1", TEMPLATE, DATA)
        assert failed.value.certainly_not_done


@pytest.mark.parametrize(("status", "certain"), [(502, False), (404, True), (200, False)])
def test_a_proxys_page_is_no_answer(emulator: Emulator, status: int, certain: bool) -> None:
    emulator.platform.faults.append(Fault(SEND, 1, status=status))
    with pytest.raises(WeChatUnavailableError) as failed:
        emulator.gateway().send_subscribe_message("o1", TEMPLATE, DATA)
    assert failed.value.certainly_not_done is certain


def test_a_timeout_leaves_it_open_whether_the_message_went(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "READ_SECONDS", 0.2)
    emulator.platform.faults.append(Fault(SEND, 1, delay_seconds=0.6))
    with pytest.raises(WeChatUnavailableError) as failed:
        emulator.gateway().send_subscribe_message("o1", TEMPLATE, DATA)
    assert failed.value.reason == "timeout"
    assert not failed.value.certainly_not_done
    assert "access_token" not in _everything(failed.value)


def test_a_timeout_of_the_token_means_the_message_never_left(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "READ_SECONDS", 0.2)
    emulator.platform.faults.append(Fault("/cgi-bin/stable_token", 1, delay_seconds=0.6))
    with pytest.raises(WeChatUnavailableError) as failed:
        emulator.gateway().send_subscribe_message("o1", TEMPLATE, DATA)
    assert failed.value.certainly_not_done


def test_nobody_at_the_address_means_nothing_was_done() -> None:
    gateway = WeChatPyGateway(APPID, SECRET, base_url="http://127.0.0.1:9/")
    code = "canary-code"
    with pytest.raises(WeChatUnavailableError) as failed:
        gateway.code_to_session(code)
    assert failed.value.certainly_not_done
    assert SECRET not in _everything(failed.value)
    assert code not in _everything(failed.value)


def _everything(error: BaseException) -> str:
    """Return all that a log of this error could show."""
    seen, texts = [error], ["".join(traceback.format_exception(error))]
    for link in seen:
        texts.append(repr(link) + repr(vars(link)))
        seen += [other for other in (link.__cause__, link.__context__) if other is not None]
    return " ".join(texts)
