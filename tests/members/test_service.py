from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from server.kernel.errors import NotFoundError
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent
from server.kernel.pagination import PageRequest
from server.members import merge_queries, queries, rules, service
from server.members.errors import (
    BirthdayInvalidError,
    IdentityTakenError,
    MergeRefusedError,
    PhoneInvalidError,
    PhoneTakenError,
    StatusRefusedError,
)
from server.members.models import Member, MemberConsent, MemberIdentity, MemberMerge, MemberSession
from server.members.rules import Birthday
from tests.factories.members import APPID, PHONES, SYSTEM, a_member, an_unclaimed_member


def enrolled_events(session):
    return session.scalar(sa.select(sa.func.count()).select_from(OutboxEvent).where(OutboxEvent.topic == "members.enrolled"))


@pytest.mark.requirement("MEM5")
def test_the_same_person_of_a_till_is_enrolled_once(session, clock):
    def enrol(phone, **ids):
        return service.enrol_unclaimed(session, phone=phone, external_ids=ids, actor=SYSTEM, now=clock.now())

    one = enrol(PHONES[1], pos="7")
    assert enrol(PHONES[1]) == one
    assert enrol(None, pos="7") == one
    assert enrol(PHONES[1], tmall="x") == one
    assert queries.by_external(session, "tmall", "x") == one
    other = enrol(PHONES[2], pos="7")
    assert other == one, "who is known by phone or id is not enrolled again"
    assert enrol(None, pos="8") != one
    assert enrolled_events(session) == 2


@pytest.mark.committing
def test_two_orders_of_one_new_customer_enrol_one_member(core, clock):
    def enrol(_):
        return core.db.run(lambda s: service.enrol_unclaimed(s, phone=PHONES[4], external_ids={"pos": "9"}, actor=SYSTEM, now=clock.now()))

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(enrol, range(6)))) == 1
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Member)) == 1
        assert enrolled_events(session) == 1


@pytest.mark.committing
def test_two_orders_by_buyer_id_alone_enrol_one_member(core, clock):
    def enrol(_):
        return core.db.run(lambda s: service.enrol_unclaimed(s, phone=None, external_ids={"tmall": "b"}, actor=SYSTEM, now=clock.now()))

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(enrol, range(6)))) == 1
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Member)) == 1
        assert session.scalar(sa.select(sa.func.count()).select_from(MemberIdentity)) == 1


def test_an_identity_of_a_channel_belongs_to_one_member(session, clock):
    one, other = a_member(session, now=clock.now()), a_member(session, now=clock.now())
    service.add_identity(session, one, "tmall", "buyer", actor=SYSTEM, now=clock.now())
    service.add_identity(session, one, "tmall", "buyer", actor=SYSTEM, now=clock.now())
    with pytest.raises(IdentityTakenError):
        service.add_identity(session, other, "tmall", "buyer", actor=SYSTEM, now=clock.now())
    service.add_identity(session, other, "jd", "buyer", actor=SYSTEM, now=clock.now())


def test_an_openid_is_found_sealed_and_opened_only_for_its_app(session, clock):
    one = a_member(session, now=clock.now(), openid="o-77")
    assert queries.by_openid(session, "o-77") == one
    assert queries.by_openid(session, "o-77", "wxother") is None
    assert queries.openid_of(session, one, APPID) == "o-77"
    assert queries.openid_of(session, one, "wxother") is None


def test_a_phone_of_somebody_else_is_refused_below_the_flow(session, clock):
    a_member(session, now=clock.now(), phone=PHONES[1])
    other = a_member(session, now=clock.now())
    with pytest.raises(PhoneTakenError):
        service.bind_phone(session, other, PHONES[1], actor=SYSTEM, now=clock.now())
    assert queries.phone_of(session, other) is None


def test_a_new_phone_takes_the_place_of_the_old_one(session, clock):
    one = a_member(session, now=clock.now(), phone=PHONES[1])
    service.bind_phone(session, one, PHONES[2], actor=SYSTEM, now=clock.now())
    assert queries.by_phone(session, PHONES[1]) is None
    assert queries.phone_of(session, one) == PHONES[2]


def test_status_steps_are_held(session, clock):
    one = a_member(session, now=clock.now())
    service.set_status(session, one, "frozen", reason="x", actor=SYSTEM, now=clock.now())
    with pytest.raises(StatusRefusedError):
        service.set_status(session, one, "deleted", reason="x", actor=SYSTEM, now=clock.now())
    service.set_status(session, one, "active", reason="x", actor=SYSTEM, now=clock.now())
    assert queries.require(session, one).status == "active"
    with pytest.raises(NotFoundError):
        service.set_status(session, uuid7(), "frozen", reason="x", actor=SYSTEM, now=clock.now())


def test_the_birthday_job_finds_who_was_born_on_a_day(session, clock):
    def born(calendar, month, day):
        member_id = a_member(session, now=clock.now())
        change = service.ProfileChange(birthday=Birthday(calendar, month, day))
        service.update_profile(session, member_id, change, actor=SYSTEM, now=clock.now())
        return member_id

    wanted = sorted(born("solar", 6, 15) for _ in range(3))
    born("lunar", 6, 15)
    frozen = born("solar", 6, 15)
    service.set_status(session, frozen, "frozen", reason="x", actor=SYSTEM, now=clock.now())
    first = queries.born_on(session, calendar="solar", month=6, day=15, limit=2)
    rest = queries.born_on(session, calendar="solar", month=6, day=15, after=first[-1], limit=2)
    assert sorted([*first, *rest]) == wanted


def test_search_finds_by_whole_phone_last_digits_and_beginning(session, clock):
    one = a_member(session, now=clock.now(), phone=PHONES[7])
    service.update_profile(session, one, service.ProfileChange(nickname="100%_满"), actor=SYSTEM, now=clock.now())
    clock.move(timedelta(seconds=1))
    two = a_member(session, now=clock.now())
    page = PageRequest(10)

    def found(**asked):
        return [view.id for view in queries.search(session, page=page, **asked).items]

    assert found(phone=PHONES[7]) == found(tail="8007") == found(nickname="100%_") == [one]
    assert found(nickname="100x") == []
    assert found() == [two, one]
    assert found(member_ids=[]) == []
    assert found(status="frozen") == []
    first = queries.search(session, page=PageRequest(1))
    assert first.next_cursor is not None
    assert [view.id for view in queries.search(session, page=PageRequest.of(1, first.next_cursor)).items] == [one]


def test_a_merge_moves_identities_log_ins_and_the_later_consent(session, clock):
    gone, stays = (
        a_member(session, now=clock.now(), openid="o-1", phone=PHONES[1]),
        an_unclaimed_member(session, now=clock.now(), pos_id="1"),
    )
    yes, no = (service.ConsentChoice("marketing", "1", granted) for granted in (True, False))
    service.declare_consents(session, stays, [yes], source="staff", actor=SYSTEM, now=clock.now())
    clock.move(timedelta(seconds=1))
    service.declare_consents(session, gone, [no], source="mini_program", actor=SYSTEM, now=clock.now())
    clock.move(timedelta(seconds=1))
    service.merge_members(session, gone, stays, reason="phone", carried={"points": 1}, actor=SYSTEM, now=clock.now())
    assert queries.by_openid(session, "o-1") == stays
    assert queries.phone_of(session, stays) == PHONES[1]
    assert session.scalars(sa.select(MemberSession.member_id)).all() == [stays]
    assert not queries.has_consented(session, stays, "marketing")
    entry = merge_queries.merges_of(session, stays)[0]
    assert (entry.from_id, entry.carried) == (gone, {"points": 1})
    assert merge_queries.merges(session, PageRequest(5)).items[0] == entry
    for pair in ((gone, stays), (stays, stays)):
        with pytest.raises(MergeRefusedError):
            service.merge_members(session, *pair, reason="x", carried={}, actor=SYSTEM, now=clock.now())
    assert queries.resolve(session, gone) == stays
    assert queries.resolve(session, uuid7()) is None


@pytest.mark.parametrize("model", [MemberConsent, MemberMerge])
def test_consents_and_merges_are_never_edited(core, clock, model):
    def work(session):
        gone, stays = a_member(session, now=clock.now()), a_member(session, now=clock.now())
        service.declare_consents(
            session, gone, [service.ConsentChoice("surveys", "1", True)], source="staff", actor=SYSTEM, now=clock.now()
        )
        service.merge_members(session, gone, stays, reason="x", carried={}, actor=SYSTEM, now=clock.now())

    core.db.run(work)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        core.db.run(lambda s: s.execute(sa.delete(model)))


def test_old_log_ins_are_forgotten(session, clock):
    a_member(session, now=clock.now())
    assert service.forget_sessions(session, clock.now()) == 0
    assert service.forget_sessions(session, clock.now() + timedelta(days=31)) == 1


TODAY = date(2026, 6, 15)


@pytest.mark.parametrize(
    "birthday",
    [
        Birthday("solar", 2, 29),
        Birthday("solar", 2, 29, 2024),
        Birthday("solar", 6, 15, 2026),
        Birthday("lunar", 12, 30),
        Birthday("lunar", 1, 1, 1990),
    ],
)
def test_these_days_exist(birthday):
    assert rules.checked_birthday(birthday, TODAY) == birthday


@pytest.mark.parametrize(
    "birthday",
    [
        Birthday("solar", 2, 30),
        Birthday("solar", 2, 29, 2025),
        Birthday("solar", 6, 16, 2026),
        Birthday("solar", 1, 1, 1899),
        Birthday("solar", 13, 1),
        Birthday("lunar", 12, 31),
        Birthday("lunar", 1, 0),
        Birthday("julian", 1, 1),
        Birthday("lunar", 1, 1, 2027),
    ],
)
def test_these_days_do_not_exist(birthday):
    with pytest.raises(BirthdayInvalidError):
        rules.checked_birthday(birthday, TODAY)


@pytest.mark.parametrize("typed", ["13800138000", "138 0013 8000", "+86 138-0013-8000", "008613800138000", " 13800138000 "])
def test_a_phone_number_has_one_form(typed):
    assert rules.normalised_phone(typed) == "+8613800138000"


@pytest.mark.parametrize("typed", ["", "abc", "12", "+86123", "99999999999999"])
def test_what_is_no_phone_number_is_refused(typed):
    with pytest.raises(PhoneInvalidError):
        rules.normalised_phone(typed)


@pytest.mark.parametrize(
    ("phone", "masked"), [("+8613800138000", "138****8000"), ("+85291234567", "+85****4567"), ("+14155552671", "+14****2671")]
)
def test_a_masked_number_hides_its_middle(phone, masked):
    assert rules.masked_phone(phone) == masked


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("nonsense", None), (None, None)],
)
def test_only_the_network_of_an_address_is_kept(address, network):
    assert rules.network_of(address) == network


def test_completeness_counts_to_a_hundred_and_is_reached_without_a_picture():
    every = dict.fromkeys(("nickname", "phone", "birthday", "gender", "city", "interests", "avatar"), True)
    assert rules.completeness(every) == 100
    assert rules.completeness({**every, "avatar": False}) == rules.COMPLETE_AT
    assert rules.completeness({}) == 0


def test_the_older_record_survives():
    def candidate(days, number, *apps):
        from datetime import UTC, datetime
        from uuid import UUID

        return rules.MergeCandidate(UUID(int=number), datetime(2026, 1, days, tzinfo=UTC), "active", frozenset(apps))

    old, new = candidate(1, 2, "wxa"), candidate(2, 1)
    assert rules.survivor(old, new) == rules.survivor(new, old) == (new.member_id, old.member_id)
    twins = candidate(1, 1), candidate(1, 2)
    assert rules.survivor(*twins) == (twins[1].member_id, twins[0].member_id)
    assert rules.merge_is_automatic(old, new)
    assert rules.merge_is_automatic(old, candidate(3, 3, "wxb"))
    assert not rules.merge_is_automatic(old, candidate(3, 3, "wxa"))
