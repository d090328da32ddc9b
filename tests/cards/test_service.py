from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from server.audit import queries as audit
from server.cards import queries, rules, service
from server.cards.errors import (
    CardNoTakenError,
    LegacyNumberInvalidError,
    LegacyNumberReservedError,
    MemberCodeExpiredError,
    MemberCodeMalformedError,
    MemberCodeOldError,
    MemberCodeUsedError,
)
from server.cards.models import Card, CardCode
from server.kernel.actors import PartnerActor
from server.kernel.ids import luhn_holds, uuid7
from server.kernel.pagination import PageRequest
from tests.factories.members import a_member, an_unclaimed_member

TILL = PartnerActor(uuid7(), "till")


@pytest.mark.requirement("CARD1")
def test_a_card_number_has_twelve_digits_and_its_check_digit(session, clock):
    member_id = an_unclaimed_member(session, now=clock.now(), pos_id="1")
    card = service.issue(session, member_id, now=clock.now())
    assert len(card.card_no) == 12
    assert luhn_holds(card.card_no)
    assert service.issue(session, member_id, now=clock.now()) == card
    assert queries.by_card_no(session, card.card_no) == member_id
    assert queries.by_card_no(session, "000000000000") is None


@pytest.mark.committing
def test_many_who_issue_at_once_give_one_card(core, clock):
    member_id = core.db.run(lambda s: an_unclaimed_member(s, now=clock.now(), pos_id="1"))
    with ThreadPoolExecutor(6) as pool:
        numbers = set(pool.map(lambda _: core.db.run(lambda s: service.issue(s, member_id, now=clock.now())).card_no, range(6)))
    assert len(numbers) == 1
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Card)) == 1


def test_a_code_has_the_form_a_till_can_tell_from_money():
    code = rules.new_code()
    assert rules.is_code(code)
    assert code.startswith("66")
    assert not rules.is_code("13" + code[2:])
    assert not rules.is_code(code[:-1] + str((int(code[-1]) + 1) % 10))
    assert not rules.is_code(code[:-1])


@pytest.mark.requirement("CARD2")
def test_a_code_is_good_once_and_for_sixty_seconds(session, clock):
    member_id = a_member(session, now=clock.now())
    first = service.new_code(session, member_id, now=clock.now())
    clock.move(timedelta(seconds=50))
    second = service.new_code(session, member_id, now=clock.now())
    assert service.redeem_code(session, first.code, actor=TILL, now=clock.now()) == member_id
    with pytest.raises(MemberCodeUsedError) as used:
        service.redeem_code(session, first.code, actor=TILL, now=clock.now())
    assert used.value.code == "member_code_expired"
    clock.move(timedelta(seconds=60))
    with pytest.raises(MemberCodeOldError):
        service.redeem_code(session, second.code, actor=TILL, now=clock.now())
    with pytest.raises(MemberCodeExpiredError):
        service.redeem_code(session, rules.new_code(), actor=TILL, now=clock.now())
    with pytest.raises(MemberCodeMalformedError):
        service.redeem_code(session, "134567890123456789", actor=TILL, now=clock.now())
    stored = session.scalars(sa.select(CardCode.code_hash)).all()
    assert first.code not in "".join(stored)
    assert service.forget_codes(session, clock.now() + timedelta(seconds=1)) == 2


@pytest.mark.committing
def test_of_two_tills_that_read_one_code_one_gets_the_member(core, clock):
    def prepare(session):
        return service.new_code(session, a_member(session, now=clock.now()), now=clock.now()).code

    code = core.db.run(prepare)

    def redeem(_):
        try:
            return core.db.run(lambda s: service.redeem_code(s, code, actor=TILL, now=clock.now()))
        except MemberCodeExpiredError:
            return None

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(redeem, range(6)))
    assert sum(result is not None for result in results) == 1


def add_alias(session, member, number, *, now, reason="old plastic card"):
    return service.add_alias(session, member, number, reason=reason, actor=TILL, now=now)


def test_a_legacy_number_stands_for_its_member_and_for_no_other(session, clock):
    one, other = a_member(session, now=clock.now()), a_member(session, now=clock.now())
    assert add_alias(session, one, " vip 001 ", now=clock.now()) is True
    assert add_alias(session, one, "ＶＩＰ００１", now=clock.now()) is False
    with pytest.raises(CardNoTakenError):
        add_alias(session, other, "VIP001", now=clock.now())
    assert queries.by_card_no(session, "vip001") == queries.by_card_no(session, "Ｖip 001") == one
    assert queries.aliases_of(session, one) == ["VIP001"]
    (entry,) = audit.list_entries(session, PageRequest(5), audit.EntryFilter(subject_type="member", subject_id=str(one))).items
    assert (entry.action, entry.reason) == ("card.alias_add", "old plastic card")


@pytest.mark.parametrize(
    ("number", "error"),
    [
        ("247326165047", LegacyNumberReservedError),
        ("662073840970787154", LegacyNumberReservedError),
        (" ", LegacyNumberInvalidError),
        ("V" * 33, LegacyNumberInvalidError),
        ("贵宾1", LegacyNumberInvalidError),
    ],
)
def test_a_number_that_may_be_somebodys_card_is_refused(session, clock, number, error):
    member = a_member(session, now=clock.now())
    with pytest.raises(error):
        add_alias(session, member, number, now=clock.now())
    assert queries.aliases_of(session, member) == []


def test_after_a_merge_both_numbers_stand_for_the_survivor(session, clock):
    gone, stays = a_member(session, now=clock.now()), a_member(session, now=clock.now())
    numbers = [queries.of_member(session, member).card_no for member in (gone, stays)]
    code = service.new_code(session, gone, now=clock.now()).code
    service.merge_members(session, gone, stays, now=clock.now())
    assert [queries.by_card_no(session, number) for number in numbers] == [stays, stays]
    assert queries.of_member(session, stays).card_no == numbers[1]
    assert queries.of_member(session, gone) is None
    assert service.redeem_code(session, code, actor=TILL, now=clock.now()) == stays
