"""A password is kept as argon2id at the cost that the standard recommends, and a wrong one costs as much as a right one."""

from __future__ import annotations

import pytest

from server.staff import passwords
from server.staff.errors import WeakPasswordError
from tests.conftest import PASSWORD_HASHER


@pytest.fixture(autouse=True)
def real_hasher(monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", PASSWORD_HASHER)


def test_a_hash_is_argon2id_of_64_mebibytes_in_three_passes():
    kept = passwords.hash_password("korrekt-pferd-batterie")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=2$")
    assert passwords.password_holds(kept, "korrekt-pferd-batterie")
    assert not passwords.password_holds(kept, "korrekt-pferd-batteri")
    assert kept != passwords.hash_password("korrekt-pferd-batterie")


def test_nobody_has_the_password_of_an_account_that_does_not_exist():
    assert not passwords.password_holds(None, "a password that nobody has")
    assert not passwords.password_holds("no hash at all", "korrekt-pferd-batterie")


@pytest.mark.parametrize("password", ["kurz1!", "password123", "linda@huiban.example", "x" * 129])
def test_a_password_that_is_short_or_easily_guessed_is_refused(password):
    with pytest.raises(WeakPasswordError):
        passwords.require_strong(password, about=("linda@huiban.example",))
