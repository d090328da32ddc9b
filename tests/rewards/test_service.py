"""What redeeming, paying, fulfilling and cancelling do to points, stock, slots, coupons and money."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from server.coupons import queries as coupon_queries
from server.coupons import service as coupons
from server.flows import merge
from server.kernel.actors import MemberActor
from server.kernel.amounts import Points
from server.kernel.crypto import vault_of
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent
from server.kernel.pagination import PageRequest
from server.kernel.source import Source
from server.points import queries as points_queries
from server.points import service as points
from server.points.errors import InsufficientPointsError
from server.points.models import PointsLot
from server.rewards import errors, queries, service
from server.rewards.models import RewardRedemption
from server.rewards.rules.paying import PaymentPolicy
from server.rewards.rules.terms import Kind
from tests.conftest import START
from tests.factories.coupons import a_template
from tests.factories.points import a_member, a_source
from tests.factories.rewards import HOME, STAFF, SYSTEM, TILL, a_draft, a_redemption, a_reward

NOW = START


def balance(session, member_id, now=NOW):
    found = points_queries.balance(session, member_id, now=now)
    return found.available, found.reserved


def pay(session, redemption, ref="p1", fen=1990, now=NOW, actor=TILL):
    return service.pay(session, redemption.id, source=Source("partner:till", ref), paid_fen=fen, actor=actor, now=now)


def lots(session, member_id):
    rows = session.execute(sa.select(PointsLot.amount, PointsLot.left_).where(PointsLot.member_id == member_id).order_by(PointsLot.id))
    return [tuple(row) for row in rows]


def story(session, redemption):
    return [each.event for each in queries.transitions(session, redemption.id)]


def topics(session):
    return sorted(
        session.scalars(sa.select(OutboxEvent.topic).where(OutboxEvent.topic.like("rewards.%")).execution_options(populate_existing=True))
    )


@pytest.mark.requirement("PTS5")
def test_goods_cost_points_at_once_and_wait_to_be_shipped(session):
    member, reward = a_member(session, now=NOW, points=150), a_reward(session, now=NOW, stock=3)
    done = a_redemption(session, member, reward, now=NOW)
    assert (done.state, done.points, done.cash_fen, done.kind) == ("placed", 100, 0, "goods")
    assert balance(session, member) == (50, 0)
    view = queries.find_reward(session, reward)
    assert (view.issued, view.left) == (1, 2)
    assert done.receiver.name == "王**"
    assert done.receiver.phone == "138****8000"
    assert done.receiver.address == "上海市静安区****"
    assert story(session, done) == ["place"]
    assert topics(session) == ["rewards.placed"]
    assert points_queries.find_entry(session, done.entry_id).reason == "保温杯"


def test_the_receiver_lies_sealed_in_the_table_and_is_shown_for_a_reason_only(session):
    member, reward = a_member(session, now=NOW, points=150), a_reward(session, now=NOW)
    done = a_redemption(session, member, reward, now=NOW)
    row = session.get_one(RewardRedemption, done.id)
    for sealed, text in ((row.receiver_name, HOME.name), (row.receiver_phone, HOME.phone), (row.receiver_address, HOME.address)):
        assert sealed.startswith("v1.")
        assert text not in sealed
    assert vault_of(session)
    with pytest.raises(errors.ReasonMissingError):
        service.reveal_receiver(session, done.id, reason=" ", actor=STAFF, now=NOW)
    assert service.reveal_receiver(session, done.id, reason="打包", actor=STAFF, now=NOW).address == HOME.address
    service.forget_member(session, member, actor=SYSTEM, now=NOW)
    assert queries.find(session, done.id).receiver is None
    with pytest.raises(errors.RedemptionNotFoundError):
        service.reveal_receiver(session, done.id, reason="打包", actor=STAFF, now=NOW)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"points": 151}, InsufficientPointsError),
        ({"on_sale_from": NOW + timedelta(hours=1)}, errors.NotOnSaleError),
        ({"on_sale_until": NOW}, errors.NotOnSaleError),
        ({"tiers": ("gold",)}, errors.TierNotEligibleError),
        ({"published": False}, errors.RewardNotFoundError),
    ],
)
def test_a_refusal_changes_nothing(session, changes, error):
    member, reward = a_member(session, now=NOW, points=150), a_reward(session, now=NOW, **changes)
    with pytest.raises(error):
        a_redemption(session, member, reward, now=NOW)
    assert balance(session, member) == (150, 0)
    assert queries.find_reward(session, reward).issued == 0
    assert session.scalar(sa.select(sa.func.count()).select_from(RewardRedemption)) == 0


def test_goods_need_a_whole_receiver_and_unknown_rewards_are_not_found(session):
    member, reward = a_member(session, now=NOW, points=150), a_reward(session, now=NOW)
    for receiver in (None, service.ReceiverDraft("王小明", " ", "上海")):
        with pytest.raises(errors.ReceiverMissingError):
            a_redemption(session, member, reward, now=NOW, receiver=receiver)
    with pytest.raises(errors.RewardNotFoundError):
        a_redemption(session, member, uuid7(), now=NOW)
    service.pause_reward(session, reward, actor=STAFF, now=NOW)
    with pytest.raises(errors.NotOnSaleError):
        a_redemption(session, member, reward, now=NOW)


def test_stock_the_days_stock_and_the_members_limits_hold_and_come_back_with_a_cancellation(session):
    one, two = a_member(session, now=NOW, points=1000), a_member(session, now=NOW, points=1000)
    limited = a_reward(session, now=NOW, per_member=2, per_member_daily=1, stock=3)
    first = a_redemption(session, one, limited, now=NOW)
    with pytest.raises(errors.DailyRedemptionLimitReachedError):
        a_redemption(session, one, limited, now=NOW)
    tomorrow = NOW + timedelta(days=1)
    a_redemption(session, one, limited, now=tomorrow)
    with pytest.raises(errors.RedemptionLimitReachedError):
        a_redemption(session, one, limited, now=NOW + timedelta(days=2))
    a_redemption(session, two, limited, now=NOW)
    with pytest.raises(errors.SoldOutError):
        a_redemption(session, two, limited, now=tomorrow)
    service.cancel(session, first.id, actor=MemberActor(one), now=tomorrow, member_id=one)
    assert queries.find_reward(session, limited).left == 1
    a_redemption(session, one, limited, now=NOW + timedelta(days=2))
    daily = a_reward(session, now=NOW, daily_stock=1)
    taken = a_redemption(session, one, daily, now=NOW)
    with pytest.raises(errors.SoldOutTodayError):
        a_redemption(session, two, daily, now=NOW)
    service.cancel(session, taken.id, actor=MemberActor(one), now=NOW, member_id=one)
    a_redemption(session, two, daily, now=NOW)
    a_redemption(session, two, daily, now=tomorrow)


def test_cancelling_restores_the_very_lots_and_happens_once(session):
    member, reward = a_member(session, now=NOW), a_reward(session, now=NOW, stock=1, per_member=1)
    for count, days in ((60, 10), (70, 20), (80, None)):
        expires = None if days is None else NOW + timedelta(days=days)
        points.accrue(session, member, Points(count), source=a_source(), reason="Gift", actor=SYSTEM, now=NOW, expires_at=expires)
    before = lots(session, member)
    done = a_redemption(session, member, reward, now=NOW)
    assert sorted(lots(session, member)) == [(60, 0), (70, 30), (80, 80)]
    back = service.cancel(session, done.id, actor=MemberActor(member), now=NOW, member_id=member)
    assert (back.state, back.refund_state) == ("cancelled", "none")
    assert lots(session, member) == before
    again = service.cancel(session, done.id, actor=MemberActor(member), now=NOW, member_id=member)
    assert again == back
    assert story(session, done) == ["place", "cancel"]
    assert balance(session, member) == (210, 0)
    assert queries.find_reward(session, reward).issued == 0
    assert points_queries.prove(session) == []
    assert topics(session) == ["rewards.cancelled", "rewards.placed"]
    a_redemption(session, member, reward, now=NOW)


def test_the_worked_example_of_the_documentation_holds(session):
    anna, reward = a_member(session, now=NOW), a_reward(session, now=NOW)
    for count, days in ((60, 10), (70, 20), (80, None)):
        ends = None if days is None else NOW + timedelta(days=days)
        points.accrue(session, anna, Points(count), source=a_source(), reason="Gift", actor=SYSTEM, now=NOW, expires_at=ends)
    done = a_redemption(session, anna, reward, now=NOW)
    later = NOW + timedelta(days=13)
    service.cancel(session, done.id, actor=MemberActor(anna), now=later, member_id=anna)
    rows = session.execute(sa.select(PointsLot.left_, PointsLot.expires_at).where(PointsLot.member_id == anna).order_by(PointsLot.amount))
    assert rows.all() == [(60, later + timedelta(days=30)), (70, NOW + timedelta(days=20)), (80, None)]
    assert balance(session, anna, later) == (210, 0)


def test_a_member_cancels_only_their_own_and_only_until_it_is_shipped(session):
    member, other = a_member(session, now=NOW, points=500), a_member(session, now=NOW, points=500)
    done = a_redemption(session, member, a_reward(session, now=NOW), now=NOW)
    with pytest.raises(errors.RedemptionNotFoundError):
        service.cancel(session, done.id, actor=MemberActor(other), now=NOW, member_id=other)
    with pytest.raises(errors.RedemptionNotFoundError):
        queries.find(session, done.id, member_id=other)
    shipped = service.ship(session, done.id, carrier="顺丰速运", tracking_no="SF1", actor=STAFF, now=NOW)
    assert (shipped.state, shipped.carrier, shipped.tracking_no) == ("fulfilled", "顺丰速运", "SF1")
    assert service.ship(session, done.id, carrier="顺丰速运", tracking_no="SF1", actor=STAFF, now=NOW) == shipped
    with pytest.raises(errors.ShipmentConflictError):
        service.ship(session, done.id, carrier="顺丰速运", tracking_no="SF2", actor=STAFF, now=NOW)
    with pytest.raises(errors.RedemptionStateError):
        service.cancel(session, done.id, actor=MemberActor(member), now=NOW, member_id=member)
    with pytest.raises(errors.ReasonMissingError):
        service.cancel(session, done.id, actor=STAFF, now=NOW, reason=" ")
    taken = service.cancel(session, done.id, actor=STAFF, now=NOW, reason="拒收退回")
    assert taken.state == "cancelled"
    assert story(session, done) == ["place", "ship", "take_back"]
    assert balance(session, member) == (500, 0)
    with pytest.raises(errors.RedemptionStateError):
        service.ship(session, done.id, carrier="顺丰速运", tracking_no="SF1", actor=STAFF, now=NOW)


@pytest.mark.requirement("CPN2")
def test_a_coupon_is_issued_in_the_same_transaction_and_voided_when_taken_back(session):
    member, template = a_member(session, now=NOW, points=500), a_template(session, now=NOW)
    reward = a_reward(session, now=NOW, kind=Kind.COUPON, coupon_template_id=template)
    done = a_redemption(session, member, reward, now=NOW)
    assert (done.state, story(session, done)) == ("fulfilled", ["place", "issue"])
    coupon = coupon_queries.find(session, done.coupon_id, now=NOW, member_id=member)
    assert coupon.state == "issued"
    with pytest.raises(errors.RedemptionStateError):
        service.cancel(session, done.id, actor=MemberActor(member), now=NOW, member_id=member)
    service.cancel(session, done.id, actor=STAFF, now=NOW, reason="误发")
    assert coupon_queries.find(session, coupon.id, now=NOW).state == "voided"
    assert balance(session, member) == (500, 0)


def test_a_coupon_that_was_redeemed_is_not_taken_back(session):
    member, template = a_member(session, now=NOW, points=500), a_template(session, now=NOW)
    done = a_redemption(session, member, a_reward(session, now=NOW, kind=Kind.COUPON, coupon_template_id=template), now=NOW)
    coupons.redeem(session, done.coupon_id, channel="till", external_no="1", discount_fen=1, actor=TILL, now=NOW)
    with pytest.raises(coupon_queries.CouponNotFoundError.__mro__[2]):  # any refusal of the coupons
        service.cancel(session, done.id, actor=STAFF, now=NOW, reason="误发")


def test_without_coupons_left_the_points_stay(core):
    with core.db.transaction() as session:
        member, template = a_member(session, now=NOW, points=500), a_template(session, now=NOW, stock=1)
        reward = a_reward(session, now=NOW, kind=Kind.COUPON, coupon_template_id=template)
        coupons.issue(session, a_member(session, now=NOW), template, source=a_source(), actor=STAFF, now=NOW)
    from server.coupons.errors import SoldOutError

    with pytest.raises(SoldOutError), core.db.transaction() as session:
        a_redemption(session, member, reward, now=NOW)
    with core.db.reading() as session:
        assert balance(session, member) == (500, 0)
        assert queries.find_reward(session, reward).issued == 0


def test_points_and_cash_reserve_first_and_redeem_when_paid(session):
    member, reward = a_member(session, now=NOW, points=150), a_reward(session, now=NOW, cash_fen=1990, stock=2)
    done = a_redemption(session, member, reward, now=NOW)
    assert (done.state, done.pay_until) == ("reserved", NOW + timedelta(minutes=30))
    assert balance(session, member) == (50, 100)
    assert topics(session) == []
    with pytest.raises(errors.PaymentDiffersError):
        pay(session, done, fen=1989)
    with pytest.raises(errors.RedemptionStateError):
        service.ship(session, done.id, carrier="x", tracking_no="1", actor=STAFF, now=NOW)
    paid = pay(session, done)
    assert (paid.state, paid.payment_ref, paid.paid_at) == ("placed", "p1", NOW)
    assert balance(session, member) == (50, 0)
    assert pay(session, done) == paid
    with pytest.raises(errors.PaymentConflictError):
        pay(session, done, ref="p2")
    assert story(session, done) == ["reserve", "pay"]
    assert points_queries.prove(session) == []


def test_one_payment_pays_one_redemption_and_free_ones_take_none(session):
    member, reward = a_member(session, now=NOW, points=900), a_reward(session, now=NOW, cash_fen=1990)
    one, two = (a_redemption(session, member, reward, now=NOW) for _ in range(2))
    pay(session, one)
    with pytest.raises(errors.PaymentConflictError):
        pay(session, two)
    free = a_redemption(session, member, a_reward(session, now=NOW), now=NOW)
    with pytest.raises(errors.PaymentConflictError):
        pay(session, free, ref="p3", fen=0)


def test_a_cancelled_payment_is_due_for_refund_until_it_is_refunded(session):
    member, reward = a_member(session, now=NOW, points=150), a_reward(session, now=NOW, cash_fen=1990, stock=1)
    done = a_redemption(session, member, reward, now=NOW)
    with pytest.raises(errors.RefundConflictError):
        service.refund(session, done.id, refund_ref="f1", actor=TILL, now=NOW)
    pay(session, done)
    cancelled = service.cancel(session, done.id, actor=MemberActor(member), now=NOW, member_id=member)
    assert (cancelled.refund_state, cancelled.refund_due_fen) == ("due", 1990)
    assert queries.work(session).to_refund == 1
    back = service.refund(session, done.id, refund_ref="f1", actor=TILL, now=NOW)
    assert (back.refund_state, back.refund_due_fen, back.refund_ref) == ("done", 0, "f1")
    assert service.refund(session, done.id, refund_ref="f1", actor=TILL, now=NOW) == back
    with pytest.raises(errors.RefundConflictError):
        service.refund(session, done.id, refund_ref="f2", actor=TILL, now=NOW)
    assert story(session, done) == ["reserve", "pay", "cancel", "refund"]
    assert balance(session, member) == (150, 0)


def test_unpaid_redemptions_time_out_and_money_that_comes_later_is_not_lost(session):
    member, reward = a_member(session, now=NOW, points=250), a_reward(session, now=NOW, cash_fen=1990, stock=2, per_member=2)
    one, two = (a_redemption(session, member, reward, now=NOW) for _ in range(2))
    assert service.time_out_due(session, NOW + timedelta(minutes=29)) == 0
    late = NOW + timedelta(minutes=30)
    assert service.time_out_due(session, late) == 2
    assert service.time_out_due(session, late) == 0
    assert balance(session, member) == (250, 0)
    assert queries.find_reward(session, reward).issued == 0
    assert story(session, one) == ["reserve", "time_out"]
    paid = pay(session, one, now=late)
    assert (paid.state, paid.refund_state, paid.entry_id) == ("cancelled", "due", None)
    assert pay(session, one, now=late) == paid
    assert story(session, one) == ["reserve", "time_out", "pay_late"]
    assert queries.find(session, two.id).refund_state == "none"
    assert points_queries.prove(session) == []


def test_when_the_points_were_released_first_the_payment_is_due_for_refund(session):
    member, reward = a_member(session, now=NOW, points=250), a_reward(session, now=NOW, cash_fen=1990, stock=2)
    one, two = (a_redemption(session, member, reward, now=NOW) for _ in range(2))
    late = NOW + timedelta(hours=2)
    assert points.release_due(session, late) == 2
    paid = pay(session, one, now=late)
    assert (paid.state, paid.refund_state) == ("cancelled", "due")
    assert service.time_out_due(session, late) == 1
    assert queries.find(session, two.id).state == "cancelled"
    assert balance(session, member, late) == (250, 0)
    assert queries.find_reward(session, reward).issued == 0


def test_a_paid_coupon_that_is_sold_out_waits_for_staff(session):
    member, template = a_member(session, now=NOW, points=500), a_template(session, now=NOW, stock=1)
    reward = a_reward(session, now=NOW, kind=Kind.COUPON, coupon_template_id=template, cash_fen=1990)
    done = a_redemption(session, member, reward, now=NOW)
    coupons.issue(session, a_member(session, now=NOW), template, source=a_source(), actor=STAFF, now=NOW)
    assert pay(session, done).state == "placed"
    assert queries.work(session).to_issue == 1
    with pytest.raises(coupon_queries.TemplateNotFoundError.__mro__[2]):
        service.issue_coupon(session, done.id, actor=STAFF, now=NOW)
    view = coupon_queries.find_template(session, template)
    from dataclasses import replace

    coupons.update(session, template, replace(view.draft, limits=replace(view.draft.limits, stock=5)), actor=STAFF, now=NOW)
    assert service.issue_coupon(session, done.id, actor=STAFF, now=NOW).state == "fulfilled"
    with pytest.raises(errors.RedemptionStateError):
        service.issue_coupon(session, done.id, actor=STAFF, now=NOW)


def test_a_voucher_is_redeemed_once_and_not_after_its_time(session):
    member = a_member(session, now=NOW, points=500)
    reward = a_reward(session, now=NOW, kind=Kind.SERVICE, name="免费洗护", voucher_days=7)
    one, two = (a_redemption(session, member, reward, now=NOW, receiver=None) for _ in range(2))
    assert one.voucher_code != two.voucher_code
    assert one.voucher_until == NOW.replace(hour=16) + timedelta(days=6)
    found = queries.id_of_voucher(session, f" {one.voucher_code.lower()} ")
    assert found == one.id
    assert service.hand_over(session, found, store="S1", actor=TILL, now=NOW).state == "fulfilled"
    with pytest.raises(errors.RedemptionStateError) as refused:
        service.hand_over(session, found, store="S1", actor=TILL, now=NOW)
    assert refused.value.fields == {"state": "fulfilled"}
    with pytest.raises(errors.VoucherExpiredError):
        service.hand_over(session, two.id, store="S1", actor=TILL, now=two.voucher_until)
    with pytest.raises(errors.VoucherExpiredError):
        service.cancel(session, two.id, actor=MemberActor(member), now=two.voucher_until, member_id=member)
    service.cancel(session, two.id, actor=STAFF, now=two.voucher_until, reason="门店停业")
    with pytest.raises(errors.RedemptionKindError):
        service.ship(session, one.id, carrier="x", tracking_no="1", actor=STAFF, now=NOW)


def test_a_redemption_keeps_the_terms_it_was_made_under(session):
    member = a_member(session, now=NOW, points=900)
    draft = a_draft(kind=Kind.SERVICE, cash_fen=1990, voucher_days=7)
    reward = service.create_reward(session, draft, actor=STAFF, now=NOW)
    service.publish_reward(session, reward, actor=STAFF, now=NOW)
    old = a_redemption(session, member, reward, now=NOW, seen_version=1)
    from dataclasses import replace

    assert service.update_reward(session, reward, replace(draft, points=300, cash_fen=0, voucher_days=1), actor=STAFF, now=NOW) == 2
    with pytest.raises(errors.RewardChangedError):
        a_redemption(session, member, reward, now=NOW, seen_version=1)
    new = a_redemption(session, member, reward, now=NOW, seen_version=2)
    paid = pay(session, old)
    assert (old.points, new.points, paid.reward_version) == (100, 300, 1)
    assert paid.voucher_until - NOW > timedelta(days=5) > new.voucher_until - NOW
    assert [each.draft.points for each in queries.versions(session, reward)] == [300, 100]


def test_the_catalogue_is_written_with_care(session):
    reward = a_reward(session, now=NOW, code="thermos", stock=5)
    member = a_member(session, now=NOW, points=900)
    a_redemption(session, member, reward, now=NOW)
    with pytest.raises(errors.RewardCodeTakenError):
        a_reward(session, now=NOW, code="thermos")
    for wrong, error in (
        (a_draft(code="other"), errors.RewardInvalidError),
        (a_draft(code="thermos", kind=Kind.SERVICE), errors.RewardInvalidError),
        (a_draft(code="thermos", points=0), errors.RewardInvalidError),
    ):
        with pytest.raises(error):
            service.update_reward(session, reward, wrong, actor=STAFF, now=NOW)
    a_redemption(session, member, reward, now=NOW)
    with pytest.raises(errors.StockBelowIssuedError):
        service.update_reward(session, reward, a_draft(code="thermos", stock=1), actor=STAFF, now=NOW)
    with pytest.raises(errors.RewardInvalidError):
        a_reward(session, now=NOW, kind=Kind.COUPON, coupon_template_id=uuid7())
    with pytest.raises(errors.RewardStateError):
        service.publish_reward(session, reward, actor=STAFF, now=NOW)
    assert queries.find_reward(session, reward).version == 1


def test_the_catalogue_says_what_i_can_afford_and_why_not(session):
    member = a_member(session, now=NOW, points=150)
    cheap = a_reward(session, now=NOW, name="A", per_member=1)
    a_reward(session, now=NOW, name="B", points=200)
    a_reward(session, now=NOW, name="C", tiers=("gold",))
    a_reward(session, now=NOW, name="D", on_sale_from=NOW + timedelta(days=1))
    a_reward(session, now=NOW, name="E", on_sale_until=NOW)
    a_reward(session, now=NOW, name="F", published=False)
    told = {each.reward.name: (each.redeemable, each.reason, each.missing_points) for each in queries.offers(session, member, now=NOW)}
    assert told == {
        "A": (True, None, 0),
        "B": (False, "insufficient_points", 50),
        "C": (False, "tier_not_eligible", 0),
        "D": (False, "not_in_window", 0),
    }
    a_redemption(session, member, cheap, now=NOW)
    [only] = queries.offers(session, member, now=NOW, reward_id=cheap)
    assert only.reason == "redemption_limit_reached"


def test_after_a_merge_the_survivor_cancels_and_the_points_come_back(session):
    one, two = a_member(session, now=NOW, points=300), a_member(session, now=NOW, points=300)
    reward = a_reward(session, now=NOW, per_member=1, stock=9)
    mine, theirs = a_redemption(session, one, reward, now=NOW), a_redemption(session, two, reward, now=NOW)
    unpaid = a_redemption(session, two, a_reward(session, now=NOW, cash_fen=1990), now=NOW)
    merge.merge(session, two, one, reason="same person", actor=STAFF, now=NOW)
    found = queries.list_redemptions(session, PageRequest(10), member_id=one)
    assert {each.id for each in found.items} == {mine.id, theirs.id, unpaid.id}
    assert balance(session, one) == (300, 100)
    service.cancel(session, theirs.id, actor=MemberActor(one), now=NOW, member_id=one)
    assert pay(session, unpaid).state == "placed"
    assert balance(session, one) == (400, 0)
    with pytest.raises(errors.RedemptionLimitReachedError):
        a_redemption(session, two, reward, now=NOW)
    assert points_queries.prove(session) == []


def test_staff_find_what_waits_and_the_funnel_adds_up(session):
    member = a_member(session, now=NOW, points=2000)
    reward = a_reward(session, now=NOW, stock=20)
    made = [a_redemption(session, member, reward, now=NOW) for _ in range(4)]
    service.ship(session, made[0].id, carrier="顺丰速运", tracking_no="SF1", actor=STAFF, now=NOW)
    service.cancel(session, made[1].id, actor=STAFF, now=NOW, reason="缺货")
    found = queries.funnel(session, reward)
    assert (found.made, found.placed, found.fulfilled, found.cancelled, found.points) == (4, 2, 1, 1, 300)
    assert queries.work(session) == queries.Work(2, 0, 0, 0)
    by_number = queries.list_redemptions(session, PageRequest(10), number=made[2].redemption_no)
    assert [each.id for each in by_number.items] == [made[2].id]
    assert queries.id_of_number(session, made[2].redemption_no) == made[2].id
    assert [each.id for each in queries.list_redemptions(session, PageRequest(10), number="SF1").items] == [made[0].id]
    assert len(queries.list_redemptions(session, PageRequest(10), state="placed", kind="goods", reward_id=reward).items) == 2
    assert queries.list_redemptions(session, PageRequest(10), since=NOW + timedelta(seconds=1)).items == []
    assert queries.under_way(session, [member])


def test_a_payment_policy_is_a_row_for_each_version(session):
    assert queries.payment_policy(session) == PaymentPolicy()
    half = PaymentPolicy(100, 50, 1000)
    assert service.set_payment_policy(session, half, actor=STAFF, now=NOW) == 1
    assert service.set_payment_policy(session, half, actor=STAFF, now=NOW) == 1
    assert service.set_payment_policy(session, PaymentPolicy(200, 50, None), actor=STAFF, now=NOW) == 2
    assert queries.payment_policy(session) == PaymentPolicy(200, 50, None)
    with pytest.raises(errors.PolicyInvalidError) as refused:
        service.set_payment_policy(session, PaymentPolicy(0, 101, 0), actor=STAFF, now=NOW)
    assert set(refused.value.fields) == {"points_per_yuan", "max_percent", "max_points"}
