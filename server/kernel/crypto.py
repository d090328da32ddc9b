"""Personal data at rest: AES-256-GCM per field, and blind indexes to find it by.

A sealed value is ``v1.<key id>.<nonce>.<text>`` (URL-safe base64), bound to its table, column and row, so a value
copied to another place does not open. A blind index is ``<version>.<hex>`` of HMAC-SHA256 under a key of its own.
"""

from __future__ import annotations

import base64
import hmac
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.prepared import Autocommit

KEY_BYTES = 32
_NONCE_BYTES = 12


class SealBrokenError(Exception):
    """A sealed value does not open: wrong key, or moved from the place it was sealed for."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value lives; part of what the cipher vouches for."""

    table: str
    column: str
    row_id: UUID

    def associated_data(self) -> bytes:
        """Return the bytes that tie the value to this place."""
        return f"{self.table}|{self.column}|{self.row_id}".encode()


class Vault:
    """Seals and opens personal values, and makes the indexes they are found by.

    Arguments:
        data_keys: key id → 32 bytes; the first is used for sealing, all for opening.
        index_key: 32 bytes, never one of the data keys.
        index_version: stands before every index so that indexes can be rebuilt under a new key.

    Raises:
        ValueError: for an empty ring, a key of the wrong length, or an index key that is also a data key.
    """

    def __init__(self, data_keys: dict[str, bytes], index_key: bytes, *, index_version: str = "1") -> None:
        if not data_keys:
            message = "the data key ring is empty"
            raise ValueError(message)
        for key in (*data_keys.values(), index_key):
            if len(key) != KEY_BYTES:
                message = f"a key must be {KEY_BYTES} bytes"
                raise ValueError(message)
        if index_key in data_keys.values():
            message = "the index key must not be a data key"
            raise ValueError(message)
        self._ciphers = {key_id: AESGCM(key) for key_id, key in data_keys.items()}
        self.active_key_id = next(iter(data_keys))
        self._index_key = index_key
        self._index_version = index_version

    def seal(self, text: str, place: Place) -> str:
        """Return the sealed form of a text for one place."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self.active_key_id].encrypt(nonce, text.encode(), place.associated_data())
        return f"v1.{self.active_key_id}.{_encode(nonce)}.{_encode(sealed)}"

    def open(self, sealed: str, place: Place) -> str:
        """Return the text of a value sealed for this very place.

        Raises:
            SealBrokenError: when it does not open.
        """
        try:
            version, key_id, nonce, text = sealed.split(".")
            if version != "v1":
                raise SealBrokenError(place.table)
            opened = self._ciphers[key_id].decrypt(_decode(nonce), _decode(text), place.associated_data())
        except (ValueError, KeyError, InvalidTag) as error:
            # The cause may quote the value, so only the place is told.
            message = f"{place.table}.{place.column}"
            raise SealBrokenError(message) from error
        return opened.decode()

    def index(self, kind: str, value: str) -> str:
        """Return the blind index of a normalised value.

        Arguments:
            kind: what the value is (``phone``, ``phone_tail``, ``openid``…), so equal texts of different kinds differ.
            value: already normalised (a phone in E.164).
        """
        digest = hmac.digest(self._index_key, f"{kind}|{value}".encode(), "sha256").hex()
        return f"{self._index_version}.{digest}"


def vault_of(session: Session | Autocommit) -> Vault:
    """Return the vault that belongs to a session.

    A session carries its vault as it carries its engine: neither sealed columns nor blind indexes mean anything without it.
    """
    vault = session.info["vault"]
    if not isinstance(vault, Vault):
        message = "this session was not opened by Database"
        raise TypeError(message)
    return vault


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
