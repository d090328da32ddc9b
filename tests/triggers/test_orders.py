"""Coupons that orders earn: once, whatever the order of the news, and gone with the order unless they are in use."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from server.coupons import queries as coupon_queries
from server.coupons import service as coupon_service
from server.coupons.models import CouponTemplate, CouponTransition
from server.flows import receipts
from server.kernel.actors import MemberActor
from server.members.models import Member
from server.notifications import queries as notifications
from server.orders import purchases
from server.orders.drafts import MemberRef, RefundLine
from server.orders.errors import OrderNotFoundError
from server.triggers import service
from server.triggers.rules import TriggerKind
from tasks.jobs import triggers as jobs
from tests.conftest import START
from tests.factories.coupons import TILL, a_template, some_terms
from tests.factories.members import a_member
from tests.factories.orders import SYSTEM, an_event, told
from tests.factories.triggers import STAFF, a_sale_of, a_trigger, coupons, gifts, sold, states

NOW = START
LATER = NOW + timedelta(days=2)
pytestmark = [pytest.mark.requirement("CPN2"), pytest.mark.requirement("CPN4")]


def an_order_rule(session, **more):
    return a_trigger(session, TriggerKind.ORDER, now=NOW - timedelta(days=30), **more)


def settle(session, order_id, now=NOW):
    return service.settle_order(session, order_id, now=now)


def refund(session, draft, fen, at=LATER, number="r", **more):
    told(session, draft, an_event("refunded", at, refund_id=number, refund_fen=fen, **more), now=at)


@pytest.mark.parametrize(
    ("fen", "more", "given"),
    [
        (20_000, {}, 1),
        (19_999, {}, 0),
        (19_000, {"shipping_fen": 2_000}, 0),
        (21_000, {"points_paid_fen": 1_001}, 0),
        (20_000, {"channel": "mall"}, 0),
        (20_000, {"paid_at": None}, 0),
        (20_000, {"member": MemberRef()}, 0),
    ],
)
def test_an_order_earns_by_the_cash_paid_for_its_goods_and_by_where_it_was_placed(session, fen, more, given):
    an_order_rule(session, channels=("shop",))
    draft = a_sale_of(fen, now=NOW)
    from dataclasses import replace

    payable = fen + more.get("shipping_fen", 0) - more.get("points_paid_fen", 0)
    order_id = sold(session, replace(draft, **{"payable_fen": payable, **more}), now=NOW)
    assert settle(session, order_id) == given
    assert len(coupons(session)) == given


def test_only_the_stores_that_are_named_give(session):
    an_order_rule(session, stores=("S1", "S2"))
    found = [settle(session, sold(session, a_sale_of(30_000, now=NOW, store=store), now=NOW)) for store in ("S1", "S3", None)]
    assert found == [1, 0, 0]


def test_it_is_given_once_however_often_it_is_told_and_the_member_reads_of_it(session):
    template = an_order_rule(session)
    order_id = sold(session, a_sale_of(25_000, now=NOW), now=NOW)
    event = SimpleNamespace(payload={"order_id": str(order_id)}, occurred_at=NOW)
    core = SimpleNamespace(clock=SimpleNamespace(now=lambda: LATER))
    for _ in range(3):
        jobs.on_order_changed(session, event, core)
    (gift,) = gifts(session)
    assert (gift.state, gift.business_key, gift.order_id, gift.template_id) == ("given", order_id.hex, order_id, template)
    coupon = coupon_queries.find(session, gift.coupon_id, now=LATER)
    assert (coupon.state, coupon.source, coupon.member_id) == ("issued", "coupons.trigger/rule", gift.member_id)
    from server.kernel.pagination import PageRequest

    (message,) = notifications.inbox(session, gift.member_id, PageRequest(5)).items
    assert (message.code, message.texts["coupon"], message.texts["why"]) == ("coupon_received", "满100减20", "满200送20")


def test_a_pack_gives_one_of_each_and_one_message(session):
    an_order_rule(session, packs=3)
    order_id = sold(session, a_sale_of(25_000, now=NOW), now=NOW)
    assert settle(session, order_id) == 3
    assert settle(session, order_id) == 0
    from server.kernel.pagination import PageRequest

    (message,) = notifications.inbox(session, gifts(session)[0].member_id, PageRequest(5)).items
    assert message.texts["coupon"] == "满100减20等3张"


def test_what_cannot_be_had_is_written_down_not_tried_again_and_holds_up_nothing(session):
    gone = an_order_rule(session, stock=1, packs=2)
    first, second = (sold(session, a_sale_of(25_000, now=NOW, buyer=buyer), now=NOW) for buyer in ("one", "two"))
    assert [settle(session, first), settle(session, second)] == [2, 1]
    assert states(session) == [("given", None), ("given", None), ("refused", "sold_out"), ("given", None)]
    # More stock later changes nothing for what was refused: nobody comes back to it by itself.
    coupon_service.update(
        session,
        gone,
        _with_stock(coupon_queries.find_template(session, gone).draft, 10),
        actor=STAFF,
        now=NOW,
    )
    assert settle(session, second) == 0
    assert states(session)[2] == ("refused", "sold_out")


def _with_stock(draft, stock):
    from dataclasses import replace

    return replace(draft, limits=replace(draft.limits, stock=stock))


def test_a_budget_that_is_used_up_a_paused_template_and_a_frozen_member_are_refusals_with_their_reasons(session):
    template = an_order_rule(session, budget_fen=2_000)
    ids = [sold(session, a_sale_of(25_000, now=NOW, buyer=f"b{place}"), now=NOW) for place in range(4)]
    settle(session, ids[0])
    settle(session, ids[1])
    coupon_service.pause(session, template, actor=STAFF, now=NOW)
    settle(session, ids[2])
    session.execute(sa.update(Member).where(Member.id == purchases.buyer_of(session, ids[3])).values(status="frozen"))
    session.expire_all()
    settle(session, ids[3])
    assert states(session) == [
        ("given", None),
        ("refused", "sold_out"),
        ("refused", "coupon_template_state"),
        ("refused", "member_not_active"),
    ]


@pytest.mark.parametrize("kind", ["cancelled", "refunded"])
def test_an_order_that_ends_takes_its_coupon_back_with_the_budget_and_not_the_stock(session, kind):
    template = an_order_rule(session, budget_fen=5_000, stock=5)
    draft = a_sale_of(25_000, now=NOW)
    order_id = sold(session, draft, now=NOW)
    settle(session, order_id)
    told(session, draft, an_event(kind, LATER, **({"refund_id": "r"} if kind == "refunded" else {})), now=LATER)
    settle(session, order_id, LATER)
    settle(session, order_id, LATER)
    assert states(session) == [("revoked", "order_gone")]
    view = coupon_queries.find_template(session, template)
    assert (view.budget_committed_fen, view.issued, view.left) == (0, 1, 4)
    (gift,) = gifts(session)
    voided = session.scalars(
        sa.select(CouponTransition.reason).where(CouponTransition.coupon_id == gift.coupon_id, CouponTransition.event == "void")
    )
    assert list(voided) == ["The order that earned it was called off or refunded"]
    from server.kernel.pagination import PageRequest

    codes = [message.code for message in notifications.inbox(session, gift.member_id, PageRequest(5)).items]
    assert sorted(codes) == ["coupon_received", "coupon_revoked"]


def test_a_part_refunded_order_keeps_its_coupon_until_less_than_the_minimum_is_left(session):
    an_order_rule(session)
    draft = a_sale_of(30_000, now=NOW, lines=3)
    order_id = sold(session, draft, now=NOW)
    settle(session, order_id)
    refund(session, draft, 10_000, number="r1", lines=(RefundLine(1, 1, 10_000),))
    settle(session, order_id, LATER)
    assert states(session) == [("given", None)]
    refund(session, draft, 1, number="r2", lines=(RefundLine(2, 1, 1),))
    settle(session, order_id, LATER)
    assert states(session) == [("revoked", "order_below_minimum")]
    assert coupons(session) == ["voided"]


def test_the_minimum_of_the_version_that_gave_takes_back_not_a_later_one(session):
    template = an_order_rule(session)
    draft = a_sale_of(30_000, now=NOW)
    order_id = sold(session, draft, now=NOW)
    settle(session, order_id)
    a_trigger(session, TriggerKind.ORDER, now=NOW + timedelta(hours=1), template=template, min_paid_fen=90_000)
    settle(session, order_id, LATER)
    assert states(session) == [("given", None)]
    a_trigger(session, TriggerKind.ORDER, now=NOW + timedelta(hours=2), template=template, enabled=False)
    refund(session, draft, 15_000)
    settle(session, order_id, LATER)
    assert states(session) == [("revoked", "order_below_minimum")]


def test_every_order_of_the_news_ends_the_same(session):
    an_order_rule(session)
    # Payment and refund happened; what is told of them, and how often, comes in any order.
    for place, news in enumerate(permutations(("paid", "refunded", "paid"))):
        draft = a_sale_of(25_000, now=NOW, buyer=f"n{place}")
        order_id = sold(session, draft, now=NOW)
        if news[0] == "paid":
            settle(session, order_id)
        refund(session, draft, 25_000)
        for _ in news:
            settle(session, order_id, LATER)
        assert [gift.state for gift in gifts(session) if gift.order_id == order_id] == (["revoked"] if news[0] == "paid" else [])
    assert set(coupons(session)) == {"voided"}


@pytest.mark.parametrize("use", ["redeemed", "locked"])
def test_a_coupon_in_use_stays_and_the_fact_is_listed(session, use):
    template = an_order_rule(session, budget_fen=5_000)
    draft = a_sale_of(25_000, now=NOW)
    order_id = sold(session, draft, now=NOW)
    settle(session, order_id)
    (gift,) = gifts(session)
    if use == "redeemed":
        coupon_service.redeem(session, gift.coupon_id, channel="till", external_no="N-1", discount_fen=2_000, actor=TILL, now=LATER)
    else:
        coupon_service.lock(session, gift.coupon_id, channel="till", external_no="N-1", actor=TILL, now=LATER)
    refund(session, draft, 25_000)
    settle(session, order_id, LATER)
    settle(session, order_id, LATER + timedelta(hours=1))
    assert states(session) == [("kept", "order_gone")]
    assert coupons(session) == [use]
    assert coupon_queries.find_template(session, template).budget_committed_fen == 2_000
    assert [one.coupon_id for one in gifts(session, state="kept")] == [gift.coupon_id]


@pytest.mark.parametrize(("use", "left"), [(None, "revoked"), ("redeemed", "kept"), ("offered", "revoked")])
def test_a_coupon_that_was_given_to_a_friend_goes_with_the_order_too(session, use, left):
    template = an_order_rule(session, budget_fen=5_000)
    session.execute(sa.update(CouponTemplate).values(terms=some_terms(giftable=True).to_document()))
    draft = a_sale_of(25_000, now=NOW)
    order_id = sold(session, draft, now=NOW)
    settle(session, order_id)
    (gift,) = gifts(session)
    friend = a_member(session, now=NOW)
    offer = coupon_service.offer(session, gift.member_id, gift.coupon_id, actor=MemberActor(gift.member_id), now=NOW)
    held = gift.coupon_id
    if use != "offered":
        held = coupon_service.accept(session, friend, offer.token, actor=MemberActor(friend), now=NOW).id
    if use == "redeemed":
        coupon_service.redeem(session, held, channel="till", external_no="N-1", discount_fen=2_000, actor=TILL, now=LATER)
    refund(session, draft, 25_000)
    settle(session, order_id, LATER)
    assert states(session) == [(left, "order_gone")]
    assert coupon_queries.find(session, held).state == ("redeemed" if use == "redeemed" else "voided")
    assert coupon_queries.find_template(session, template).budget_committed_fen == (2_000 if use == "redeemed" else 0)


def test_a_coupon_that_ended_before_is_over_and_one_voided_by_hand_too(session):
    an_order_rule(session)
    drafts = [a_sale_of(25_000, now=NOW, buyer=f"b{place}") for place in range(2)]
    ids = [sold(session, draft, now=NOW) for draft in drafts]
    for order_id in ids:
        settle(session, order_id)
    coupon_service.void(session, gifts(session)[0].coupon_id, reason="asked", actor=STAFF, now=NOW)
    late = NOW + timedelta(days=60)
    for draft, order_id in zip(drafts, ids, strict=True):
        refund(session, draft, 25_000, at=late)
        settle(session, order_id, late)
    assert states(session) == [("over", "order_gone"), ("over", "order_gone")]


def test_a_sale_given_to_its_buyer_takes_the_coupon_along_and_a_used_one_is_not_given_twice(session):
    an_order_rule(session)
    unused, used = (a_sale_of(25_000, now=NOW, buyer=buyer, channel="till", receiver=None) for buyer in ("record-1", "record-2"))
    claimant = a_member(session, now=NOW)
    for draft in (unused, used):
        settle(session, sold(session, draft, now=NOW))
    spent = gifts(session)[1]
    coupon_service.redeem(session, spent.coupon_id, channel="till", external_no="N-2", discount_fen=2_000, actor=TILL, now=NOW)
    for draft in (unused, used):
        order_id = purchases_id(session, draft)
        receipts.attach(session, order_id, claimant, reason="paper seen", actor=SYSTEM, now=LATER)
        for _ in range(2):
            settle(session, order_id, LATER)
    assert states(session) == [
        ("revoked", "order_of_another"),
        ("kept", "order_of_another"),
        ("given", None),
        ("refused", "used_before"),
    ]
    assert coupons(session, claimant) == ["issued"]


def purchases_id(session, draft):
    from server.orders import queries

    return queries.by_external(session, draft.channel, draft.external_no).id


def test_what_was_paid_before_the_rule_in_its_pause_or_outside_its_window_gives_nothing(session):
    template = a_trigger(session, TriggerKind.ORDER, now=NOW, valid_from=NOW + timedelta(days=1), valid_until=NOW + timedelta(days=3))
    for days, given in ((-1, 0), (0.5, 0), (1.5, 1), (3.5, 0)):
        at = NOW + timedelta(days=days)
        assert settle(session, sold(session, a_sale_of(25_000, now=at), now=NOW + timedelta(days=4)), NOW + timedelta(days=4)) == given
    waiting = sold(session, a_sale_of(25_000, now=NOW + timedelta(days=2)), now=NOW + timedelta(days=2))
    # Paused after it happened and before it was handled: the brake stops what waits.
    a_trigger(session, TriggerKind.ORDER, now=NOW + timedelta(days=2.1), template=template, enabled=False)
    assert settle(session, waiting, NOW + timedelta(days=2.2)) == 0


def test_news_of_an_order_there_is_not_is_refused_only_when_there_is_a_rule(session):
    assert settle(session, uuid4()) == 0
    an_order_rule(session)
    with pytest.raises(OrderNotFoundError):
        settle(session, uuid4())


def test_a_second_rule_of_its_own_gives_too(session):
    an_order_rule(session)
    an_order_rule(session, code="rule-2", min_paid_fen=50_000, template=a_template(session, now=NOW))
    small, big = (sold(session, a_sale_of(fen, now=NOW, buyer=str(fen)), now=NOW) for fen in (30_000, 60_000))
    assert [settle(session, small), settle(session, big)] == [1, 2]
    assert isinstance(small, UUID)


def test_a_member_ref_by_id_finds_the_survivor(session):
    an_order_rule(session)
    member_id = a_member(session, now=NOW)
    from dataclasses import replace

    order_id = sold(session, replace(a_sale_of(25_000, now=NOW), member=MemberRef(member_id=member_id)), now=NOW)
    assert settle(session, order_id) == 1
    assert gifts(session, member_id=member_id)[0].state == "given"
