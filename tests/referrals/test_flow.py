"""A friend is bound once, when they join; both sides are rewarded once, when the friend's order is final; loops get nothing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from server.flows import merge, referral
from server.flows.login import log_in
from server.kernel.actors import MemberActor
from server.kernel.ids import uuid7
from server.members import service as members
from server.orders.drafts import MemberRef
from server.points import proofs
from server.points import queries as points
from server.referrals import queries, rules, service
from server.referrals.errors import ReferralDecidedError
from server.referrals.models import Referral
from server.referrals.rules import ReferralPolicy
from tests.conftest import START
from tests.factories.members import APPID, PHONES, an_unclaimed_member
from tests.factories.orders import SYSTEM, a_draft, a_till_draft, an_event, an_order, told

NOW = START
WEEK = timedelta(days=7)


def joined(session, code=None, *, at=NOW, device=None, openid=None):
    values = {"unionid": None, "client": None, "address": None, "policy_version": None}
    return log_in(session, appid=APPID, openid=openid or f"o-{uuid7().hex}", invite_code=code, device=device, now=at, **values).member_id


def a_pair(session, **friend):
    inviter = joined(session, device=friend.pop("inviters_device", None))
    return inviter, joined(session, service.ensure_code(session, inviter, now=NOW), **friend)


def of(session, friend):
    return queries.find(session, session.scalar(sa.select(Referral.id).where(Referral.friend_id == friend).order_by(Referral.joined_at)))


def buys(session, friend, *, at=NOW, make=a_till_draft):
    draft = make(now=at + timedelta(hours=1), member=MemberRef(member_id=friend))
    an_order(session, draft, now=at + timedelta(hours=1))
    return draft


def swept(session, *, at):
    while referral.reward_due(session, at) == 20:
        pass


def available(session, *who):
    return [points.balance(session, member, now=NOW).available for member in who]


@pytest.mark.requirement("PTS10")
def test_both_sides_are_rewarded_once_after_the_return_window(session):
    inviter, friend = a_pair(session)
    buys(session, friend)
    swept(session, at=NOW + WEEK)
    members.set_status(session, inviter, "frozen", reason="looked into", actor=SYSTEM, now=NOW + WEEK)
    swept(session, at=NOW + timedelta(days=8))
    assert available(session, inviter, friend) == [0, 0]
    members.set_status(session, inviter, "active", reason="nothing found", actor=SYSTEM, now=NOW + timedelta(days=8))
    for later in (9, 10):
        swept(session, at=NOW + timedelta(days=later))
    assert available(session, inviter, friend) == [100, 50]
    found = of(session, friend)
    assert (found.state, found.inviter_points, found.friend_points) == (rules.REWARDED, 100, 50)
    assert queries.summary(session, inviter) == queries.Summary(1, 1, 100)
    assert proofs.prove(session) == []


def test_a_refund_within_the_window_lets_the_next_order_count_and_one_after_it_changes_nothing(session):
    inviter, friend = a_pair(session)
    first = buys(session, friend)
    told(session, first, an_event("refunded", NOW, refund_id="r"), now=NOW + timedelta(hours=2))
    second = buys(session, friend, at=NOW + timedelta(days=3), make=a_draft)
    swept(session, at=NOW + timedelta(days=12))
    assert of(session, friend).state == rules.WAITING
    told(session, second, an_event("shipped", NOW + timedelta(days=4)), now=NOW + timedelta(days=12))
    told(session, second, an_event("delivered", NOW + timedelta(days=5)), now=NOW + timedelta(days=12))
    swept(session, at=NOW + timedelta(days=12, hours=6))
    assert available(session, inviter, friend) == [100, 50]
    told(session, second, an_event("refunded", NOW, refund_id="late"), now=NOW + timedelta(days=13))
    assert available(session, inviter, friend) == [100, 50]


def test_nobody_is_bound_later_or_by_an_unknown_code_or_while_it_is_switched_off(session):
    inviter = joined(session)
    code = service.ensure_code(session, inviter, now=NOW)
    assert service.ensure_code(session, inviter, now=NOW) == code
    known = joined(session, openid="o-known")
    assert joined(session, code, openid="o-known") == known
    joined(session, "22222222")
    service.change_policy(session, ReferralPolicy(enabled=False), actor=SYSTEM, now=NOW)
    joined(session, code)
    assert session.scalar(sa.select(sa.func.count()).select_from(Referral)) == 0


def test_one_persons_two_records_get_nothing(session):
    inviter, friend = a_pair(session, inviters_device="device-0001", device="device-0001")
    assert (of(session, friend).state, of(session, friend).reason) == (rules.REFUSED, rules.SAME_DEVICE)

    # The number goes from the inviter to the friend, by way of a third record that the inviter's was merged with.
    inviter, friend = a_pair(session)
    merge.bind_phone(session, inviter, PHONES[1], actor=MemberActor(inviter), now=NOW)
    merge.bind_phone(session, inviter, PHONES[2], actor=MemberActor(inviter), now=NOW)
    merge.bind_phone(session, friend, PHONES[1], actor=MemberActor(friend), now=NOW)
    buys(session, friend)
    swept(session, at=NOW + timedelta(days=9))
    assert of(session, friend).reason == rules.SAME_PHONE

    inviter, friend = a_pair(session)
    merge.merge(session, friend, inviter, reason="same person", actor=SYSTEM, now=NOW)
    assert of(session, inviter).reason == rules.SELF

    # A invites B, and B's record ends in the one that invited A.
    first, second = a_pair(session)
    third = joined(session, service.ensure_code(session, second, now=NOW))
    merge.merge(session, third, first, reason="same person", actor=SYSTEM, now=NOW)
    buys(session, second)
    swept(session, at=NOW + timedelta(days=9))
    assert of(session, second).reason == rules.CIRCLE


def test_who_bought_before_joining_is_no_new_member(session):
    till = an_unclaimed_member(session, now=NOW - WEEK, phone=PHONES[5])
    an_order(session, a_till_draft(now=NOW - WEEK, member=MemberRef(member_id=till)), now=NOW - WEEK)
    inviter, friend = a_pair(session)
    survivor = merge.bind_phone(session, friend, PHONES[5], actor=MemberActor(friend), now=NOW).member_id
    buys(session, survivor)
    swept(session, at=NOW + timedelta(days=9))
    assert (of(session, survivor).reason, available(session, inviter)) == (rules.KNOWN_BEFORE, [0])


def test_two_invitations_of_one_person_are_rewarded_once(session):
    (one, first), (other, second) = a_pair(session), a_pair(session)
    buys(session, first)
    swept(session, at=NOW + timedelta(days=9))
    buys(session, second, at=NOW + timedelta(days=1))
    merge.merge(session, first, second, reason="same person", actor=SYSTEM, now=NOW)
    swept(session, at=NOW + timedelta(days=30))
    assert available(session, one, other) == [100, 0]
    states = session.scalars(sa.select(Referral.state).where(Referral.friend_id == second).order_by(Referral.state)).all()
    assert states == [rules.REFUSED, rules.REWARDED]


def test_more_friends_a_day_than_usual_are_held_for_staff(session):
    service.change_policy(session, ReferralPolicy(daily_cap=1), actor=SYSTEM, now=NOW)
    inviter, _ = a_pair(session)
    code = service.ensure_code(session, inviter, now=NOW)
    good, bad = joined(session, code), joined(session, code)
    assert {of(session, friend).reason for friend in (good, bad)} == {rules.VELOCITY}
    for friend in (good, bad):
        buys(session, friend)
    swept(session, at=NOW + timedelta(days=9))
    assert available(session, inviter) == [0]
    service.decide(session, of(session, good).id, release=True, reason="a club", actor=SYSTEM, now=NOW)
    service.decide(session, of(session, bad).id, release=False, reason="a farm", actor=SYSTEM, now=NOW)
    with pytest.raises(ReferralDecidedError):
        service.decide(session, of(session, bad).id, release=True, reason="again", actor=SYSTEM, now=NOW)
    swept(session, at=NOW + timedelta(days=9))
    assert (available(session, inviter), of(session, bad).state) == ([100], rules.REFUSED)


@pytest.mark.committing
def test_jobs_that_meet_reward_a_pair_once(core):
    def prepare(session):
        pair = a_pair(session)
        buys(session, pair[1])
        return pair, of(session, pair[1]).id

    pair, referral_id = core.db.run(prepare)
    gate = threading.Barrier(4)

    def one(_):
        gate.wait(5)
        return core.db.run(lambda session: referral.settle(session, referral_id, now=NOW + timedelta(days=9)))

    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(one, range(4)))
    assert sorted(map(str, states)) == ["None", "None", "None", rules.REWARDED]
    with core.db.reading() as session:
        assert available(session, *pair) == [100, 50]
        assert proofs.prove(session) == []
