"""A coupon for a friend: offered by a link, accepted once by one, or back in the giver's wallet."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from server.coupons import funnel_queries, gift_queries, issue_queries, queries, service
from server.coupons.errors import (
    ClaimLimitReachedError,
    CouponNotAvailableError,
    CouponNotFoundError,
    GiftEndedError,
    GiftNotFoundError,
    GiftsExhaustedError,
    NotGiftableError,
    OwnGiftError,
    TierNotEligibleError,
)
from server.coupons.models import Coupon, CouponGift
from server.coupons.rules.terms import Scope, Validity
from server.coupons.service import recalls
from server.flows import merge
from server.kernel.actors import MemberActor
from server.kernel.outbox import OutboxEvent
from server.kernel.pagination import PageRequest
from server.kernel.source import Source
from tests.conftest import START
from tests.coupons.test_races import at_once, some_members, wide
from tests.coupons.test_recalls import an_issued_file
from tests.factories.coupons import STAFF, SYSTEM, a_coupon, a_member, a_template, some_terms

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from sqlalchemy.orm import Session

    from config.settings import Settings
    from server.bootstrap import Core

NOW = START
GIFTABLE = some_terms(giftable=True)


def offered(session: Session, giver: UUID, **draft: Any) -> tuple[queries.CouponView, service.Offer]:
    coupon = a_coupon(session, giver, now=NOW, **({"terms": GIFTABLE} | draft))
    return coupon, service.offer(session, giver, coupon.id, actor=MemberActor(giver), now=NOW)


def accept(session: Session, friend: UUID, token: str, *, now=NOW) -> queries.CouponView:
    return service.accept(session, friend, token, actor=MemberActor(friend), now=now)


def test_a_friend_gets_a_coupon_in_the_place_of_the_givers(session):
    giver, friend = a_member(session, now=NOW), a_member(session, now=NOW)
    coupon, offer = offered(session, giver, stock=5, budget_fen=2000 * 5)
    assert (offer.coupon.state, offer.expires_at) == ("offered", NOW + timedelta(hours=24))
    with pytest.raises(CouponNotAvailableError):
        service.lock(session, coupon.id, channel="mall", external_no="1", actor=SYSTEM, now=NOW)
    got = accept(session, friend, offer.token)
    assert (got.member_id, got.state, got.valid_until, got.template_id) == (friend, "issued", coupon.valid_until, coupon.template_id)
    assert (got.code != coupon.code, got.terms.amount_off_fen, got.terms.giftable) == (True, 2000, False)
    # The code the giver has seen buys nothing any more.
    with pytest.raises(CouponNotAvailableError):
        service.redeem(session, coupon.id, channel="mall", external_no="1", discount_fen=1, actor=SYSTEM, now=NOW)
    template = queries.find_template(session, coupon.template_id)
    assert (template.issued, template.left, template.budget_committed_fen) == (1, 4, 2000)
    funnel = funnel_queries.funnel(session, coupon.template_id, now=NOW)
    assert (funnel.issued, funnel.available) == (1, 1)
    # The budget is given back once, by the one that can still cost it.
    service.void(session, got.id, reason="mistake", actor=STAFF, now=NOW)
    assert queries.find_template(session, coupon.template_id).budget_committed_fen == 0
    # Accepting again changes nothing; nobody else gets one.
    assert accept(session, friend, offer.token.lower()).id == got.id
    with pytest.raises(GiftEndedError, match="accepted"):
        accept(session, a_member(session, now=NOW), offer.token)


def test_what_was_given_is_not_given_on(session):
    giver, friend = a_member(session, now=NOW), a_member(session, now=NOW)
    _, offer = offered(session, giver)
    got = accept(session, friend, offer.token)
    with pytest.raises(NotGiftableError):
        service.offer(session, friend, got.id, actor=MemberActor(friend), now=NOW)
    ordinary = a_coupon(session, giver, now=NOW)
    with pytest.raises(NotGiftableError):
        service.offer(session, giver, ordinary.id, actor=MemberActor(giver), now=NOW)


def test_only_what_is_ones_own_and_to_be_had_is_offered_and_answered(session):
    giver, friend = a_member(session, now=NOW), a_member(session, now=NOW)
    coupon, offer = offered(session, giver)
    with pytest.raises(CouponNotFoundError):
        service.offer(session, friend, coupon.id, actor=MemberActor(friend), now=NOW)
    with pytest.raises(CouponNotFoundError):
        service.withdraw(session, friend, coupon.id, actor=MemberActor(friend), now=NOW)
    with pytest.raises(CouponNotAvailableError, match="offered"):
        service.offer(session, giver, coupon.id, actor=MemberActor(giver), now=NOW)
    with pytest.raises(OwnGiftError):
        accept(session, giver, offer.token)
    with pytest.raises(OwnGiftError):
        service.refuse(session, giver, offer.token, actor=MemberActor(giver), now=NOW)
    with pytest.raises(GiftNotFoundError):
        accept(session, friend, "NOSUCHTOKEN")
    over, _ = offered(session, giver)
    service.withdraw(session, giver, over.id, actor=MemberActor(giver), now=NOW)
    with pytest.raises(CouponNotAvailableError, match="expired"):
        service.offer(session, giver, over.id, actor=MemberActor(giver), now=over.valid_until)


def test_a_gift_that_is_refused_or_taken_back_can_be_used_and_offered_again(session):
    giver, friend = a_member(session, now=NOW), a_member(session, now=NOW)
    coupon, offer = offered(session, giver)
    service.refuse(session, friend, offer.token, actor=MemberActor(friend), now=NOW)
    service.refuse(session, friend, offer.token, actor=MemberActor(friend), now=NOW)
    assert queries.find(session, coupon.id).state == "issued"
    second = service.offer(session, giver, coupon.id, actor=MemberActor(giver), now=NOW)
    assert service.withdraw(session, giver, coupon.id, actor=MemberActor(giver), now=NOW).state == "issued"
    assert service.withdraw(session, giver, coupon.id, actor=MemberActor(giver), now=NOW).state == "issued"
    with pytest.raises(GiftEndedError, match="back"):
        accept(session, friend, second.token)
    assert service.lock(session, coupon.id, channel="mall", external_no="1", actor=SYSTEM, now=NOW).state == "locked"
    service.unlock(session, coupon.id, channel="mall", external_no="1", actor=SYSTEM, now=NOW)
    third = service.offer(session, giver, coupon.id, actor=MemberActor(giver), now=NOW)
    accept(session, friend, third.token)
    with pytest.raises(GiftEndedError, match="accepted"):
        service.withdraw(session, giver, coupon.id, actor=MemberActor(giver), now=NOW)
    states = [gift.state for gift in gift_queries.of_coupon(session, coupon.id, now=NOW)]
    assert states == ["refused", "withdrawn", "accepted"]
    topics = session.scalars(sa.select(OutboxEvent.topic).where(OutboxEvent.topic == "coupons.gift_ended")).all()
    assert len(topics) == 2  # what the giver did is no news to the giver


def test_an_offer_nobody_answers_comes_back_after_a_day_or_with_the_coupons_end(session):
    giver, friend = a_member(session, now=NOW), a_member(session, now=NOW)
    coupon, offer = offered(session, giver)
    short, ending = offered(session, giver, validity=Validity(days=1))
    assert ending.expires_at == short.valid_until < NOW + timedelta(hours=24)
    day = NOW + timedelta(hours=24)
    with pytest.raises(GiftEndedError, match="in time"):
        accept(session, friend, offer.token, now=day)
    assert gift_queries.by_token(session, offer.token, now=day).state == "lapsed"
    assert service.lapse_due(session, day - timedelta(microseconds=1), 1) == 1
    assert service.lapse_due(session, day, 10) == 1
    assert service.lapse_due(session, day, 10) == 0
    assert (queries.find(session, coupon.id, now=day).state, queries.find(session, short.id, now=day).state) == ("issued", "expired")
    service.expire_due(session, day)
    assert queries.find(session, short.id).state == "expired"


def test_a_coupon_is_offered_ten_times_at_most(session):
    giver = a_member(session, now=NOW)
    coupon, _ = offered(session, giver)
    for _ in range(9):
        service.withdraw(session, giver, coupon.id, actor=MemberActor(giver), now=NOW)
        service.offer(session, giver, coupon.id, actor=MemberActor(giver), now=NOW)
    service.withdraw(session, giver, coupon.id, actor=MemberActor(giver), now=NOW)
    with pytest.raises(GiftsExhaustedError):
        service.offer(session, giver, coupon.id, actor=MemberActor(giver), now=NOW)


def test_giving_away_does_not_renew_ones_own_limit_and_gifts_have_a_limit_of_their_own(session):
    first, second, friend = (a_member(session, now=NOW) for _ in range(3))
    template = a_template(session, now=NOW, terms=GIFTABLE, per_member=1, stock=10)
    offers = []
    for giver in (first, second):
        coupon = service.claim(session, giver, template, actor=MemberActor(giver), now=NOW)
        offers.append(service.offer(session, giver, coupon.id, actor=MemberActor(giver), now=NOW))
    got = accept(session, friend, offers[0].token)
    with pytest.raises(ClaimLimitReachedError):
        service.claim(session, first, template, actor=MemberActor(first), now=NOW)
    # What was given takes no claim away.
    (claimable,) = [each for each in queries.claimable(session, friend, NOW) if each.template.id == template]
    assert (claimable.claimable, claimable.reason) == (True, None)
    assert service.claim(session, friend, template, actor=MemberActor(friend), now=NOW).id != got.id
    # And nobody collects the coupons of all their friends.
    with pytest.raises(ClaimLimitReachedError):
        accept(session, friend, offers[1].token)
    assert gift_queries.by_token(session, offers[1].token, now=NOW).state == "open"


def test_a_coupon_for_a_tier_stays_within_the_tier(session):
    giver, friend = a_member(session, now=NOW), a_member(session, now=NOW)
    _, offer = offered(session, giver, terms=some_terms(giftable=True, scope=Scope(tiers=("gold",))))
    with pytest.raises(TierNotEligibleError):
        accept(session, friend, offer.token)


def test_staff_void_what_is_offered_and_who_leaves_takes_it_back(session):
    giver, friend = a_member(session, now=NOW), a_member(session, now=NOW)
    coupon, offer = offered(session, giver)
    assert service.void(session, coupon.id, reason="mistake", actor=STAFF, now=NOW).state == "voided"
    with pytest.raises(GiftEndedError, match="back"):
        accept(session, friend, offer.token)
    other, link = offered(session, giver)
    assert service.forget_member(session, giver, actor=STAFF, now=NOW) == 1
    assert queries.find(session, other.id).state == "voided"
    with pytest.raises(GiftEndedError):
        accept(session, friend, link.token)


def test_a_merge_carries_gifts_and_keeps_both_kinds_of_places(session):
    one, two, giver = (a_member(session, now=NOW) for _ in range(3))
    template = a_template(session, now=NOW, terms=GIFTABLE, per_member=2)
    sent = service.claim(session, one, template, actor=MemberActor(one), now=NOW)
    link = service.offer(session, one, sent.id, actor=MemberActor(one), now=NOW)
    for friend in (one, two):
        mine = service.issue(session, giver, template, source=Source("test", f"{friend}"), actor=STAFF, now=NOW)
        accept(session, friend, service.offer(session, giver, mine.id, actor=MemberActor(giver), now=NOW).token)
        service.claim(session, friend, template, actor=MemberActor(friend), now=NOW) if friend is two else None
    merge.merge(session, one, two, reason="test", actor=STAFF, now=NOW)
    places = session.execute(sa.select(Coupon.slot, Coupon.source_namespace).where(Coupon.member_id == two)).all()
    assert sorted(place for place, namespace in places if namespace == "coupons.gift") == [-2, -1]
    assert sorted(place for place, namespace in places if namespace == "claim") == [1, 2]
    with pytest.raises(OwnGiftError):
        accept(session, two, link.token)
    assert [gift.coupon.id for gift in gift_queries.of_member(session, two, PageRequest(10), received=False, now=NOW).items] == [sent.id]
    assert len(gift_queries.of_member(session, two, PageRequest(10), received=True, now=NOW).items) == 2


@pytest.mark.committing
def test_a_recall_follows_what_was_given_on(core: Core, tmp_path: Path):
    template, file_id = an_issued_file(core, tmp_path / "members.csv.gz", 4)
    with core.db.transaction() as session:
        rows = session.scalars(sa.select(Coupon).order_by(Coupon.id)).all()
        for row in rows:
            row.terms = row.terms | {"giftable": True}
        held = [(row.id, row.member_id) for row in rows]
    tokens = []
    for coupon_id, giver in held[:3]:
        with core.db.transaction() as session:
            tokens.append(service.offer(session, giver, coupon_id, actor=MemberActor(giver), now=NOW).token)
    with core.db.transaction() as session:
        friends = [a_member(session, now=NOW) for _ in range(2)]
        got = [accept(session, friend, token) for friend, token in zip(friends, tokens, strict=False)]
        service.redeem(session, got[1].id, channel="mall", external_no="1", discount_fen=2000, actor=SYSTEM, now=NOW)
    with core.db.transaction() as session:
        preview = issue_queries.recall_preview(session, file_id, now=NOW)
        assert (preview.unused, preview.used, preview.over) == (3, 1, 0)
        assert [view.id for view in issue_queries.used_of(session, file_id, PageRequest(10), now=NOW).items] == [got[1].id]
        recall = recalls.open_recall(session, file_id, reason="mistake", actor=STAFF, now=NOW)
        recalls.note_asked(session, recall, file_id)
        recalls.start_recall(session, recall, actor=STAFF, now=NOW)
    while core.db.run(lambda session: recalls.recall_piece(session, recall, NOW)):
        pass
    with core.db.reading() as session:
        states = dict(session.execute(sa.select(Coupon.id, Coupon.state)).all())
        assert (states[got[0].id], states[got[1].id]) == ("voided", "redeemed")
        assert [states[coupon_id] for coupon_id, _ in held] == ["given", "given", "voided", "voided"]
        done = issue_queries.recall_of(session, file_id)
        assert done is not None
        assert (done.voided, done.kept) == (3, 1)
        assert queries.find_template(session, template).budget_committed_fen == 2000


@pytest.mark.committing
def test_of_many_who_answer_at_once_one_gets_it(core: Core, settings: Settings):
    core = wide(core, settings, 12)
    giver, *friends = some_members(core, 13)
    for _ in range(6):
        with core.db.transaction() as session:
            coupon, offer = offered(session, giver, stock=1, budget_fen=2000)

        def taking(friend: UUID, offer=offer):
            return lambda session: service.accept(session, friend, offer.token, actor=MemberActor(friend), now=NOW)

        works = [taking(friend) for friend in friends[:8]]
        works.append(lambda session, coupon=coupon: service.withdraw(session, giver, coupon.id, actor=MemberActor(giver), now=NOW))
        works.append(lambda session, offer=offer: service.refuse(session, friends[8], offer.token, actor=MemberActor(friends[8]), now=NOW))
        works.append(lambda session, coupon=coupon: service.void(session, coupon.id, reason="mistake", actor=STAFF, now=NOW))
        works.append(lambda session: service.lapse_due(session, NOW + timedelta(hours=25), 10))
        at_once(core, works, 12)
        with core.db.reading() as session:
            gift = session.scalars(sa.select(CouponGift).where(CouponGift.coupon_id == coupon.id)).one()
            held = session.scalars(sa.select(Coupon.state).where(Coupon.template_id == coupon.template_id, Coupon.state != "given")).all()
            template = queries.find_template(session, coupon.template_id)
        assert gift.state in {"accepted", "refused", "withdrawn", "lapsed"}
        assert len(held) == 1
        assert (template.issued, template.budget_committed_fen) == (1, 0 if held == ["voided"] else 2000)
        assert (gift.state == "accepted") == (held == ["issued"] and gift.received_coupon_id is not None)
    core.close()
