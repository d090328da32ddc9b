"""A paid order earns its points, and whatever happens afterwards ends alike in every order."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations

import pytest
import sqlalchemy as sa

from server.coupons import queries as coupon_queries
from server.coupons.rules.terms import Kind as CouponKind
from server.coupons.rules.terms import Terms as CouponTerms
from server.flows import intake, order_events
from server.kernel.amounts import Points
from server.kernel.pagination import PageRequest
from server.kernel.source import Source
from server.logistics.gateway import ParcelEvent, TrackingUpdate
from server.orders import queries
from server.orders.drafts import LineDraft, MemberRef, RefundLine
from server.orders.errors import EventConflictError, OrderConflictError
from server.orders.models import Order
from server.points import proofs
from server.points import queries as points
from server.points import service as points_service
from tests.conftest import START
from tests.factories.coupons import a_coupon
from tests.factories.orders import RECEIVER, SHOP, SYSTEM, a_draft, a_line, a_till_draft, an_event, an_order, told
from tests.factories.points import a_member

NOW = START


@pytest.fixture
def rules(session):
    points_service.ensure_default_rules(session, actor=SYSTEM, now=NOW)
    return session


def the_order(session, draft):
    return queries.by_external(session, draft.channel, draft.external_no)


def balance(session, draft):
    found = points.balance(session, the_order(session, draft).member_id)
    return found.available, found.pending


def test_a_till_sale_earns_at_once(rules):
    draft = a_till_draft(now=NOW, lines=(a_line(amount_fen=12_345),))
    taken = an_order(rules, draft, now=NOW)
    assert (taken.created, taken.state, taken.exceptions) == (True, "completed", [])
    assert balance(rules, draft) == (123, 0)
    assert [line.points for line in the_order(rules, draft).lines] == [123]
    assert points.entry_of_source(rules, Source("orders", f"order:till:{draft.external_no}")) is not None


def test_a_shipped_order_earns_pending_points_until_seven_days_after_delivery(rules):
    draft = a_draft(now=NOW)
    an_order(rules, draft, now=NOW)
    assert balance(rules, draft) == (0, 100)
    told(rules, draft, an_event("shipped", NOW, carrier="yuantong", tracking_no="YT1"), now=NOW)
    delivered = NOW + timedelta(days=2)
    told(rules, draft, an_event("delivered", delivered), now=delivered)
    assert points_service.unlock_due(rules, delivered + timedelta(days=6)) == 0
    assert points_service.unlock_due(rules, delivered + timedelta(days=7)) == 1
    assert balance(rules, draft) == (100, 0)


def test_points_of_a_parcel_never_reported_unlock_thirty_days_after_shipping(rules):
    draft = a_draft(now=NOW)
    an_order(rules, draft, now=NOW)
    told(rules, draft, an_event("shipped", NOW), now=NOW)
    assert points_service.unlock_due(rules, NOW + timedelta(days=29)) == 0
    assert points_service.unlock_due(rules, NOW + timedelta(days=30)) == 1


def test_points_wait_while_an_exception_is_open_and_no_delivery_is_known(rules):
    draft = a_draft(now=NOW, payable_fen=1)
    assert an_order(rules, draft, now=NOW).exceptions == ["amounts_differ"]
    told(rules, draft, an_event("shipped", NOW), now=NOW)
    assert points_service.unlock_due(rules, NOW + timedelta(days=31)) == 0
    found = the_order(rules, draft).exceptions[0]
    order_events.close_exception(rules, found.id, reason="checked with the shop", actor=SHOP, now=NOW + timedelta(days=31))
    assert balance(rules, draft) == (100, 0)


def test_the_same_sale_again_is_the_same_order(rules):
    draft = a_till_draft(now=NOW)
    first = an_order(rules, draft, now=NOW)
    again = an_order(rules, draft, now=NOW + timedelta(hours=1))
    assert (again.order_id, again.created) == (first.order_id, False)
    assert balance(rules, draft) == (100, 0)


def test_the_same_number_with_other_content_is_refused_and_changes_nothing(rules):
    draft = a_till_draft(now=NOW)
    an_order(rules, draft, now=NOW)
    other = a_till_draft(now=NOW, external_no=draft.external_no, lines=(a_line(amount_fen=99_999),))
    with pytest.raises(OrderConflictError):
        an_order(rules, other, now=NOW)
    assert balance(rules, draft) == (100, 0)
    assert rules.scalar(sa.select(sa.func.count()).select_from(Order)) == 1


def test_a_coupon_that_cannot_be_redeemed_is_an_exception_and_no_refusal(rules):
    import uuid

    draft = a_till_draft(now=NOW, coupon_ids=(uuid.uuid4(),))
    taken = an_order(rules, draft, now=NOW)
    assert (taken.state, taken.exceptions) == ("completed", ["coupon_refused"])


def test_the_gift_of_a_coupon_is_a_line_that_cost_nothing_and_one_goes_on_an_order(rules):
    member = a_member(rules, now=NOW)
    terms = CouponTerms("赠", CouponKind.GIFT, gift_sku="CUP-1", gift_quantity=1, gift_value_fen=900)
    coupons = [a_coupon(rules, member, now=NOW, terms=terms) for _ in range(3)]
    cup = LineDraft(2, "CUP-1", "杯", 1, 0)
    ref = MemberRef(member_id=member)
    both = a_till_draft(now=NOW, member=ref, coupon_ids=(coupons[0].id, coupons[1].id), lines=(a_line(1), cup))
    assert an_order(rules, both, now=NOW).exceptions == ["coupon_refused"]
    assert [coupon_queries.find(rules, each.id, now=NOW).state for each in coupons] == ["redeemed", "issued", "issued"]
    without = a_till_draft(now=NOW, member=ref, coupon_ids=(coupons[2].id,), lines=(a_line(1),))
    assert an_order(rules, without, now=NOW).exceptions == ["gift_not_as_promised"]


def test_points_are_redeemed_with_the_order_or_it_has_an_exception(rules):
    member = a_member(rules, now=NOW, points=50)
    ref = MemberRef(member_id=member)
    paid = a_till_draft(now=NOW, member=ref, points_redeemed=40, points_paid_fen=400)
    assert an_order(rules, paid, now=NOW).exceptions == []
    assert balance(rules, paid) == (10 + 96, 0)
    greedy = a_till_draft(now=NOW, member=ref, points_redeemed=5000)
    assert an_order(rules, greedy, now=NOW).exceptions == ["points_refused"]
    told(rules, paid, an_event("refunded", NOW, refund_id="r"), now=NOW)
    assert balance(rules, paid) == (50 + 100, 0)


def test_refunds_by_line_take_back_exactly_what_was_earned(rules):
    draft = a_till_draft(now=NOW, lines=(a_line(1, amount_fen=3333, quantity=3), a_line(2, amount_fen=777)))
    an_order(rules, draft, now=NOW)
    assert balance(rules, draft) == (41, 0)
    for number in range(3):
        told(rules, draft, an_event("refunded", NOW, refund_id=f"r{number}", lines=(RefundLine(1, 1),)), now=NOW)
    order = the_order(rules, draft)
    assert (order.refunded_fen, order.state) == (3333, "completed")
    told(rules, draft, an_event("refunded", NOW, refund_id="last", lines=(RefundLine(2, 1),)), now=NOW)
    order = the_order(rules, draft)
    assert (order.state, order.stage, order.points_taken_back) == ("refunded", "done", 41)
    assert balance(rules, draft) == (0, 0)
    assert proofs.prove(rules) == []


def test_a_refund_told_twice_counts_once(rules):
    draft = a_till_draft(now=NOW)
    an_order(rules, draft, now=NOW)
    event = an_event("refunded", NOW, refund_id="r1", refund_fen=5000)
    assert told(rules, draft, event, now=NOW).created
    assert not told(rules, draft, event, now=NOW).created
    told(rules, draft, an_event("refunded", NOW, refund_id="r1", refund_fen=5000), now=NOW)
    assert balance(rules, draft) == (50, 0)
    with pytest.raises(EventConflictError):
        told(rules, draft, an_event("refunded", NOW, event_id=event.event_id, refund_id="r1", refund_fen=6000), now=NOW)


def test_a_cancelled_order_gives_its_points_back(rules):
    draft = a_draft(now=NOW)
    an_order(rules, draft, now=NOW)
    told(rules, draft, an_event("cancelled", NOW), now=NOW)
    order = the_order(rules, draft)
    assert (order.state, order.points_earned, order.points_taken_back) == ("cancelled", 100, 100)
    assert balance(rules, draft) == (0, 0)


def test_an_unknown_phone_makes_a_member_that_the_next_order_finds(rules):
    first = a_till_draft(now=NOW, member=MemberRef(phone="13912345678"))
    second = a_till_draft(now=NOW, member=MemberRef(phone="+86 139 1234 5678"))
    an_order(rules, first, now=NOW)
    an_order(rules, second, now=NOW)
    assert the_order(rules, first).member_id == the_order(rules, second).member_id is not None


def test_a_sale_to_nobody_known_is_taken_in_with_an_exception(rules):
    draft = a_till_draft(now=NOW, member=MemberRef(openid="o-nobody"))
    assert an_order(rules, draft, now=NOW).exceptions == ["member_unknown"]
    assert the_order(rules, draft).member_id is None


def test_the_receiver_is_sealed_masked_and_found(rules):
    draft = a_draft(now=NOW)
    an_order(rules, draft, now=NOW)
    row = rules.scalars(sa.select(Order)).one()
    assert RECEIVER.name not in str(row.receiver_name)
    assert RECEIVER.phone not in str(row.receiver_phone)
    assert the_order(rules, draft).receiver.name == "王**"
    told(rules, draft, an_event("shipped", NOW, carrier="yuantong", tracking_no="YT77"), now=NOW)
    for text in (row.order_no, draft.external_no, "YT77", "王小明", "13800138000"):
        assert [item.id for item in queries.search(rules, PageRequest(), text=text).items] == [row.id]
    assert queries.search(rules, PageRequest(), text="王大明").items == []


PAID = ("paid", 1, {})
SHIPPED = ("shipped", 2, {"carrier": "yuantong", "tracking_no": "YT9"})
DELIVERED = ("delivered", 3, {})
PART = ("refunded", 4, {"refund_id": "a", "lines": (RefundLine(1, 1),)})
AMOUNT = ("refunded", 5, {"refund_id": "b", "refund_fen": 1234})
CANCELLED = ("cancelled", 6, {})


@pytest.mark.parametrize("happened", [(PAID, SHIPPED, DELIVERED, PART), (PAID, PART, AMOUNT, SHIPPED), (PAID, SHIPPED, CANCELLED, PART)])
def test_the_end_does_not_depend_on_the_order_of_events(rules, happened):
    ends = set()
    for place, told_order in enumerate(permutations(happened)):
        lines = (a_line(1, amount_fen=3335, quantity=3), a_line(2, amount_fen=1999))
        draft = a_draft(now=NOW, paid_at=None, lines=lines, member=MemberRef(external_id=f"p{place}"))
        an_order(rules, draft, now=NOW)
        for kind, hours, fields in (*told_order, told_order[0]):
            event_id = f"{kind}-{fields.get('refund_id', '')}"
            told(rules, draft, an_event(kind, NOW + timedelta(hours=hours), event_id=event_id, **fields), now=NOW + timedelta(days=1))
        order = the_order(rules, draft)
        lots = [(lot.state, lot.unlock_at) for lot in points.lots(rules, order.member_id, PageRequest()).items]
        open_ = tuple(sorted(each.rule for each in order.exceptions if each.state == "open"))
        ends.add((order.state, order.refunded_fen, order.shipped_at, order.delivered_at, open_, balance(rules, draft), tuple(lots)))
    assert len(ends) == 1
    assert proofs.prove(rules) == []


def test_tracking_in_any_order_and_number_ends_alike(rules):
    reports = [
        TrackingUpdate("yuantong", "", (ParcelEvent(NOW, "collected", "已收件"),), "collected"),
        TrackingUpdate(
            "yuantong", "", (ParcelEvent(NOW + timedelta(hours=5), "delivering", "派送中"), ParcelEvent(NOW, None, "已收件")), None
        ),
        TrackingUpdate("yuantong", "", (ParcelEvent(NOW + timedelta(hours=6), "delivered", "已签收"),), "delivered"),
    ]
    ends = set()
    for place, order_of_reports in enumerate(permutations([*reports, "shipped"])):
        number = f"YT-{place}"
        draft = a_draft(now=NOW, member=MemberRef(external_id=f"t{place}"))
        an_order(rules, draft, now=NOW)
        for report in (*order_of_reports, order_of_reports[0]):
            if report == "shipped":
                told(rules, draft, an_event("shipped", NOW, event_id="s", carrier="YuanTong", tracking_no=number), now=NOW)
            else:
                order_events.apply_tracking(rules, TrackingUpdate("yuantong", number, report.events, report.state), now=NOW)
        order = the_order(rules, draft)
        (parcel,) = order.shipments
        ends.add((order.state, parcel.state, parcel.delivered_at, tuple((event.state, event.description) for event in parcel.events)))
    assert ends == {
        ("delivered", "delivered", NOW + timedelta(hours=6), (("delivered", "已签收"), ("delivering", "派送中"), ("collected", "已收件")))
    }


def test_a_receipt_completes_the_order_and_starts_the_seven_days(rules):
    draft = a_draft(now=NOW)
    taken = an_order(rules, draft, now=NOW)
    told(rules, draft, an_event("shipped", NOW), now=NOW)
    member = the_order(rules, draft).member_id
    later = NOW + timedelta(days=1)
    first = order_events.confirm_receipt(rules, taken.order_no, member, actor=SYSTEM, now=later)
    again = order_events.confirm_receipt(rules, taken.order_no, member, actor=SYSTEM, now=later)
    assert (first.state, first.created, again.created) == ("completed", True, False)
    assert points_service.unlock_due(rules, later + timedelta(days=7)) == 1


def test_orders_complete_seven_days_after_delivery(rules):
    draft = a_draft(now=NOW)
    an_order(rules, draft, now=NOW)
    told(rules, draft, an_event("delivered", NOW), now=NOW)
    assert order_events.complete_due(rules, NOW + timedelta(days=6)) == 0
    assert order_events.complete_due(rules, NOW + timedelta(days=7)) == 1
    assert order_events.complete_due(rules, NOW + timedelta(days=8)) == 0
    assert the_order(rules, draft).state == "completed"


def test_more_back_than_was_paid_is_an_exception(rules):
    draft = a_till_draft(now=NOW)
    an_order(rules, draft, now=NOW)
    assert told(rules, draft, an_event("refunded", NOW, refund_fen=10_001), now=NOW).exceptions == ["refund_exceeds_paid"]
    assert balance(rules, draft) == (0, 0)


def test_intake_gives_exactly_the_points_of_the_rule(rules):
    draft = a_till_draft(now=NOW)
    an_order(rules, draft, now=NOW)
    member = the_order(rules, draft).member_id
    entry = points.entries(rules, member, PageRequest()).items[0]
    assert (entry.kind, entry.points, entry.reason) == ("accrue", Points(100).count, intake.EARNED)


def test_a_merged_members_orders_go_to_the_survivor(rules):
    from server.orders import service as orders_service

    draft = a_till_draft(now=NOW)
    an_order(rules, draft, now=NOW)
    old, new = the_order(rules, draft).member_id, a_member(rules, now=NOW)
    assert orders_service.merge_members(rules, old, new, now=NOW) == {"orders": 1}
    assert [item.external_no for item in queries.of_member(rules, new, "done", PageRequest()).items] == [draft.external_no]
    assert queries.of_member(rules, old, None, PageRequest()).items == []


def test_a_list_takes_the_same_statements_whatever_its_size(core):
    from sqlalchemy import event

    def prepare(session):
        points_service.ensure_default_rules(session, actor=SYSTEM, now=NOW)
        for _ in range(6):
            an_order(session, a_till_draft(now=NOW), now=NOW)
        return queries.search(session, PageRequest()).items[0].member_id

    member = core.db.run(prepare)
    counts = []
    for limit in (1, 6):
        seen = []

        def listener(*args, seen=seen):
            seen.append(args[2])

        event.listen(core.db.engine, "before_cursor_execute", listener)
        with core.db.reading() as session:
            assert len(queries.of_member(session, member, None, PageRequest(limit)).items) == limit
        event.remove(core.db.engine, "before_cursor_execute", listener)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 5  # one of them BEGIN
