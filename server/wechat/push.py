"""Server push: what WeChat posts to us, verified, decrypted and read. Pure; it knows neither HTTP framework nor database.

Two modes: plain (``signature`` over token, timestamp, nonce) and safe (``msg_signature`` also over the encrypted body);
two notations: JSON and XML. A push outside ±300 seconds of our clock is refused, so that a captured one cannot be played later.

Whatever the bytes, the only exception is ``PushRejectedError`` (``python -m tests.properties.fuzz_push`` tries ten million).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.parsers.expat import ExpatError

import xmltodict
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from server.wechat.errors import PushRejectedError

WINDOW_SECONDS = 300
MAX_BYTES = 256 * 1024
_BLOCK = 32
_IV_BYTES = 16
_RANDOM_BYTES = 16
_LENGTH_BYTES = 4
_KEY_CHARS = 43

# What a push of WeChat's looks like at most. Int() would take digits of every script, signs and spaces.
_SECONDS = re.compile(r"[0-9]{1,10}")
_NAME = re.compile(r"[\x21-\x7e]{0,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DEEPEST = 16
_MOST_ITEMS = 100
_KIND_CHARS = 32
_ITEM_CHARS = 200


@dataclass(frozen=True, slots=True)
class PushSecrets:
    """What the push address of one app is protected with.

    Arguments:
        appid: the app the push must be for.
        token: signs every request.
        aes_key: 43 characters; empty when only the plain mode is used.
    """

    appid: str
    token: str
    aes_key: str = ""


@dataclass(frozen=True, slots=True)
class PushItem:
    """One entry of an event's list, keys as WeChat writes them, values as text."""

    values: Mapping[str, str]

    def get(self, name: str) -> str:
        """Return a value, empty when it is missing."""
        return self.values.get(name, "")


@dataclass(frozen=True, slots=True)
class PushEvent:
    """A verified push.

    Arguments:
        kind: ``MsgType`` (``event``, ``text``…).
        event: ``Event`` in lower case, empty for messages.
        openid: whom it is about.
        occurred_at: WeChat's time.
        items: entries of ``List``, whether it came as one object or several.
        key: the same for every repetition of this push.
        content: everything else, as it came.
    """

    kind: str
    event: str
    openid: str
    occurred_at: datetime
    items: tuple[PushItem, ...]
    key: str
    content: Mapping[str, Any]


def signature_of(*parts: str) -> str:
    """Return WeChat's signature: SHA-1 of the sorted parts joined."""
    # A body can hold half a character; it is no reason to fall over, only to differ from every signature of WeChat's.
    return hashlib.sha1("".join(sorted(parts)).encode(errors="surrogatepass")).hexdigest()  # noqa: S324 - WeChat's own choice


def verify_address(query: Mapping[str, str], secrets: PushSecrets, now: datetime) -> str:
    """Check the GET with which WeChat proves an address, and return the text to answer.

    Raises:
        PushRejectedError: wrong signature, or outside the time window.
    """
    _check(query, query.get("signature", ""), (secrets.token, query.get("timestamp", ""), query.get("nonce", "")), now)
    return query.get("echostr", "")


def read(query: Mapping[str, str], body: bytes, secrets: PushSecrets, now: datetime) -> PushEvent:
    """Verify, decrypt and read one push.

    Arguments:
        query: the request's query.
        body: its raw body.
        secrets: of the app.
        now: our clock.

    Raises:
        PushRejectedError: wrong signature, outside the time window, for another app, or unreadable.
    """
    if len(body) > MAX_BYTES:
        raise PushRejectedError
    timestamp, nonce = query.get("timestamp", ""), query.get("nonce", "")
    safe = query.get("encrypt_type") == "aes"
    if not safe:
        # Checked before the body is parsed: nothing of a stranger's is read.
        _check(query, query.get("signature", ""), (secrets.token, timestamp, nonce), now)
        return _event(_parse(body))
    encrypted = _text(_parse(body), "Encrypt")
    _check(query, query.get("msg_signature", ""), (secrets.token, timestamp, nonce, encrypted), now)
    return _event(_parse(decrypt(encrypted, secrets)))


def _check(query: Mapping[str, str], given: str, parts: tuple[str, ...], now: datetime) -> None:
    if not given.isascii() or not hmac.compare_digest(signature_of(*parts).encode(), given.encode()):
        raise PushRejectedError
    stamp = query.get("timestamp", "")
    if not _SECONDS.fullmatch(stamp) or abs(now.timestamp() - int(stamp)) > WINDOW_SECONDS:
        raise PushRejectedError


def decrypt(encrypted: str, secrets: PushSecrets) -> bytes:
    """Return the message inside an encrypted push.

    Raises:
        PushRejectedError: malformed, or for another app.
    """
    try:
        key = _key(secrets)
        raw = base64.b64decode(encrypted, validate=True)
        decryptor = Cipher(algorithms.AES256(key), modes.CBC(key[:_IV_BYTES])).decryptor()
        padded = decryptor.update(raw) + decryptor.finalize()
    except (ValueError, binascii.Error):
        raise PushRejectedError from None
    padding = padded[-1] if padded else 0
    if not 1 <= padding <= _BLOCK or len(padded) < padding + _RANDOM_BYTES + _LENGTH_BYTES:
        raise PushRejectedError
    plain = padded[_RANDOM_BYTES:-padding]
    length = int.from_bytes(plain[:_LENGTH_BYTES], "big")
    message, appid = plain[_LENGTH_BYTES : _LENGTH_BYTES + length], plain[_LENGTH_BYTES + length :]
    if len(message) != length or not hmac.compare_digest(appid, secrets.appid.encode()):
        raise PushRejectedError
    return message


def encrypt(message: bytes, secrets: PushSecrets, *, prefix: bytes | None = None) -> str:
    """Return a message as WeChat encrypts it.

    Arguments:
        message: what to say.
        secrets: of the app.
        prefix: the sixteen random bytes before it, given only by tests.
    """
    key = _key(secrets)
    plain = (prefix or os.urandom(_RANDOM_BYTES)) + len(message).to_bytes(_LENGTH_BYTES, "big") + message + secrets.appid.encode()
    padding = _BLOCK - len(plain) % _BLOCK
    encryptor = Cipher(algorithms.AES256(key), modes.CBC(key[:_IV_BYTES])).encryptor()
    return base64.b64encode(encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()).decode()


def _key(secrets: PushSecrets) -> bytes:
    if len(secrets.aes_key) != _KEY_CHARS:
        message = "the push key must have 43 characters"
        raise ValueError(message)
    return base64.b64decode(secrets.aes_key + "=")


def _parse(body: bytes) -> dict[str, Any]:
    text = body.strip()
    try:
        # WeChat sends control characters inside strings at times, hence not strict.
        found = json.loads(text, strict=False) if text.startswith(b"{") else xmltodict.parse(text, disable_entities=True).get("xml")
    except (ValueError, LookupError, ExpatError, RecursionError):
        # LookupError: XML may declare an encoding that nobody knows.
        raise PushRejectedError from None
    if not isinstance(found, dict) or not _shallow(found):
        raise PushRejectedError
    return found


def _shallow(content: dict[str, Any]) -> bool:
    """Tell whether content is no deeper than WeChat's, so that nobody after us runs out of stack over it."""
    ring: list[Any] = [content]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for one in ring:
            inner.extend(value for value in (one.values() if isinstance(one, dict) else one) if isinstance(value, dict | list))
        if not inner:
            return True
        ring = inner
    return False


def _text(content: Mapping[str, Any], name: str) -> str:
    """Return a value that must be one text or number; numbers come as either."""
    value = content.get(name)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise PushRejectedError


def _name(content: Mapping[str, Any], name: str) -> str:
    """Return a value that is kept in a column and looked up: short and without anything invisible."""
    found = _text(content, name)
    if not _NAME.fullmatch(found):
        raise PushRejectedError
    return found


def _event(content: dict[str, Any]) -> PushEvent:
    kind = (_name(content, "MsgType") or "event").lower()
    event = _name(content, "Event").lower()
    # Of events about a person's data the subject stands in OpenID; FromUserName is then WeChat itself.
    openid = _name(content, "OpenID") or _name(content, "FromUserName")
    seconds = _text(content, "CreateTime") or "0"
    if not openid or len(kind) > _KIND_CHARS or not _SECONDS.fullmatch(seconds):
        raise PushRejectedError
    message_id = _name(content, "MsgId")
    digest = _digest(content)
    identity = "|".join((openid, str(int(seconds)), kind, event, message_id, "" if message_id else digest))
    return PushEvent(
        kind=kind,
        event=event,
        openid=openid,
        occurred_at=datetime.fromtimestamp(int(seconds), UTC),
        items=_items(content),
        key=hashlib.sha256(identity.encode()).hexdigest(),
        content=content,
    )


def _digest(content: dict[str, Any]) -> str:
    try:
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    except ValueError:
        # Half a character: it could be neither stored nor sealed.
        raise PushRejectedError from None


_NESTS = ("SubscribeMsgPopupEvent", "SubscribeMsgChangeEvent", "SubscribeMsgSentEvent")


def _items(content: dict[str, Any]) -> tuple[PushItem, ...]:
    holder: Any = content
    for name in _NESTS:
        if isinstance(content.get(name), dict):
            holder = content[name]
    found = holder.get("List")
    entries = found if isinstance(found, list) else [found]
    return tuple(_item(entry) for entry in entries[:_MOST_ITEMS] if isinstance(entry, dict))


def _item(entry: dict[str, Any]) -> PushItem:
    plain = {key: value for key, value in entry.items() if isinstance(value, str | int) and not isinstance(value, bool)}
    return PushItem({key: _CONTROL.sub("", str(value))[:_ITEM_CHARS] for key, value in plain.items()})
