"""What risk control keeps back by itself is given after a release, once; claims of coupons are looked at afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from server.coupons import service as coupons
from server.flows import risk as flow
from server.kernel.actors import MemberActor
from server.kernel.pagination import PageRequest
from server.risk import queries, rules, service
from server.risk.rules import Kind
from server.risk.service import Target
from server.triggers import service as triggers
from server.triggers.rules import TriggerKind
from tests.conftest import START
from tests.factories.coupons import a_template
from tests.factories.members import SYSTEM, a_member
from tests.factories.triggers import a_trigger

LATER = START + timedelta(minutes=1)


def of_device(session, device="wx-device-0001"):
    member_id = a_member(session, now=START)
    service.note_device(session, member_id, device, now=START)
    return member_id


def welcome(session, member_id):
    return triggers.welcome(session, member_id, occurred_at=START, now=LATER)


def refused(session):
    return queries.refusals(session, PageRequest(20)).items


def test_a_welcome_pack_that_was_refused_is_given_once_after_the_release(session):
    a_trigger(session, TriggerKind.WELCOME, now=START - timedelta(days=1))
    member_id = of_device(session)
    service.add_entry(session, Target(Kind.MEMBER, member_id=member_id), scope="all", reason="x", until=None, actor=SYSTEM, now=START)
    assert (welcome(session, member_id), welcome(session, member_id)) == (0, 0)
    (one,) = refused(session)  # asked for twice, listed once
    given = flow.release(session, one.id, until=None, give=True, reason="本人", actor=SYSTEM, now=LATER)
    assert given == 1
    assert flow.give_now(session, one.id, now=LATER) == 0


def test_a_farm_gets_as_many_welcome_packs_as_the_rule_says(session):
    a_trigger(session, TriggerKind.WELCOME, now=START - timedelta(days=1))
    farm = [of_device(session) for _ in range(9)]
    assert sum(welcome(session, one) for one in farm) == 6
    assert {row.member_id for row in refused(session)} == set(farm[6:])
    assert sum(welcome(session, one) for one in farm) == 0


def test_a_device_that_claimed_too_much_is_held_afterwards_and_listed(session):
    wanted = [replace(rule, most=3) if rule.code == "claims_per_device" else rule for rule in rules.DEFAULTS]
    service.change_rules(session, wanted, actor=SYSTEM, now=START)
    template = a_template(session, now=START)
    farm, honest = [of_device(session) for _ in range(4)], of_device(session, "wx-device-0002")
    for one in (*farm, honest):
        coupons.claim(session, one, template, actor=MemberActor(one), now=LATER)
    assert flow.watch_claims(session, now=LATER) == 4
    assert flow.watch_claims(session, now=LATER) == 0
    assert {row.member_id for row in refused(session)} == set(farm)
    assert queries.hold_of(session, farm[0], "coupons", LATER) is not None
    assert queries.hold_of(session, honest, "coupons", LATER) is None
    assert queries.hold_of(session, farm[0], "coupons", LATER + timedelta(days=1)) is None
