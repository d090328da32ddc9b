"""A coupon is locked, redeemed, returned, expired or voided along the edges of its life and no other way."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from server.coupons import queries, service
from server.coupons.errors import CouponNotAvailableError, CouponNotFoundError, SoldOutError
from server.coupons.funnel_queries import funnel
from server.coupons.models import Coupon, CouponTemplate, CouponTransition
from server.coupons.rules.terms import Validity
from server.kernel.outbox import OutboxEvent
from server.kernel.pagination import PageRequest
from tests.conftest import START
from tests.factories.coupons import STAFF, SYSTEM, TILL, a_coupon, a_member, a_template, some_terms

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.coupons.queries import CouponView

NOW = START
ORDER = {"channel": "till", "external_no": "1001"}
OTHER = {"channel": "till", "external_no": "1002"}


def lock(session: Session, coupon: CouponView, order=ORDER, now=NOW, **more) -> CouponView:
    return service.lock(session, coupon.id, **order, actor=TILL, now=now, **more)


def redeem(session: Session, coupon: CouponView, order=ORDER, now=NOW, **more) -> CouponView:
    return service.redeem(session, coupon.id, **order, discount_fen=2000, actor=TILL, now=now, **more)


def give_back(session: Session, coupon: CouponView, refund_id="r1", now=NOW) -> CouponView:
    return service.return_(session, coupon.id, refund_id=refund_id, actor=TILL, now=now)


def events(session: Session, coupon: CouponView) -> list[str]:
    return [each.event for each in queries.transitions(session, coupon.id)]


def topics(session: Session) -> list[str]:
    return sorted(session.scalars(sa.select(OutboxEvent.topic).where(OutboxEvent.topic.startswith("coupons."))))


@pytest.fixture
def coupon(session: Session) -> CouponView:
    return a_coupon(session, a_member(session, now=NOW), now=NOW)


def test_a_locked_coupon_is_redeemed_for_its_order_only(session, coupon):
    locked = lock(session, coupon)
    assert (locked.state, locked.locked_until) == ("locked", NOW + timedelta(minutes=30))
    assert lock(session, coupon) == locked
    with pytest.raises(CouponNotAvailableError) as refused:
        redeem(session, coupon, OTHER)
    assert refused.value.params == {"state": "locked"}
    with pytest.raises(CouponNotAvailableError):
        lock(session, coupon, OTHER)
    done = redeem(session, coupon)
    assert (done.state, done.external_no, done.discount_fen, done.locked_until) == ("redeemed", "1001", 2000, None)
    assert events(session, coupon) == ["issue", "lock", "redeem"]
    assert topics(session) == ["coupons.issued", "coupons.redeemed"]


def test_redeeming_again_for_the_same_order_changes_nothing(session, coupon):
    done = redeem(session, coupon)
    assert redeem(session, coupon, now=NOW + timedelta(days=400)) == done
    assert events(session, coupon) == ["issue", "redeem"]
    with pytest.raises(CouponNotAvailableError):
        redeem(session, coupon, OTHER)
    assert queries.find(session, coupon.id, now=NOW) == done


def test_a_lock_that_timed_out_keeps_nobody_waiting(session, coupon):
    lock(session, coupon, ttl_seconds=60)
    later = NOW + timedelta(seconds=60)
    assert lock(session, coupon, OTHER, now=later).external_no == "1002"
    assert events(session, coupon) == ["issue", "lock", "unlock", "lock"]


def test_a_lock_outlives_the_end_of_the_coupon(session, coupon):
    just_before = coupon.valid_until - timedelta(seconds=1)
    lock(session, coupon, now=just_before)
    assert redeem(session, coupon, now=coupon.valid_until + timedelta(seconds=5)).state == "redeemed"


def test_unlocking_is_for_the_order_that_locked(session, coupon):
    lock(session, coupon)
    assert service.unlock(session, coupon.id, **OTHER, actor=TILL, now=NOW).state == "locked"
    assert service.unlock(session, coupon.id, **ORDER, actor=TILL, now=NOW).state == "issued"
    assert service.unlock(session, coupon.id, **ORDER, actor=TILL, now=NOW).state == "issued"


def test_a_refund_gives_a_coupon_back_once(session, coupon):
    redeem(session, coupon)
    assert give_back(session, coupon).state == "issued"
    redeem(session, coupon, OTHER)
    assert give_back(session, coupon).state == "redeemed"
    assert give_back(session, coupon, "r2").state == "issued"
    assert events(session, coupon) == ["issue", "redeem", "return", "redeem", "return"]
    with pytest.raises(CouponNotAvailableError):
        give_back(session, coupon, "r3")


def test_a_coupon_returned_after_its_end_is_expired(session, coupon):
    redeem(session, coupon)
    assert give_back(session, coupon, now=coupon.valid_until).state == "expired"
    assert events(session, coupon)[-1] == "return_late"


def test_the_grace_of_the_terms_lets_a_late_return_live_on(session):
    coupon = a_coupon(session, a_member(session, now=NOW), now=NOW, terms=some_terms(return_grace_days=7))
    redeem(session, coupon)
    returned = give_back(session, coupon, now=coupon.valid_until + timedelta(days=6))
    assert (returned.state, returned.valid_until) == ("issued", coupon.valid_until + timedelta(days=7))


def test_grace_is_given_once_in_a_coupons_life(session):
    coupon = a_coupon(session, a_member(session, now=NOW), now=NOW, terms=some_terms(return_grace_days=7))
    redeem(session, coupon)
    once = give_back(session, coupon, now=coupon.valid_until + timedelta(days=6))
    redeem(session, coupon, OTHER, now=once.valid_until - timedelta(hours=1))
    assert give_back(session, coupon, "r2", now=once.valid_until + timedelta(days=1)).state == "expired"


def test_a_return_in_time_leaves_the_grace_for_later(session):
    coupon = a_coupon(session, a_member(session, now=NOW), now=NOW, terms=some_terms(return_grace_days=7))
    redeem(session, coupon)
    assert give_back(session, coupon).valid_until == coupon.valid_until
    redeem(session, coupon, OTHER)
    assert give_back(session, coupon, "r2", now=coupon.valid_until + timedelta(days=6)).state == "issued"


def test_a_coupon_is_not_redeemed_outside_its_days(session):
    member = a_member(session, now=NOW)
    early = a_coupon(session, member, now=NOW, validity=Validity(days=1, starts_after_days=1))
    resting = a_coupon(session, member, now=NOW, terms=some_terms(blackouts=((NOW.date(), NOW.date()),)))
    ended = a_coupon(session, member, now=NOW, validity=Validity(days=1))
    for coupon, now, state in ((early, NOW, "not_started"), (resting, NOW, "blacked_out"), (ended, ended.valid_until, "expired")):
        with pytest.raises(CouponNotAvailableError) as refused:
            redeem(session, coupon, now=now)
        assert refused.value.params == {"state": state}
        assert events(session, coupon) == ["issue"]
    assert queries.find(session, ended.id, now=ended.valid_until).state == "expired"


def test_a_voided_coupon_gives_its_budget_back_and_stays_issued_in_the_count(session):
    coupon = a_coupon(session, a_member(session, now=NOW), now=NOW, stock=5, budget_fen=9000)
    service.void(session, coupon.id, reason="mistake", actor=STAFF, now=NOW)
    assert service.void(session, coupon.id, reason="mistake", actor=STAFF, now=NOW).state == "voided"
    template = queries.find_template(session, coupon.template_id)
    assert (template.issued, template.left, template.budget_committed_fen) == (1, 4, 0)
    assert topics(session) == ["coupons.issued", "coupons.voided"]
    with pytest.raises(CouponNotAvailableError):
        redeem(session, coupon)


def test_a_coupon_on_an_order_is_not_voided(session, coupon):
    lock(session, coupon)
    with pytest.raises(CouponNotAvailableError):
        service.void(session, coupon.id, reason="mistake", actor=STAFF, now=NOW)
    assert queries.find(session, coupon.id, now=NOW).state == "locked"


def test_somebody_elses_coupon_is_not_there(session, coupon):
    stranger = a_member(session, now=NOW)
    with pytest.raises(CouponNotFoundError):
        queries.find(session, coupon.id, now=NOW, member_id=stranger)
    with pytest.raises(CouponNotFoundError):
        redeem(session, coupon, member_id=stranger)
    assert events(session, coupon) == ["issue"]


def test_the_sweeps_open_locks_expire_and_remind_once(session):
    member = a_member(session, now=NOW)
    locked = a_coupon(session, member, now=NOW)
    ending = a_coupon(session, member, now=NOW, validity=Validity(days=2), stock=3, budget_fen=9000)
    lock(session, locked)
    assert service.remind_expiring(session, NOW) == 1
    assert service.remind_expiring(session, NOW) == 0
    assert service.release_due(session, NOW + timedelta(minutes=29)) == 0
    assert service.release_due(session, NOW + timedelta(minutes=30)) == 1
    assert service.expire_due(session, ending.valid_until) == 1
    assert service.expire_due(session, ending.valid_until) == 0
    assert queries.find(session, locked.id).state == "issued"
    assert queries.find(session, ending.id).state == "expired"
    assert queries.find_template(session, ending.template_id).budget_committed_fen == 0
    assert topics(session) == ["coupons.expiring", "coupons.issued", "coupons.issued"]


def test_the_funnel_counts_every_coupon_once(session):
    template = a_template(session, now=NOW, stock=9)
    coupons = []
    for _ in range(5):
        member = a_member(session, now=NOW)
        coupons.append(service.claim(session, member, template, actor=SYSTEM, now=NOW))
    redeem(session, coupons[0], sales_fen=12000)
    lock(session, coupons[1])
    service.void(session, coupons[2].id, reason="mistake", actor=STAFF, now=NOW)
    found = funnel(session, template, now=NOW)
    assert (found.issued, found.claimed, found.available, found.locked, found.redeemed, found.voided) == (5, 5, 2, 1, 1, 1)
    assert (found.discount_fen, found.sales_fen) == (2000, 12000)
    assert funnel(session, template, now=coupons[0].valid_until).expired == 2


def test_a_merge_moves_every_coupon_and_keeps_both(session):
    one, two = a_member(session, now=NOW), a_member(session, now=NOW)
    template = a_template(session, now=NOW, stock=9)
    for member in (one, two):
        service.claim(session, member, template, actor=SYSTEM, now=NOW)
    free = a_coupon(session, one, now=NOW, per_member=None)
    assert service.merge_members(session, one, two, now=NOW) == 2
    assert service.merge_members(session, one, two, now=NOW) == 0
    wallet = queries.wallet(session, two, None, PageRequest(), now=NOW)
    assert len(wallet.items) == 3
    assert free.id in {each.id for each in wallet.items}
    assert queries.count_available(session, one, NOW) == 0


@pytest.mark.committing
def test_the_life_of_a_coupon_is_append_only(core: Core):
    with core.db.transaction() as session:
        a_coupon(session, a_member(session, now=NOW), now=NOW)
    for statement in (sa.update(CouponTransition).values(event="void"), sa.delete(CouponTransition)):
        with pytest.raises(DBAPIError), core.db.transaction() as session:
            session.execute(statement)


@pytest.mark.committing
def test_the_database_itself_refuses_more_than_the_stock(core: Core):
    with core.db.transaction() as session:
        template: UUID = a_template(session, now=NOW, stock=1)

    def break_it(work: Callable[[Session], object]) -> None:
        with pytest.raises(SoldOutError), core.db.transaction() as session:
            work(session)

    break_it(lambda session: session.execute(sa.update(CouponTemplate).where(CouponTemplate.id == template).values(issued=2)))
    with core.db.reading() as session:
        assert queries.find_template(session, template).issued == 0
        assert session.scalar(sa.select(sa.func.count()).select_from(Coupon)) == 0
