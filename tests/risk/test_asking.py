"""Who may go through: the block list, the rules, the release; on every engine, raced and replayed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.flows import merge as merging
from server.kernel.errors import InvalidError
from server.kernel.pagination import PageRequest
from server.risk import queries, rules, service
from server.risk.errors import EntryEndedError, EntryExistsError, NothingHeldError, ReasonRequiredError, RefusalReleasedError
from server.risk.models import RiskEntry, RiskHold, RiskPass, RiskRefusal, RiskTry
from server.risk.rules import Kind, Scope, Way
from server.risk.service import Target
from tests.conftest import START
from tests.factories.members import PHONES, SYSTEM, a_member

DEVICE = "wx-device-0001"


def a_user(session, device=DEVICE, **more):
    member_id = a_member(session, now=START, **more)
    if device:
        service.note_device(session, member_id, device, now=START)
    return member_id


def block(session, target, scope="all", until=None, now=START):
    return service.add_entry(session, target, scope=scope, reason="羊毛党", until=until, actor=SYSTEM, now=now)


def a_rule(session, code, most):
    wanted = [replace(rule, most=most) if rule.code == code else rule for rule in rules.DEFAULTS]
    return service.change_rules(session, wanted, actor=SYSTEM, now=START)


def count(session, model):
    return session.scalar(sa.select(sa.func.count()).select_from(model))


def all_refusals(session):
    return queries.refusals(session, PageRequest(50)).items


@pytest.mark.parametrize(("kind", "text"), [(Kind.PHONE, PHONES[0]), (Kind.DEVICE, DEVICE), (Kind.ADDRESS, "上海市 静安区 南京西路 1 号")])
def test_what_is_blocked_holds_who_uses_it_and_nobody_else(session, kind, text):
    owner = a_user(session, phone=PHONES[0])
    service.note_address(session, owner, "上海市静安区南京西路1号", now=START)
    other = a_user(session, device="wx-device-0002", phone=PHONES[1])
    entry = block(session, Target(kind, text=text), scope="coupons")
    assert service.ask(session, owner, Way.CODE, now=START).entry_id == entry.id
    assert service.ask(session, owner, Way.CHECK_IN, now=START) is None  # another scope
    assert service.ask(session, other, Way.CODE, now=START) is None
    # Nothing of what was blocked can be read again.
    row = session.execute(sa.select(RiskEntry.mark, RiskEntry.hint)).one()
    assert text not in row.mark
    assert text not in row.hint
    service.end_entry(session, entry.id, reason="误伤", actor=SYSTEM, now=START)
    assert service.ask(session, owner, Way.CODE, now=START) is None
    with pytest.raises(EntryEndedError):
        service.end_entry(session, entry.id, reason="误伤", actor=SYSTEM, now=START)


def test_who_binds_what_is_blocked_later_is_held_from_then_on(session):
    block(session, Target(Kind.PHONE, text=PHONES[3]))
    block(session, Target(Kind.DEVICE, text=DEVICE), scope="points")
    member_id = a_user(session, device=None)
    assert queries.holds_of(session, member_id, START) == []
    merging.bind_phone(session, member_id, PHONES[3], actor=SYSTEM, now=START)
    assert [hold.scope for hold in queries.holds_of(session, member_id, START)] == sorted(map(str, Scope))
    service.note_device(session, member_id, DEVICE, now=START)
    assert len(queries.holds_of(session, member_id, START)) == 5


def test_a_number_that_came_with_a_file_is_held_by_the_job(session):
    block(session, Target(Kind.PHONE, text=PHONES[4]))
    member_id = a_member(session, now=START, phone=PHONES[4])  # past the flow that notes it
    assert service.resolve_entries(session, START) == (4, None)
    assert service.resolve_entries(session, START) == (0, None)
    assert queries.hold_of(session, member_id, "rewards", START) is not None


def test_an_entry_ends_by_itself_and_can_then_be_made_anew(session):
    member_id = a_user(session)
    target, later = Target(Kind.MEMBER, member_id=member_id), START + timedelta(hours=1)
    block(session, target, until=later)
    with pytest.raises(EntryExistsError):
        block(session, target)
    assert service.ask(session, member_id, Way.GIFT, now=START) is not None
    assert service.ask(session, member_id, Way.GIFT, now=later) is None
    block(session, target, now=later)
    assert service.ask(session, member_id, Way.GIFT, now=later) is not None


@pytest.mark.parametrize(
    ("target", "scope", "reason", "until", "error"),
    [
        (Target(Kind.DEVICE, text=DEVICE), "all", " ", None, ReasonRequiredError),
        (Target(Kind.DEVICE, text=DEVICE), "everything", "x", None, InvalidError),
        (Target(Kind.DEVICE, text=DEVICE), "all", "x", START, InvalidError),
        (Target(Kind.ADDRESS, text=" ,。 "), "all", "x", None, InvalidError),
        (Target(Kind.MEMBER), "all", "x", None, InvalidError),
    ],
)
def test_what_makes_no_entry_changes_nothing(session, target, scope, reason, until, error):
    with pytest.raises(error):
        service.add_entry(session, target, scope=scope, reason=reason, until=until, actor=SYSTEM, now=START)
    assert count(session, RiskEntry) == 0


def test_a_device_goes_through_as_often_as_its_rule_says_and_no_oftener(session):
    version = a_rule(session, "check_ins_per_device", 2)
    one, two, three = (a_user(session) for _ in range(3))
    assert [service.ask(session, who, Way.CHECK_IN, now=START) for who in (one, two, one)] == [None, None, None]
    refused = service.ask(session, three, Way.CHECK_IN, now=START)
    assert (refused.rule, refused.version) == ("check_ins_per_device", version)
    assert [(row.member_id, row.way, row.rule_version) for row in all_refusals(session)] == [(three, "check_in", version)]
    assert service.ask(session, three, Way.CHECK_IN, now=START + timedelta(days=1)) is None


def test_who_tells_no_device_is_refused_by_no_rule_of_devices(session):
    a_rule(session, "codes_per_device", 1)
    honest = a_user(session, device=None)
    assert [service.ask(session, honest, Way.CODE, now=START) for _ in range(5)] == [None] * 5


def test_an_address_counts_however_it_is_written(session):
    a_rule(session, "redemptions_per_address", 1)
    one, two = a_user(session, device=None), a_user(session, device=None)
    assert service.ask(session, one, Way.REDEMPTION, address="Nanjing Rd. 1, 静安", now=START) is None
    assert service.ask(session, two, Way.REDEMPTION, address="nanjing rd 1 静安", now=START).rule == "redemptions_per_address"


def test_a_release_lets_through_for_its_time_and_once(session):
    member_id = a_user(session)
    block(session, Target(Kind.MEMBER, member_id=member_id))
    service.ask(session, member_id, Way.CHECK_IN, now=START)
    (refusal,) = all_refusals(session)
    until = START + timedelta(days=1)
    with pytest.raises(ReasonRequiredError):
        service.release(session, refusal.id, until=until, reason="", actor=SYSTEM, now=START)
    assert service.release(session, refusal.id, until=until, reason="本人", actor=SYSTEM, now=START).released_why == "本人"
    with pytest.raises(RefusalReleasedError):
        service.release(session, refusal.id, until=until, reason="本人", actor=SYSTEM, now=START)
    assert count(session, RiskPass) == 1
    assert service.ask(session, member_id, Way.CHECK_IN, now=START) is None
    assert service.ask(session, member_id, Way.CODE, now=START) is not None  # released where it was refused, not everywhere
    assert service.resolve_entries(session, START)[0] == 0
    service.resolve_entries(session, until)
    assert service.ask(session, member_id, Way.CHECK_IN, now=until) is not None


def test_a_held_member_is_released_from_their_card(session):
    member_id = a_user(session)
    assert service.hold_member(session, member_id, "coupons", "claims_per_device", until=None, now=START)
    service.release_member(session, member_id, "coupons", until=None, reason="团购", actor=SYSTEM, now=START)
    assert not service.hold_member(session, member_id, "coupons", "claims_per_device", until=None, now=START)
    with pytest.raises(NothingHeldError):
        service.release_member(session, member_id, "coupons", until=None, reason="团购", actor=SYSTEM, now=START)


def test_what_joins_two_records_joins_their_holds(session):
    one, two = a_user(session), a_user(session)
    for who in (one, two):
        block(session, Target(Kind.MEMBER, member_id=who), scope="points")
    block(session, Target(Kind.DEVICE, text=DEVICE), scope="points")
    service.ask(session, one, Way.CHECK_IN, now=START)
    merging.merge(session, one, two, reason="same person", actor=SYSTEM, now=START)
    assert [row.member_id for row in all_refusals(session)] == [two]
    assert set(session.scalars(sa.select(RiskHold.member_id))) == {two}
    assert queries.hold_of(session, two, "points", START) is not None
    live = session.scalars(sa.select(RiskEntry.member_id).where(RiskEntry.kind == "member", RiskEntry.ended_at.is_(None))).all()
    assert live == [two]


def test_who_leaves_is_forgotten_and_what_is_old_too(session):
    member_id = a_user(session)
    service.ask(session, member_id, Way.CODE, now=START)
    block(session, Target(Kind.MEMBER, member_id=member_id))
    service.ask(session, member_id, Way.CODE, now=START)
    assert service.forget_member(session, member_id, actor=SYSTEM, now=START) > 0
    assert (count(session, RiskHold), count(session, RiskTry)) == (0, 0)
    assert [(row.mark, row.member_id) for row in all_refusals(session)] == [(None, member_id)]
    a_user(session)
    assert service.forget_old(session, START) == 0
    assert service.forget_old(session, START + timedelta(days=400)) > 0
    assert queries.device_of(session, member_id) is None


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    farm=st.lists(st.integers(0, 3), min_size=1, max_size=24),
    most=st.integers(1, 4),
    way=st.sampled_from([Way.CODE, Way.CHECK_IN, Way.GIFT]),
)
def test_a_farm_gets_at_most_what_the_rules_allow(core, farm, most, way):
    """K members behind M devices, each asking twice: no device passes more than the rule lets through."""
    with core.db.reading() as session:
        rule = next(rule for rule in queries.velocity_rules(session)[1] if rule.way is way and rule.per is Kind.DEVICE)
    with core.db.transaction() as session:
        version = queries.velocity_rules(session)[0]
        a_rule(session, rule.code, most)
        assert queries.velocity_rules(session)[0] == version + 1
        salt = f"farm-{version:06d}"
        people = [(a_user(session, device=f"{salt}-{device}"), device) for device in farm]
        through = {}
        for who, device in people * 2:
            if service.ask(session, who, way, now=START) is None:
                through.setdefault(device, []).append(who)
    for who in through.values():
        assert len(set(who) if rule.count is rules.Count.MEMBERS else who) <= most
    assert set(through) == set(farm)


def at_once(core, works):
    """Run pieces of work in as many threads, started together; return what each gave or refused."""
    start = Barrier(len(works))

    def one(work):
        start.wait()
        try:
            return core.db.run(work)
        except Exception as error:  # noqa: BLE001 - what a loser is told is what the test looks at
            return type(error)

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(one, works))


def test_members_of_one_device_that_ask_at_once_get_no_more_than_the_rule_says(core):
    def farm(session):
        a_rule(session, "check_ins_per_device", 3)
        return [a_user(session) for _ in range(8)]

    people = core.db.run(farm)
    answers = at_once(core, [lambda session, who=who: service.ask(session, who, Way.CHECK_IN, now=START) for who in people])
    assert [answer for answer in answers if answer is None] == [None] * 3
    with core.db.reading() as session:
        assert len(all_refusals(session)) == 5


def test_of_two_who_release_one_is_told_that_it_is_done(core):
    def refuse(session):
        member_id = a_user(session)
        block(session, Target(Kind.MEMBER, member_id=member_id))
        service.ask(session, member_id, Way.CODE, now=START)
        return all_refusals(session)[0].id

    refusal_id = core.db.run(refuse)

    def release(session):
        return service.release(session, refusal_id, until=None, reason="本人", actor=SYSTEM, now=START).id

    assert sorted(map(str, at_once(core, [release, release]))) == sorted([str(refusal_id), str(RefusalReleasedError)])
    with core.db.reading() as session:
        assert count(session, RiskPass) == 1


def test_what_is_blocked_while_somebody_logs_in_with_it_holds_them(core):
    for turn in range(4):
        device = f"wx-device-race-{turn}"
        member_id = core.db.run(lambda session: a_user(session, device=None))
        at_once(
            core,
            [
                lambda session, device=device: block(session, Target(Kind.DEVICE, text=device)).id,
                lambda session, who=member_id, device=device: service.note_device(session, who, device, now=START),
            ],
        )
        with core.db.reading() as session:
            assert len(queries.holds_of(session, member_id, START)) == 4


def test_two_who_block_the_same_make_one_entry(core):
    work = lambda session: block(session, Target(Kind.DEVICE, text=DEVICE)).kind  # noqa: E731 - one line says it
    assert sorted(map(str, at_once(core, [work, work]))) == sorted(["device", str(EntryExistsError)])


def test_refusals_are_found_by_what_staff_look_for(session):
    member_id = a_user(session)
    a_rule(session, "codes_per_device", 1)
    service.ask(session, member_id, Way.CODE, now=START)
    service.ask(session, member_id, Way.CODE, now=START)
    for found in ({"member_id": member_id}, {"way": "code"}, {"rule": "codes_per_device"}, {"released": False}, {"since": START}):
        assert len(queries.refusals(session, PageRequest(5), **found).items) == 1
    for none in ({"way": "gift"}, {"released": True}, {"until": START}):
        assert queries.refusals(session, PageRequest(5), **none).items == []
    assert sum(queries.refused_by_day(session, START).values()) == 1
    assert queries.counts(session, START) == (0, 0, 1)
    assert session.scalar(sa.select(RiskRefusal.mark)).startswith("device:")
