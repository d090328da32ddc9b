"""Open data: what the client of an older mini-program gets encrypted from WeChat and passes on to its server. Pure.

AES-128-CBC under the session key, with the app and the instant inside (``watermark``); both are checked, so that data of another app
or of long ago is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from server.wechat.errors import OpenDataInvalidError

WINDOW_SECONDS = 300
_KEY_BYTES = 16
_MOST_CHARS = 8192


def decrypt(encrypted: str, iv: str, session_key: str, *, appid: str, now: datetime) -> dict[str, Any]:
    """Return the data inside.

    Arguments:
        encrypted: ``encryptedData``, base64.
        iv: base64.
        session_key: base64, of the log-in the data belongs to.
        appid: the app it must be for.
        now: present instant; the data may be five minutes off it.

    Raises:
        OpenDataInvalidError: it does not open with this key, is malformed, another app's, or old.
    """
    if len(encrypted) > _MOST_CHARS:
        raise OpenDataInvalidError
    try:
        key, start, raw = (base64.b64decode(text, validate=True) for text in (session_key, iv, encrypted))
        if len(key) != _KEY_BYTES:
            raise OpenDataInvalidError
        decryptor = Cipher(algorithms.AES128(key), modes.CBC(start)).decryptor()
        unpadder = PKCS7(algorithms.AES128.block_size).unpadder()
        plain = unpadder.update(decryptor.update(raw) + decryptor.finalize()) + unpadder.finalize()
        data = json.loads(plain)
        watermark = data["watermark"]
        fresh = abs(int(now.timestamp()) - int(watermark["timestamp"])) <= WINDOW_SECONDS
        ours = watermark["appid"] == appid
    except (ValueError, binascii.Error, TypeError, KeyError, OverflowError, RecursionError):
        raise OpenDataInvalidError from None
    if not (fresh and ours):
        raise OpenDataInvalidError
    return dict(data)


def encrypt(data: dict[str, Any], session_key: str, *, iv: bytes | None = None) -> tuple[str, str]:
    """Return data as WeChat encrypts it, and its iv; for the emulator and tests."""
    start = iv or os.urandom(_KEY_BYTES)
    padder = PKCS7(algorithms.AES128.block_size).padder()
    padded = padder.update(json.dumps(data).encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES128(base64.b64decode(session_key)), modes.CBC(start)).encryptor()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode(), base64.b64encode(start).decode()
