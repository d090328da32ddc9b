"""A purchase without its buyer goes to who holds the receipt: once, by the rules of its day, and nobody learns whose another one is."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from server.flows import first_order, growth, receipts
from server.kernel.actors import MemberActor
from server.kernel.clock import business_date
from server.orders import claims, late, queries
from server.orders.claims import Receipt
from server.orders.drafts import MemberRef
from server.orders.errors import ReceiptCreditedError, TooManyReceiptTriesError
from server.orders.models import ReceiptClaim
from server.points import proofs
from server.points import queries as points
from server.points import service as points_service
from server.points.rulebook import RuleDraft
from server.points.rules import EVENT
from server.tiers import queries as tiers
from server.tiers import service as tiers_service
from tests.conftest import START
from tests.factories.members import PHONES, a_member
from tests.factories.orders import SYSTEM, a_line, a_till_draft, an_event, an_order, told
from tests.flows.test_tills import per_amount

NOW = START
SALE = NOW - timedelta(days=20)
BEFORE = NOW - timedelta(days=60)
ZONE = ZoneInfo("Asia/Shanghai")
NOBODY = MemberRef()


@pytest.fixture
def brand(session):
    per_amount(session, at=BEFORE)
    per_amount(session, at=NOW - timedelta(days=1), fen_per_point=10)
    tiers_service.ensure_default_tiers(session)
    tiers_service.ensure_default_rule(session, actor=SYSTEM, now=BEFORE)
    return session


def a_sale(session, *, at=SALE, member=NOBODY, **fields):
    draft = a_till_draft(now=at, member=member, lines=(a_line(amount_fen=19_900),), **fields)
    an_order(session, draft, now=at)
    return draft


def paper(draft, **fields):
    return Receipt(
        **{"external_no": draft.external_no, "amount_fen": draft.payable_fen, "placed_on": business_date(draft.placed_at, ZONE), **fields}
    )


def claimed(session, member, receipt, now=NOW):
    return receipts.claim(session, member, receipt, actor=MemberActor(member), now=now)


@pytest.mark.requirement("PTS11")
def test_a_sale_of_nobodys_is_claimed_and_earns_by_the_rules_of_its_day(brand):
    draft, member = a_sale(brand), a_member(brand, now=NOW)
    done = claimed(brand, member, paper(draft))
    assert (done.outcome, done.points) == (late.GRANTED, 199)
    order = queries.by_external(brand, "till", draft.external_no)
    assert (order.member_id, [found.state for found in order.exceptions]) == (member, ["closed"])
    assert points.earned_on(brand, member, business_date(SALE, ZONE)) == {"purchase": 199}
    growth.settle_order(brand, order.id, now=NOW)
    assert tiers.progress(brand, member, now=NOW).growth > 0
    other = a_member(brand, now=NOW)
    assert claimed(brand, other, paper(draft)).refusal.code == "receipt_already_credited"
    told(brand, draft, an_event("refunded", NOW, refund_id="r"), now=NOW)
    assert points.balance(brand, member, now=NOW).available == 0
    assert proofs.prove(brand) == []


def test_a_sale_of_an_unclaimed_record_takes_its_points_and_growth_along(brand):
    draft, member = a_sale(brand, member=MemberRef(phone=PHONES[7])), a_member(brand, now=NOW)
    order = queries.by_external(brand, "till", draft.external_no)
    growth.settle_order(brand, order.id, now=SALE)
    before = tiers.progress(brand, order.member_id, now=NOW).growth
    assert claimed(brand, member, paper(draft)).points == 199
    growth.settle_order(brand, order.id, now=NOW)
    assert (points.balance(brand, order.member_id, now=NOW).available, points.balance(brand, member, now=NOW).available) == (0, 199)
    assert (tiers.progress(brand, order.member_id, now=NOW).growth, tiers.progress(brand, member, now=NOW).growth) == (0, before)
    told(brand, draft, an_event("refunded", NOW, refund_id="r"), now=NOW)
    growth.settle_order(brand, order.id, now=NOW)
    assert (points.balance(brand, member, now=NOW).available, tiers.progress(brand, member, now=NOW).growth) == (0, 0)
    assert proofs.prove(brand) == []


def test_a_claimed_sale_takes_the_points_for_a_first_order_along(brand):
    first = RuleDraft("first", EVENT, "First order", {"event": "first_order", "points": 40})
    points_service.save_rule(brand, first, actor=SYSTEM, now=BEFORE)
    draft, member = a_sale(brand, member=MemberRef(phone=PHONES[7])), a_member(brand, now=NOW)
    later = a_sale(brand, at=SALE + timedelta(days=1), member=MemberRef(phone=PHONES[7]))
    order, other = (queries.by_external(brand, "till", one.external_no) for one in (draft, later))
    record = order.member_id
    first_order.settle(brand, order.id, now=SALE)
    assert points.balance(brand, record, now=NOW).available == 1990 + 1990 + 40
    # The record's next order is its first one now; whoever has the sale gets what its first order gives, once.
    assert claimed(brand, member, paper(draft)).points == 199
    assert points.balance(brand, record, now=NOW).available == 1990 + 40
    for _ in range(2):
        first_order.settle(brand, order.id, now=NOW)
        first_order.settle(brand, other.id, now=NOW)
        assert [points.balance(brand, who, now=NOW).available for who in (member, record)] == [199 + 40, 1990 + 40]
    assert claimed(brand, member, paper(later)).points == 199
    assert [points.balance(brand, who, now=NOW).available for who in (member, record)] == [199 + 199 + 40, 0]
    assert proofs.prove(brand) == []


def test_five_wrong_receipts_a_day_end_it_and_a_known_one_is_no_try(brand):
    draft, member = a_sale(brand), a_member(brand, now=NOW)
    taken = a_sale(brand, member=MemberRef(member_id=a_member(brand, now=BEFORE)))
    assert claimed(brand, member, paper(taken)).outcome == late.CREDITED
    for wrong in ({"amount_fen": 1}, {"placed_on": business_date(NOW, ZONE)}, {"external_no": "x"}, {"channel": "pos"}, {"store": "S9"}):
        assert claimed(brand, member, paper(draft, **wrong)).refusal.code == "receipt_not_found"
    with pytest.raises(TooManyReceiptTriesError) as refused:
        claimed(brand, member, paper(draft))
    assert 0 < refused.value.retry_after_seconds <= 86_400
    assert claimed(brand, member, paper(draft), NOW + timedelta(days=1)).outcome == late.GRANTED


def test_staff_attach_an_old_sale_with_a_reason_once(brand):
    old = a_sale(brand, at=BEFORE + timedelta(hours=1))
    member, order = a_member(brand, now=NOW), queries.by_external(brand, "till", old.external_no)
    assert claimed(brand, member, paper(old)).outcome == late.TOO_OLD
    assert receipts.attach(brand, order.id, member, reason="paper seen", actor=SYSTEM, now=NOW).points == 199
    with pytest.raises(ReceiptCreditedError):
        receipts.attach(brand, order.id, a_member(brand, now=NOW), reason="again", actor=SYSTEM, now=NOW)
    assert [(row.outcome, row.reason) for row in claims.listed(brand, claims.PageRequest(5), member_id=member).items] == [
        (late.GRANTED, "paper seen"),
        (late.TOO_OLD, None),
    ]


@pytest.mark.committing
def test_tries_at_once_are_counted_one_by_one(core):
    member = core.db.run(lambda session: a_member(session, now=NOW))
    gate = threading.Barrier(8)

    def guess(number):
        gate.wait(5)
        try:
            return core.db.run(lambda session: claimed(session, member, Receipt(f"R-{number}", 1, business_date(NOW, ZONE))).outcome)
        except TooManyReceiptTriesError as refusal:
            return refusal.code

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(guess, range(8)))
    assert sorted(outcomes) == [late.NOT_FOUND] * 5 + [TooManyReceiptTriesError.code] * 3


@pytest.mark.committing
def test_of_those_who_hold_one_receipt_one_gets_it(core):
    def brand(session):
        per_amount(session, at=BEFORE)
        return a_sale(session, member=MemberRef(phone=PHONES[9])), [a_member(session, now=NOW) for _ in range(4)]

    draft, who = core.db.run(brand)
    gate = threading.Barrier(len(who))

    def one(member):
        gate.wait(5)
        return core.db.run(lambda session: claimed(session, member, paper(draft)).outcome)

    with ThreadPoolExecutor(len(who)) as pool:
        outcomes = list(pool.map(one, who))
    assert sorted(outcomes) == [late.CREDITED] * 3 + [late.GRANTED]
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(ReceiptClaim).where(ReceiptClaim.granted_slot.is_not(None))) == 1
        assert sum(points.balance(session, member, now=NOW).available for member in who) == 199
        assert proofs.prove(session) == []
