"""Kuaidi100: verifies and reads its push callbacks (pure), and subscribes parcels through its ``poll`` interface.

The callback is a form with ``sign`` and ``param``; sign = upper-case MD5 of the raw ``param`` followed by our salt. ``lastResult.data``
is the whole timeline, newest first. MD5 is the provider's choice; whoever does not know the salt cannot make it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import requests

from server.logistics import gateway
from server.logistics.errors import CallbackMalformedError, CallbackSignatureError, TrackingRefusedError, TrackingUnavailableError
from server.logistics.gateway import ParcelEvent, TrackingUpdate

# Kuaidi100 writes times of day in China, whatever the carrier's country.
_ZONE = ZoneInfo("Asia/Shanghai")
_TIMEOUT_SECONDS = (3.05, 8)
_MAX_EVENTS = 500
_DESCRIPTION_CHARS = 500
_NAME_CHARS = {"com": 40, "nu": 64}

# The documented main states; finer codes (101, 304…) begin with the main one.
STATE_OF_CODE: dict[str, str] = {
    "0": gateway.IN_TRANSIT,
    "1": gateway.COLLECTED,
    "2": gateway.PROBLEM,
    "3": gateway.DELIVERED,
    "4": gateway.RETURNED,
    "5": gateway.DELIVERING,
    "6": gateway.RETURNING,
    "7": gateway.REDIRECTED,
    "8": gateway.CUSTOMS,
    "14": gateway.REFUSED,
}


def sign(param: str, salt: str) -> str:
    """Return the signature of a raw ``param``."""
    return hashlib.md5((param + salt).encode(), usedforsecurity=False).hexdigest().upper()


def parse_callback(form: Mapping[str, str], salt: str) -> TrackingUpdate:
    """Check a callback's signature and read it.

    Arguments:
        form: ``sign`` and ``param`` as they came.
        salt: the one we subscribed with.

    Returns:
        The whole timeline; no events for a notice about the subscription alone.

    Raises:
        CallbackSignatureError: the signature is missing or wrong; checked before anything is read.
        CallbackMalformedError: the content is not what Kuaidi100 documents.
    """
    param, given = form.get("param", ""), form.get("sign", "")
    if not salt or not param or not hmac.compare_digest(sign(param, salt).encode(), given.strip().upper().encode()):
        raise CallbackSignatureError
    try:
        document = json.loads(param)
        last = document["lastResult"]
        carrier, number = str(last["com"]).strip().lower(), str(last["nu"]).strip()
        entries = last.get("data") or []
        state = STATE_OF_CODE.get(str(last.get("state", "")))
        events = tuple(_event(entry, state if place == 0 else None) for place, entry in enumerate(entries[:_MAX_EVENTS]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CallbackMalformedError from error
    if not carrier or not number or len(carrier) > _NAME_CHARS["com"] or len(number) > _NAME_CHARS["nu"]:
        raise CallbackMalformedError
    return TrackingUpdate(carrier, number, events, state)


def _event(entry: Mapping[str, Any], overall: str | None) -> ParcelEvent:
    at = datetime.strptime(str(entry.get("ftime") or entry["time"]).strip(), "%Y-%m-%d %H:%M:%S").replace(tzinfo=_ZONE)
    code = str(entry.get("statusCode") or "")
    state = STATE_OF_CODE.get(code) or (STATE_OF_CODE.get(code[:1]) if len(code) > 2 else None)  # noqa: PLR2004 - fine codes have three digits
    return ParcelEvent(at, state or overall, str(entry["context"]).strip()[:_DESCRIPTION_CHARS])


class Kuaidi100Gateway:
    """Subscribes parcels at Kuaidi100.

    Arguments:
        base_url: of its poll service.
        key: our authorisation key.
        salt: makes the signature of the callbacks.
        callback_url: where the news go.
    """

    def __init__(self, *, base_url: str, key: str, salt: str, callback_url: str) -> None:
        self._address = base_url.rstrip("/") + "/poll"
        self._key = key
        self._salt = salt
        self._callback_url = callback_url

    def subscribe(self, carrier: str, tracking_no: str, *, phone: str | None = None) -> None:
        """Ask for news of a parcel (see ``TrackingGateway.subscribe``)."""
        parameters = {"callbackurl": self._callback_url, "salt": self._salt, "resultv2": "4"}
        if phone:
            parameters["phone"] = phone
        param = {"company": carrier, "number": tracking_no, "key": self._key, "parameters": parameters}
        try:
            response = requests.post(
                self._address, data={"schema": "json", "param": json.dumps(param, ensure_ascii=False)}, timeout=_TIMEOUT_SECONDS
            )
            response.raise_for_status()
            answer = response.json()
        except (requests.RequestException, ValueError) as error:
            raise TrackingUnavailableError from error
        code = str(answer.get("returnCode", "")) if isinstance(answer, dict) else ""
        # 501: this parcel is subscribed already, which is what we want.
        if code in {"200", "501"}:
            return
        if code in {"500", ""}:
            raise TrackingUnavailableError
        raise TrackingRefusedError(reason=code)
