from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from server.kernel.errors import DomainError
from server.partners import queries, rules, service
from server.partners.errors import PartnerNameTakenError, PartnerNotFoundError, ScopeUnknownError, TooManyKeysError
from server.partners.models import PartnerKey, PartnerNonce
from tests.factories.members import SYSTEM, a_partner


@pytest.mark.requirement("INT1")
def test_a_secret_is_shown_once_and_stored_sealed(session, clock):
    new = a_partner(session, now=clock.now(), scopes=("members:read", "points:write"))
    row = session.scalars(sa.select(PartnerKey)).one()
    assert new.secret not in row.secret_sealed
    key = queries.key(session, new.key_id)
    assert (key.secret, key.scopes, key.active) == (new.secret, {"members:read", "points:write"}, True)
    assert new.secret not in repr(key) + repr(new)
    assert queries.key(session, "hk_unknown") is None


def test_two_keys_live_at_once_and_a_third_waits_for_one_to_be_revoked(session, clock):
    first = a_partner(session, now=clock.now())
    second = service.add_key(session, first.partner_id, actor=SYSTEM, now=clock.now())
    with pytest.raises(TooManyKeysError):
        service.add_key(session, first.partner_id, actor=SYSTEM, now=clock.now())
    service.revoke_key(session, first.key_id, actor=SYSTEM, now=clock.now())
    service.revoke_key(session, first.key_id, actor=SYSTEM, now=clock.now())
    assert queries.key(session, first.key_id) is None
    third = service.add_key(session, first.partner_id, actor=SYSTEM, now=clock.now())
    assert queries.key(session, second.key_id) is not None
    assert queries.key(session, third.key_id) is not None
    view = queries.find(session, first.partner_id)
    assert [key.revoked_at is None for key in view.keys] == [False, True, True]


@pytest.mark.committing
def test_keys_added_at_once_never_exceed_two(core, clock):
    new = core.db.run(lambda s: a_partner(s, now=clock.now()))

    def add(_):
        try:
            return core.db.run(lambda s: service.add_key(s, new.partner_id, actor=SYSTEM, now=clock.now()))
        except DomainError as error:
            return error.code

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(add, range(4)))
    assert sum(isinstance(result, service.NewKey) for result in results) == 1
    assert {result for result in results if isinstance(result, str)} == {"too_many_keys"}


def test_names_and_scopes_are_checked_and_a_partner_can_be_switched_off(session, clock):
    new = a_partner(session, now=clock.now())
    with pytest.raises(PartnerNameTakenError):
        a_partner(session, now=clock.now())
    for scopes in ((), ("members:read", "all:things")):
        with pytest.raises(ScopeUnknownError):
            service.create(session, "other", scopes, actor=SYSTEM, now=clock.now())
    with pytest.raises(PartnerNotFoundError):
        service.revoke_key(session, "hk_none", actor=SYSTEM, now=clock.now())
    service.change(session, new.partner_id, scopes=["orders:write"], active=False, actor=SYSTEM, now=clock.now())
    key = queries.key(session, new.key_id)
    assert (key.active, key.scopes) == (False, {"orders:write"})


def test_nonces_are_forgotten_after_their_time(session, clock):
    service.take_nonce(session, "hk", "n" * 16, now=clock.now())
    assert service.forget_nonces(session, clock.now()) == 0
    clock.move(timedelta(minutes=11))
    assert service.forget_nonces(session, clock.now()) == 1
    assert session.scalar(sa.select(sa.func.count()).select_from(PartnerNonce)) == 0


def test_the_signed_string_is_what_the_contract_says():
    signed = rules.string_to_sign("POST", "/partner/v1/orders?a=%20b", "1760000000", "n" * 16, b"{}")
    lines = signed.decode().split("\n")
    assert lines[:4] == ["POST", "/partner/v1/orders?a=%20b", "1760000000", "n" * 16]
    assert lines[4] == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert rules.signature_holds("s", signed, rules.signature_of("s", signed))
    assert not rules.signature_holds("s", signed, "é")


@pytest.mark.parametrize(
    ("stamp", "fits"), [("1000", True), ("1300", True), ("699", False), ("1301", False), ("", False), ("1e3", False), ("-5", False)]
)
def test_a_timestamp_may_be_five_minutes_off(stamp, fits):
    assert rules.timestamp_fits(stamp, 1000.0) is fits


@pytest.mark.parametrize(
    ("nonce", "fits"), [("n" * 15, False), ("n" * 16, True), ("n" * 64, True), ("n" * 65, False), ("n" * 15 + " ", False)]
)
def test_a_nonce_has_sixteen_to_sixty_four_characters(nonce, fits):
    assert rules.nonce_fits(nonce) is fits
