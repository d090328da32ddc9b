"""Tencent Cloud's short message service: SendSms (2021-01-11) under its signature TC3-HMAC-SHA256, and its HTTP callbacks.

The callbacks are not signed, so their address carries a secret of ours. Times in them are of China.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import structlog

from server.kernel.clock import Clock, SystemClock
from server.sms.errors import SmsCallbackMalformedError, SmsMisconfiguredError, SmsRejectedError, SmsUnavailableError
from server.sms.gateway import SentSms, SmsReply, SmsReport, SmsText, segments_of
from server.sms.network import post
from server.sms.numbers import e164

_log = structlog.get_logger("sms")

NAME = "tencent"
_ALGORITHM = "TC3-HMAC-SHA256"
_SERVICE = "sms"
_VERSION = "2021-01-11"
_CONTENT_TYPE = "application/json; charset=utf-8"
_ZONE = ZoneInfo("Asia/Shanghai")
_MOST_ITEMS = 500
_CODE_CHARS = 60

# What each documented refusal means to us, by its beginning. Whatever is not listed is our configuration.
_NOBODY_ELSE_EITHER = {
    "InvalidParameterValue.IncorrectPhoneNumber": "bad_number",
    "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter": "content",
    "InvalidParameterValue.TemplateParameterLengthLimit": "content",
    "InvalidParameterValue.TemplateParameterFormatError": "content",
    "InvalidParameterValue.ContentLengthLimit": "content",
    "FailedOperation.ContainSensitiveWord": "content",
    "FailedOperation.PhoneNumberInBlacklist": "blocked",
    "FailedOperation.MarketingSendTimeConstraint": "too_late",
    "UnsupportedOperation.UnsupportedRegion": "bad_number",
}
_LATER = {"LimitExceeded.PhoneNumber": "too_often", "LimitExceeded": "quota", "RequestLimitExceeded": "busy"}
_UNKNOWN = ("InternalError", "FailedOperation.FailResolvePacket")


def authorization(*, secret_id: str, secret_key: str, host: str, service: str, content_type: str, timestamp: int, body: bytes) -> str:
    """Return the ``Authorization`` of a POST to ``/``.

    Arguments:
        secret_id: of the API key.
        secret_key: signs.
        host: the service's, as it is sent.
        service: first part of the host's name.
        content_type: as it is sent.
        timestamp: Unix seconds, as sent in ``X-TC-Timestamp``.
        body: what is posted.
    """
    signed = "content-type;host"
    headers = f"content-type:{content_type}\nhost:{host}\n"
    canonical = "\n".join(("POST", "/", "", headers, signed, hashlib.sha256(body).hexdigest()))
    day = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d")
    scope = f"{day}/{service}/tc3_request"
    to_sign = f"{_ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = _mac(_mac(_mac(f"TC3{secret_key}".encode(), day), service), "tc3_request")
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{_ALGORITHM} Credential={secret_id}/{scope}, SignedHeaders={signed}, Signature={signature}"


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class TencentSms:
    """Sends through Tencent Cloud.

    Arguments:
        secret_id, secret_key: an API key that may only send text messages.
        sdk_app_id: of the application there.
        sign_name: the approved signature, without brackets.
        region: of the service.
        base_url: of the service.
        clock: tells the time that is signed.
    """

    name = NAME

    def __init__(
        self,
        *,
        secret_id: str,
        secret_key: str,
        sdk_app_id: str,
        sign_name: str,
        region: str,
        base_url: str,
        clock: Clock | None = None,
    ) -> None:
        self._secret_id = secret_id
        self._secret_key = secret_key
        self._sdk_app_id = sdk_app_id
        self._sign_name = sign_name
        self._region = region
        self._base_url = base_url.rstrip("/") + "/"
        self._clock = clock or SystemClock()

    def send(self, text: SmsText) -> SentSms:
        """Send one message. See the Protocol."""
        document = {
            "PhoneNumberSet": [text.phone],
            "SmsSdkAppId": self._sdk_app_id,
            "SignName": self._sign_name,
            "TemplateId": text.template_id,
            "TemplateParamSet": list(text.params.values()),
            "SessionContext": text.reference,
        }
        body = json.dumps(document, ensure_ascii=False).encode()
        timestamp = int(self._clock.now().timestamp())
        host = urlsplit(self._base_url).netloc
        signed = authorization(
            secret_id=self._secret_id,
            secret_key=self._secret_key,
            host=host,
            service=_SERVICE,
            content_type=_CONTENT_TYPE,
            timestamp=timestamp,
            body=body,
        )
        headers = {
            "Authorization": signed,
            "Content-Type": _CONTENT_TYPE,
            "Host": host,
            "X-TC-Action": "SendSms",
            "X-TC-Version": _VERSION,
            "X-TC-Timestamp": str(timestamp),
            "X-TC-Region": self._region,
        }
        return _sent(post(NAME, self._base_url, headers=headers, body=body), text)


def _sent(answer: Mapping[str, Any], text: SmsText) -> SentSms:
    response = answer.get("Response")
    if not isinstance(response, dict):
        raise SmsUnavailableError("unreadable")
    if isinstance(response.get("Error"), dict):
        raise told(str(response["Error"].get("Code", "")))
    statuses = response.get("SendStatusSet")
    status = statuses[0] if isinstance(statuses, list) and len(statuses) == 1 and isinstance(statuses[0], dict) else {}
    if status.get("Code") == "Ok" and status.get("SerialNo"):
        fee = status.get("Fee")
        return SentSms(NAME, str(status["SerialNo"]), fee if isinstance(fee, int) and fee > 0 else segments_of(text.preview))
    raise told(str(status.get("Code", "")))


def told(code: str) -> SmsUnavailableError | SmsRejectedError | SmsMisconfiguredError:
    """Return our error for a refusal of Tencent Cloud's."""
    shown = code[:_CODE_CHARS]
    _log.warning("sms.refused", provider=NAME, code=shown)
    if not code or code == "Ok" or code.startswith(_UNKNOWN):
        return SmsUnavailableError("system_error" if code.startswith(_UNKNOWN) else "unreadable")
    for start, reason in _LATER.items():
        if code.startswith(start):
            return SmsUnavailableError(reason, certainly_not_done=True)
    for start, reason in _NOBODY_ELSE_EITHER.items():
        if code.startswith(start):
            return SmsRejectedError(reason, provider_code=shown)
    return SmsMisconfiguredError(shown)


def reports(body: bytes) -> list[SmsReport]:
    """Read Tencent Cloud's delivery reports.

    Raises:
        SmsCallbackMalformedError: it is none.
    """
    found = []
    try:
        for entry in _items(body):
            good = str(entry["report_status"]).upper() == "SUCCESS"
            found.append(
                SmsReport(
                    message_id=str(entry["sid"]),
                    phone=e164(str(entry["mobile"]), str(entry.get("nationcode") or "86")),
                    error_code="0" if good else str(entry.get("errmsg") or "failed")[:16],
                    occurred_at=datetime.strptime(str(entry["user_receive_time"]), "%Y-%m-%d %H:%M:%S").replace(tzinfo=_ZONE),
                )
            )
    except (KeyError, TypeError, ValueError) as error:
        raise SmsCallbackMalformedError from error
    return found


def replies(body: bytes) -> list[SmsReply]:
    """Read what people wrote back; Tencent Cloud sends one at a time, with the time in Unix seconds.

    Raises:
        SmsCallbackMalformedError: it is none.
    """
    try:
        return [
            SmsReply(
                e164(str(entry["mobile"]), str(entry.get("nationcode") or "86")),
                str(entry["text"]),
                datetime.fromtimestamp(int(entry["time"]), UTC),
            )
            for entry in _items(body)
        ]
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise SmsCallbackMalformedError from error


def _items(body: bytes) -> list[Mapping[str, Any]]:
    found = json.loads(body)
    entries = found if isinstance(found, list) else [found]
    if not all(isinstance(entry, dict) for entry in entries):
        raise TypeError
    return entries[:_MOST_ITEMS]
