"""The emulated platform's server push: signed, plain or safe, and repeated three times when it is not answered ``success``."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from server.wechat import push

_TRIES = 3
_ANSWER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class PushTarget:
    """Where events go and how they are protected; no push without an address."""

    url: str
    secrets: push.PushSecrets
    safe: bool = True
    own_id: str = "gh_demo"


def popup_event(target: PushTarget, openid: str, template_id: str, *, accept: bool) -> dict[str, Any]:
    """Return the event that tells a person's answer to the subscribe dialog."""
    answer = {
        "TemplateId": template_id,
        "SubscribeStatusString": "accept" if accept else "reject",
        "PopupScene": "0",
    }
    # One entry comes as an object and not as a list of one, as the platform does.
    return _envelope(target, openid, "subscribe_msg_popup_event") | {"List": answer}


def sent_event(target: PushTarget, openid: str, template_id: str, msg_id: str) -> dict[str, Any]:
    """Return the event that tells a message was delivered."""
    entry = {"TemplateId": template_id, "MsgID": msg_id, "ErrorCode": "0", "ErrorStatus": "success"}
    return _envelope(target, openid, "subscribe_msg_sent_event") | {"List": [entry]}


def media_event(target: PushTarget, openid: str, trace_id: str, suggest: str | None) -> dict[str, Any]:
    """Return the event that tells what was found in a picture; ``suggest`` is None when it could not be fetched."""
    told = _envelope(target, openid, "wxa_media_check") | {"appid": target.secrets.appid, "trace_id": trace_id, "version": 2, "detail": []}
    if suggest is None:
        return told | {"errcode": -1008, "errmsg": "media download failed", "result": {"suggest": "review", "label": 21000}}
    label = {"pass": 100, "risky": 20002}.get(suggest, 21000)
    return told | {"errcode": 0, "errmsg": "ok", "result": {"suggest": suggest, "label": label}}


def later(work: Callable[[], object]) -> None:
    """Do something in the background, as the platform does after it answered."""
    threading.Thread(target=work, daemon=True).start()


def event(target: PushTarget, openid: str, name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return any other event about a person: a check's result, a trade's news, data withdrawn.

    Arguments:
        target: where it goes.
        openid: whom it is about; of events about a person's data it stands in ``OpenID``, and the platform is the sender.
        name: of the event.
        fields: everything it tells besides.
    """
    if name.startswith("user_"):
        sender = {"FromUserName": "oPlatform", "OpenID": openid, "AppID": target.secrets.appid}
        return _envelope(target, openid, name) | sender | fields
    return _envelope(target, openid, name) | fields


def _envelope(target: PushTarget, openid: str, event: str) -> dict[str, Any]:
    return {"ToUserName": target.own_id, "FromUserName": openid, "CreateTime": int(time.time()), "MsgType": "event", "Event": event}


def deliver(target: PushTarget, event: dict[str, Any]) -> bool:
    """Post one event and tell whether it was answered ``success``, trying three times."""
    message = json.dumps(event, ensure_ascii=False).encode()
    for _ in range(_TRIES):
        timestamp, nonce = str(int(time.time())), secrets.token_hex(6)
        query = {
            "signature": push.signature_of(target.secrets.token, timestamp, nonce),
            "timestamp": timestamp,
            "nonce": nonce,
            "openid": str(event["FromUserName"]),
        }
        body = message
        if target.safe:
            encrypted = push.encrypt(message, target.secrets)
            query["encrypt_type"] = "aes"
            query["msg_signature"] = push.signature_of(target.secrets.token, timestamp, nonce, encrypted)
            body = json.dumps({"ToUserName": event["ToUserName"], "Encrypt": encrypted}).encode()
        try:
            answer = requests.post(target.url, params=query, data=body, timeout=_ANSWER_SECONDS)
        except requests.RequestException:
            continue
        if answer.status_code == requests.codes.ok and answer.text == "success":
            return True
    return False


def deliver_later(target: PushTarget, event: dict[str, Any]) -> None:
    """Post one event in the background, as the platform does after it answered."""
    later(lambda: deliver(target, event))
