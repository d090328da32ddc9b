"""Aliyun's short message service: SendSms (2017-05-25) under its signature ACS3-HMAC-SHA256, and its HTTP callbacks.

The callbacks are not signed by Aliyun, so their address carries a secret of ours. Times in them are of China.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

import structlog

from server.kernel.clock import Clock, SystemClock
from server.sms.errors import SmsCallbackMalformedError, SmsMisconfiguredError, SmsRejectedError, SmsUnavailableError
from server.sms.gateway import SentSms, SmsReply, SmsReport, SmsText, segments_of
from server.sms.network import post
from server.sms.numbers import e164

_log = structlog.get_logger("sms")

NAME = "aliyun"
_ALGORITHM = "ACS3-HMAC-SHA256"
_VERSION = "2017-05-25"
_ZONE = ZoneInfo("Asia/Shanghai")
_CHINA = "+86"
_MOST_ITEMS = 500
_CODE_CHARS = 60

# What each documented refusal means to us. Whatever is not listed is our configuration: it is the same for every message.
_NOBODY_ELSE_EITHER = {
    "isv.MOBILE_NUMBER_ILLEGAL": "bad_number",
    "isv.MOBILE_COUNT_OVER_LIMIT": "bad_number",
    "isv.BLACK_KEY_CONTROL_LIMIT": "content",
    "isv.SMS_CONTENT_ILLEGAL": "content",
    "isv.PARAM_LENGTH_LIMIT": "content",
    "isv.PARAM_NOT_SUPPORT_URL": "content",
    "isv.TEMPLATE_PARAMS_ILLEGAL": "content",
    "VALVE:M_MC": "too_often",
    "VALVE:H_MC": "too_often",
    "VALVE:D_MC": "too_often",
    "MOBILE_IN_BLACK": "blocked",
}
# Limits of the number, hour or day: not done, and the same provider may do it later.
_LATER = {"isv.BUSINESS_LIMIT_CONTROL": "too_often", "isv.DAY_LIMIT_CONTROL": "quota", "isv.MONTH_LIMIT_CONTROL": "quota"}
# The provider's own trouble: nobody can tell whether the message was taken in before it.
_UNKNOWN = frozenset({"isp.SYSTEM_ERROR", "isv.SYSTEM_ERROR", "InternalError", "ServiceUnavailable"})


def authorization(
    *, key_id: str, key_secret: str, method: str, query: str, headers: Mapping[str, str], body: bytes = b"", path: str = "/"
) -> str:
    """Return the ``Authorization`` of a call.

    Arguments:
        key_id: of the access key.
        key_secret: signs.
        method: HTTP method.
        query: canonical (``canonical_query``).
        headers: all of ``host``, ``content-type`` and ``x-acs-*`` that are sent, names in lower case.
        body: what is posted.
        path: of the address.
    """
    names = sorted(headers)
    canonical = "\n".join(
        (
            method,
            path,
            query,
            "".join(f"{name}:{headers[name].strip()}\n" for name in names),
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        )
    )
    to_sign = f"{_ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key_secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{_ALGORITHM} Credential={key_id},SignedHeaders={';'.join(names)},Signature={signature}"


def canonical_query(params: Mapping[str, str]) -> str:
    """Return parameters as they are signed and sent: sorted, percent-encoded by RFC 3986."""
    return "&".join(f"{quote(name, safe='~')}={quote(params[name], safe='~')}" for name in sorted(params))


class AliyunSms:
    """Sends through Aliyun.

    Arguments:
        key_id, key_secret: an access key that may only send text messages.
        sign_name: the approved signature, without brackets.
        base_url: of the service.
        clock: tells the time that is signed.
    """

    name = NAME

    def __init__(self, *, key_id: str, key_secret: str, sign_name: str, base_url: str, clock: Clock | None = None) -> None:
        self._key_id = key_id
        self._key_secret = key_secret
        self._sign_name = sign_name
        self._base_url = base_url.rstrip("/") + "/"
        self._clock = clock or SystemClock()

    def send(self, text: SmsText) -> SentSms:
        """Send one message. See the Protocol."""
        params = {
            "PhoneNumbers": text.phone.removeprefix(_CHINA).removeprefix("+"),
            "SignName": self._sign_name,
            "TemplateCode": text.template_id,
            "TemplateParam": json.dumps(dict(text.params), ensure_ascii=False),
            "OutId": text.reference,
        }
        query = canonical_query(params)
        # The parameters go into the body, so that no number stands in an address that a proxy writes down.
        body = query.encode()
        headers = {
            "host": urlsplit(self._base_url).netloc,
            "content-type": "application/x-www-form-urlencoded",
            "x-acs-action": "SendSms",
            "x-acs-version": _VERSION,
            "x-acs-date": self._clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        }
        signed = authorization(key_id=self._key_id, key_secret=self._key_secret, method="POST", query="", headers=headers, body=body)
        answer = post(NAME, self._base_url, headers=headers | {"Authorization": signed}, body=body)
        code = str(answer.get("Code", ""))
        if code == "OK" and answer.get("BizId"):
            return SentSms(NAME, str(answer["BizId"]), segments_of(text.preview))
        raise told(code)


def told(code: str) -> SmsUnavailableError | SmsRejectedError | SmsMisconfiguredError:
    """Return our error for a refusal of Aliyun's."""
    shown = code[:_CODE_CHARS]
    _log.warning("sms.refused", provider=NAME, code=shown)
    if not code or code == "OK" or code in _UNKNOWN:
        return SmsUnavailableError("system_error" if code in _UNKNOWN else "unreadable")
    if code.startswith("Throttling"):
        return SmsUnavailableError("busy", certainly_not_done=True)
    if code in _LATER:
        return SmsUnavailableError(_LATER[code], certainly_not_done=True)
    if code in _NOBODY_ELSE_EITHER:
        return SmsRejectedError(_NOBODY_ELSE_EITHER[code], provider_code=shown)
    return SmsMisconfiguredError(shown)


def reports(body: bytes) -> list[SmsReport]:
    """Read Aliyun's delivery reports (SmsReport).

    Raises:
        SmsCallbackMalformedError: it is none.
    """
    found = []
    try:
        for entry in _items(body):
            size = entry.get("sms_size")
            found.append(
                SmsReport(
                    message_id=str(entry["biz_id"]),
                    phone=e164(str(entry["phone_number"])),
                    error_code="0" if entry["success"] in {True, "true"} else str(entry.get("err_code") or "failed")[:16],
                    occurred_at=_at(entry["report_time"]),
                    segments=int(size) if size else None,
                )
            )
    except (KeyError, TypeError, ValueError) as error:
        raise SmsCallbackMalformedError from error
    return found


def replies(body: bytes) -> list[SmsReply]:
    """Read what people wrote back (SmsUp).

    Raises:
        SmsCallbackMalformedError: it is none.
    """
    try:
        return [SmsReply(e164(str(entry["phone_number"])), str(entry["content"]), _at(entry["send_time"])) for entry in _items(body)]
    except (KeyError, TypeError, ValueError) as error:
        raise SmsCallbackMalformedError from error


def _items(body: bytes) -> list[Mapping[str, Any]]:
    found = json.loads(body)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise TypeError
    return found[:_MOST_ITEMS]


def _at(text: object) -> datetime:
    return datetime.strptime(str(text), "%Y-%m-%d %H:%M:%S").replace(tzinfo=_ZONE)
