"""Each provider's answers in our own words, and nothing secret in what is said about a failure."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest
import requests

from config.settings import UnsafeSettingsError, load_settings
from server.kernel.clock import MovableClock
from server.sms import aliyun, network, tencent
from server.sms.choice import sms_providers
from server.sms.errors import SmsCallbackMalformedError, SmsMisconfiguredError, SmsRejectedError, SmsUnavailableError
from server.sms.gateway import SmsText, segments_of
from server.sms.numbers import e164
from server.sms.standin import LocalSms

PHONE = "+8613800138000"
TEXT = SmsText(PHONE, "SMS_1", {"order": "2606", "carrier": "顺丰"}, "0190-ref", "【会伴】您的订单已发货")
NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
SECRET = "a-very-secret-key"


def an_aliyun(url: str) -> aliyun.AliyunSms:
    return aliyun.AliyunSms(key_id="key-id", key_secret=SECRET, sign_name="会伴", base_url=url, clock=MovableClock(NOW))


def a_tencent(url: str) -> tencent.TencentSms:
    return tencent.TencentSms(
        secret_id="secret-id",
        secret_key=SECRET,
        sdk_app_id="1400",
        sign_name="会伴",
        region="ap-guangzhou",
        base_url=url,
        clock=MovableClock(NOW),
    )


MAKERS = {"aliyun": an_aliyun, "tencent": a_tencent}


def refusal_of(maker, provider) -> Exception:
    with pytest.raises((SmsUnavailableError, SmsRejectedError, SmsMisconfiguredError)) as caught:
        maker(provider.url).send(TEXT)
    told = "".join(traceback.format_exception(caught.value))
    assert not any(secret in told for secret in ("13800138000", SECRET, "顺丰", "key-id"))
    return caught.value


def test_aliyun_takes_a_message_in(provider):
    provider.answer = {"Code": "OK", "BizId": "biz-1", "RequestId": "r", "Message": "OK"}
    sent = an_aliyun(provider.url).send(TEXT)
    assert (sent.provider, sent.message_id, sent.segments) == ("aliyun", "biz-1", 1)
    asked = provider.seen[0]
    form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
    assert form["PhoneNumbers"] == "13800138000"
    assert form["TemplateCode"] == "SMS_1"
    assert form["OutId"] == TEXT.reference
    assert json.loads(form["TemplateParam"]) == dict(TEXT.params)
    assert asked.path == "/"
    headers = {name.lower(): value for name, value in asked.headers.items()}
    assert headers["x-acs-date"] == "2026-06-15T04:00:00Z"
    again = aliyun.authorization(
        key_id="key-id",
        key_secret=SECRET,
        method="POST",
        query="",
        body=asked.body,
        headers={name: value for name, value in headers.items() if name in {"host", "content-type"} or name.startswith("x-acs-")},
    )
    assert headers["authorization"] == again


def test_tencent_cloud_takes_a_message_in(provider):
    provider.answer = {"Response": {"SendStatusSet": [{"Code": "Ok", "SerialNo": "sid-1", "Fee": 2}], "RequestId": "r"}}
    sent = a_tencent(provider.url).send(TEXT)
    assert (sent.provider, sent.message_id, sent.segments) == ("tencent", "sid-1", 2)
    document = json.loads(provider.seen[0].body)
    assert document["PhoneNumberSet"] == [PHONE]
    assert document["TemplateParamSet"] == ["2606", "顺丰"]
    assert provider.seen[0].headers["X-TC-Timestamp"] == str(int(NOW.timestamp()))


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("isv.MOBILE_NUMBER_ILLEGAL", SmsRejectedError, "bad_number"),
        ("isv.BLACK_KEY_CONTROL_LIMIT", SmsRejectedError, "content"),
        ("isv.AMOUNT_NOT_ENOUGH", SmsMisconfiguredError, None),
        ("isv.SMS_TEMPLATE_ILLEGAL", SmsMisconfiguredError, None),
        ("SignatureDoesNotMatch", SmsMisconfiguredError, None),
        ("isv.BUSINESS_LIMIT_CONTROL", SmsUnavailableError, "too_often"),
        ("Throttling.User", SmsUnavailableError, "busy"),
        ("isp.SYSTEM_ERROR", SmsUnavailableError, "system_error"),
    ],
)
def test_what_aliyun_refuses_has_a_class(provider, code, kind, reason):
    provider.answer = {"Code": code, "Message": f"about {PHONE}"}
    provider.status = 400 if code.startswith(("Sig", "Thr")) else 200
    error = refusal_of(an_aliyun, provider)
    assert isinstance(error, kind)
    assert getattr(error, "reason", None) == reason
    if isinstance(error, SmsUnavailableError):
        assert error.certainly_not_done is (code != "isp.SYSTEM_ERROR")


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("InvalidParameterValue.IncorrectPhoneNumber", SmsRejectedError, "bad_number"),
        ("FailedOperation.PhoneNumberInBlacklist", SmsRejectedError, "blocked"),
        ("FailedOperation.InsufficientBalanceInSmsPackage", SmsMisconfiguredError, None),
        ("FailedOperation.TemplateIncorrectOrUnapproved", SmsMisconfiguredError, None),
        ("LimitExceeded.PhoneNumberDailyLimit", SmsUnavailableError, "too_often"),
        ("LimitExceeded.AppDailyLimit", SmsUnavailableError, "quota"),
        ("InternalError.Timeout", SmsUnavailableError, "system_error"),
    ],
)
def test_what_tencent_cloud_refuses_has_a_class(provider, code, kind, reason):
    provider.answer = {"Response": {"SendStatusSet": [{"Code": code, "Message": PHONE}]}}
    error = refusal_of(a_tencent, provider)
    assert isinstance(error, kind)
    assert getattr(error, "reason", None) == reason
    if isinstance(error, SmsUnavailableError):
        assert error.certainly_not_done is not code.startswith("InternalError")


def test_tencent_cloud_refuses_the_whole_call(provider):
    provider.answer = {"Response": {"Error": {"Code": "AuthFailure.SignatureFailure", "Message": PHONE}, "RequestId": "r"}}
    assert isinstance(refusal_of(a_tencent, provider), SmsMisconfiguredError)


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    ("status", "answer", "certain"),
    [
        (502, b"<html>bad gateway</html>", False),
        (403, b"<html>forbidden</html>", True),
        (200, b"<html>log in</html>", False),
        (200, {}, False),
        (200, b"[]", False),
        (503, {"Code": "ServiceUnavailable"}, False),
    ],
)
def test_an_answer_that_cannot_be_read_is_unknown_unless_it_was_turned_away(provider, maker, status, answer, certain):
    provider.status, provider.answer = status, answer
    error = refusal_of(maker, provider)
    assert isinstance(error, SmsUnavailableError)
    assert error.certainly_not_done is certain


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_a_call_that_breaks_off_is_unknown_and_one_that_never_left_is_not(provider, maker, monkeypatch):
    provider.close = True
    error = refusal_of(maker, provider)
    assert (error.reason, error.certainly_not_done) == ("broken_off", False)
    monkeypatch.setattr(network, "_TIMEOUT_SECONDS", (1, 0.2))
    provider.delay, provider.close = 0.5, False
    error = refusal_of(maker, provider)
    assert (error.reason, error.certainly_not_done) == ("timeout", False)

    def refused(*_args, **_kwargs):
        raise requests.ConnectTimeout(f"http://x/?secret={SECRET}")

    monkeypatch.setattr(network.requests, "post", refused)
    error = refusal_of(maker, provider)
    assert (error.reason, error.certainly_not_done) == ("connect", True)


def test_aliyuns_reports_and_replies_are_read():
    body = json.dumps(
        [
            {
                "phone_number": "13800138000",
                "success": True,
                "err_code": "DELIVERED",
                "biz_id": "biz-1",
                "out_id": "r",
                "sms_size": "2",
                "send_time": "2026-06-15 12:00:00",
                "report_time": "2026-06-15 12:00:03",
            },
            {
                "phone_number": "13800138000",
                "success": False,
                "err_code": "MK:0012",
                "biz_id": "biz-2",
                "report_time": "2026-06-15 12:00:04",
            },
        ]
    ).encode()
    first, second = aliyun.reports(body)
    assert (first.message_id, first.error_code, first.segments, first.phone) == ("biz-1", "0", 2, PHONE)
    assert first.occurred_at == datetime(2026, 6, 15, 4, 0, 3, tzinfo=UTC)
    assert second.error_code == "MK:0012"
    (reply,) = aliyun.replies(json.dumps([{"phone_number": "13800138000", "content": "T", "send_time": "2026-06-15 12:00:00"}]).encode())
    assert (reply.phone, reply.text) == (PHONE, "T")


def test_tencent_clouds_reports_and_replies_are_read():
    entry = {"mobile": "13800138000", "nationcode": "86", "sid": "sid-1", "user_receive_time": "2026-06-15 12:00:03"}
    body = json.dumps([entry | {"report_status": "SUCCESS"}, entry | {"report_status": "FAIL", "errmsg": "DB:0141"}]).encode()
    assert [report.error_code for report in tencent.reports(body)] == ["0", "DB:0141"]
    reply = {"mobile": "13800138000", "nationcode": "86", "text": "退订", "time": int(NOW.timestamp()), "sign": "会伴", "extend": ""}
    (read,) = tencent.replies(json.dumps(reply).encode())
    assert (read.phone, read.text, read.occurred_at) == (PHONE, "退订", NOW)


@pytest.mark.parametrize("reader", [aliyun.reports, aliyun.replies, tencent.reports, tencent.replies])
@pytest.mark.parametrize("body", [b"", b"null", b"7", b"[7]", b'[{"a": 1}]', b"{", b'[{"biz_id":"1","phone_number":"x"}]'])
def test_a_callback_that_is_none_is_refused(reader, body):
    with pytest.raises(SmsCallbackMalformedError):
        reader(body)


def test_parts_are_counted_as_they_are_charged():
    assert [segments_of("字" * length) for length in (1, 70, 71, 134, 135)] == [1, 1, 2, 2, 3]
    # A picture beyond the basic plane takes the room of two.
    assert segments_of("😀" * 36) == 2


def test_numbers_come_in_one_form():
    assert e164("13800138000") == e164("8613800138000") == e164("+8613800138000") == PHONE
    assert e164("91234567", "852") == "+85291234567"
    with pytest.raises(ValueError, match="no phone"):
        e164("x")


def test_settings_choose_the_providers_and_their_order(tmp_path):
    (standin,) = sms_providers(load_settings(data_dir=tmp_path))
    assert isinstance(standin, LocalSms)
    standin.send(TEXT)
    assert "会伴" in (tmp_path / "outbound" / "sms.jsonl").read_text(encoding="utf-8")
    known = {
        "sms_sign": "会伴",
        "aliyun_sms_key_id": "a",
        "aliyun_sms_key_secret": "b",
        "tencent_sms_secret_id": "c",
        "tencent_sms_secret_key": "d",
        "tencent_sms_app_id": "e",
    }
    both = sms_providers(load_settings(data_dir=tmp_path, sms_providers="tencent, aliyun", **known))
    assert [one.name for one in both] == ["tencent", "aliyun"]
    with pytest.raises(UnsafeSettingsError, match="HUIBAN_ALIYUN_SMS_KEY_ID"):
        load_settings(data_dir=tmp_path, sms_providers="aliyun")
    with pytest.raises(UnsafeSettingsError, match="no such provider"):
        load_settings(data_dir=tmp_path, sms_providers="pigeon")
