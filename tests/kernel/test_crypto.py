"""Sealed values open in their own place only, under any key of the ring."""

from __future__ import annotations

import base64

import pytest

from config.settings import parse_key, parse_key_ring
from server.kernel.crypto import Place, SealBrokenError, Vault
from server.kernel.ids import uuid7

OLD, NEW, INDEX = b"o" * 32, b"n" * 32, b"i" * 32
PHONE = "+8613800138000"


def test_a_sealed_value_opens_in_its_place_and_hides_the_text():
    vault = Vault({"new": NEW}, INDEX)
    place = Place("members", "phone", uuid7())
    sealed = vault.seal(PHONE, place)
    assert "138" not in base64.urlsafe_b64decode(sealed.rpartition(".")[2] + "==").decode("latin-1")
    assert vault.open(sealed, place) == PHONE
    assert vault.seal(PHONE, place) != sealed


def test_a_value_moved_to_another_row_column_or_table_does_not_open():
    vault = Vault({"new": NEW}, INDEX)
    row = uuid7()
    sealed = vault.seal(PHONE, Place("members", "phone", row))
    for place in (Place("members", "phone", uuid7()), Place("members", "name", row), Place("orders", "phone", row)):
        with pytest.raises(SealBrokenError):
            vault.open(sealed, place)


def test_every_changed_part_is_refused():
    vault = Vault({"new": NEW}, INDEX)
    place = Place("members", "phone", uuid7())
    sealed = vault.seal(PHONE, place)
    version, key_id, nonce, text = sealed.split(".")
    other = "A" if text[5] != "A" else "B"
    for broken in (
        f"v2.{key_id}.{nonce}.{text}",
        f"{version}.x.{nonce}.{text}",
        f"{version}.{key_id}.{text}.{nonce}",
        "",
        "v1",
        sealed[:-9],
        f"{version}.{key_id}.{nonce}.{text[:5]}{other}{text[6:]}",
    ):
        with pytest.raises(SealBrokenError):
            vault.open(broken, place)


def test_old_keys_still_open_and_the_first_key_seals():
    place = Place("members", "phone", uuid7())
    sealed = Vault({"old": OLD}, INDEX).seal(PHONE, place)
    ring = Vault({"new": NEW, "old": OLD}, INDEX)
    assert ring.open(sealed, place) == PHONE
    assert ring.seal(PHONE, place).startswith("v1.new.")


def test_an_index_depends_on_kind_value_and_key_and_names_its_version():
    vault = Vault({"new": NEW}, INDEX, index_version="7")
    assert vault.index("phone", PHONE) == vault.index("phone", PHONE)
    assert vault.index("phone", PHONE).startswith("7.")
    assert vault.index("phone", PHONE) != vault.index("email", PHONE)
    assert vault.index("phone", PHONE) != Vault({"new": NEW}, b"j" * 32, index_version="7").index("phone", PHONE)


def test_bad_keys_are_refused():
    good = base64.b64encode(NEW).decode()
    assert parse_key_ring(f"a:{good},b:{base64.b64encode(OLD).decode()}") == {"a": NEW, "b": OLD}
    assert parse_key(base64.urlsafe_b64encode(NEW).decode().rstrip("=")) == NEW
    for ring in ("", "a", f"a:{good},a:{good}", "a:short", f"a b:{good}", ":x"):
        with pytest.raises(ValueError):
            parse_key_ring(ring)
    for keys, index in (({}, INDEX), ({"a": b"short"}, INDEX), ({"a": NEW}, NEW), ({"a": NEW}, b"x")):
        with pytest.raises(ValueError):
            Vault(keys, index)
