"""Coupons come into wallets within every limit, and a refusal changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from server.coupons import queries, service
from server.coupons.errors import (
    ClaimLimitReachedError,
    NotInWindowError,
    SoldOutError,
    SoldOutTodayError,
    SourceConflictError,
    TemplateNotFoundError,
    TemplateStateError,
)
from server.coupons.models import Coupon, CouponTransition
from server.coupons.rules.terms import Validity
from server.kernel.actors import MemberActor
from server.kernel.outbox import OutboxEvent
from server.kernel.pagination import PageRequest
from server.kernel.source import Source
from tests.conftest import START
from tests.factories.coupons import STAFF, a_draft, a_member, a_template, percent_terms, some_terms

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.coupons.queries import CouponView

NOW = START


def claim(session: Session, member_id: UUID, template_id: UUID, now=NOW) -> CouponView:
    return service.claim(session, member_id, template_id, actor=MemberActor(member_id), now=now)


def rows(session: Session) -> tuple[int, int]:
    coupons = session.scalar(sa.select(sa.func.count()).select_from(Coupon)) or 0
    return coupons, session.scalar(sa.select(sa.func.count()).select_from(CouponTransition)) or 0


def test_a_claimed_coupon_is_in_the_wallet_with_its_own_terms(session):
    member = a_member(session, now=NOW)
    template = a_template(session, now=NOW, stock=5)
    coupon = claim(session, member, template)
    found = queries.wallet(session, member, "available", PageRequest(), now=NOW)
    assert [each.id for each in found.items] == [coupon.id]
    assert coupon.terms == some_terms()
    view = queries.find_template(session, template)
    assert (view.issued, view.left) == (1, 4)
    assert [each.event for each in queries.transitions(session, coupon.id)] == ["issue"]
    told = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == "coupons.issued")).one()
    assert told.payload == {"coupon_id": str(coupon.id), "member_id": str(member)}


def test_thirty_days_end_with_the_thirtieth_business_day(session):
    coupon = claim(session, a_member(session, now=NOW), a_template(session, now=NOW))
    assert coupon.valid_from == NOW
    assert coupon.valid_until == NOW + timedelta(days=29, hours=12)  # midnight in Shanghai after 14 July


def test_a_later_edit_never_changes_a_coupon_in_a_wallet(session):
    member = a_member(session, now=NOW)
    draft = a_draft(stock=5)
    template = service.create_template(session, draft, actor=STAFF, now=NOW)
    service.publish_template(session, template, actor=STAFF, now=NOW)
    coupon = claim(session, member, template)
    changed = a_draft(code=draft.code, terms=percent_terms(), stock=9, validity=Validity(days=1))
    service.update(session, template, changed, actor=STAFF, now=NOW)
    again = queries.find(session, coupon.id, now=NOW)
    assert (again.terms, again.valid_until) == (coupon.terms, coupon.valid_until)
    assert queries.find_template(session, template).left == 8


@pytest.mark.parametrize(
    ("draft", "error"),
    [
        ({"claim_from": NOW + timedelta(hours=1)}, NotInWindowError),
        ({"claim_until": NOW}, NotInWindowError),
        ({"published": False}, TemplateNotFoundError),
        ({"claim_centre": False}, TemplateNotFoundError),
        ({"validity": Validity(NOW - timedelta(days=9), NOW)}, NotInWindowError),
    ],
)
def test_a_template_that_is_not_open_gives_nothing_and_changes_nothing(session, draft, error):
    member = a_member(session, now=NOW)
    template = a_template(session, now=NOW, **draft)
    with pytest.raises(error):
        claim(session, member, template)
    assert rows(session) == (0, 0)
    assert queries.find_template(session, template).issued == 0


def test_the_limit_per_member_holds_and_the_stock_is_untouched_by_the_refusal(session):
    member = a_member(session, now=NOW)
    template = a_template(session, now=NOW, stock=5, per_member=2)
    claim(session, member, template)
    claim(session, member, template)
    with pytest.raises(ClaimLimitReachedError):
        claim(session, member, template)
    assert queries.find_template(session, template).left == 3
    claim(session, a_member(session, now=NOW), template)


def test_the_daily_limit_per_member_begins_anew_with_the_business_day(session):
    member = a_member(session, now=NOW)
    template = a_template(session, now=NOW, per_member=None, per_member_daily=1)
    claim(session, member, template)
    with pytest.raises(ClaimLimitReachedError):
        claim(session, member, template, NOW + timedelta(hours=11))
    claim(session, member, template, NOW + timedelta(hours=13))


def test_the_daily_stock_begins_anew_with_the_business_day(session):
    template = a_template(session, now=NOW, stock=3, daily_stock=1)
    claim(session, a_member(session, now=NOW), template)
    with pytest.raises(SoldOutTodayError):
        claim(session, a_member(session, now=NOW), template)
    claim(session, a_member(session, now=NOW), template, NOW + timedelta(days=1))


def test_the_budget_holds(session):
    template = a_template(session, now=NOW, budget_fen=4500)
    claim(session, a_member(session, now=NOW), template)
    claim(session, a_member(session, now=NOW), template)
    with pytest.raises(SoldOutError):
        claim(session, a_member(session, now=NOW), template)
    assert queries.find_template(session, template).budget_committed_fen == 4000


def test_the_last_coupon_is_given_once(session):
    template = a_template(session, now=NOW, stock=1)
    claim(session, a_member(session, now=NOW), template)
    with pytest.raises(SoldOutError):
        claim(session, a_member(session, now=NOW), template)


def test_the_claim_centre_tells_why_a_coupon_cannot_be_claimed(session):
    member = a_member(session, now=NOW)
    open_one = a_template(session, now=NOW, stock=2)
    gone = a_template(session, now=NOW + timedelta(seconds=1), stock=1)
    had = a_template(session, now=NOW + timedelta(seconds=2))
    soon = a_template(session, now=NOW + timedelta(seconds=3), claim_from=NOW + timedelta(days=1))
    a_template(session, now=NOW, claim_until=NOW)
    claim(session, a_member(session, now=NOW), gone)
    claim(session, member, had)
    found = {each.template.id: each.reason for each in queries.claimable(session, member, NOW)}
    assert found == {open_one: None, gone: "sold_out", had: "claim_limit_reached", soon: "not_in_window"}


def test_issuing_again_for_the_same_source_gives_the_same_coupon(session):
    member = a_member(session, now=NOW)
    template = a_template(session, now=NOW, claim_centre=False, per_member=None)
    source = Source("birthday", "2026")
    first = service.issue(session, member, template, source=source, actor=STAFF, now=NOW)
    again = service.issue(session, member, template, source=source, actor=STAFF, now=NOW)
    assert again == first
    assert rows(session) == (1, 1)
    with pytest.raises(SourceConflictError):
        service.issue(session, a_member(session, now=NOW), template, source=source, actor=STAFF, now=NOW)


def test_a_paused_template_is_not_issued(session):
    template = a_template(session, now=NOW)
    service.pause(session, template, actor=STAFF, now=NOW)
    member = a_member(session, now=NOW)
    with pytest.raises(TemplateStateError):
        service.issue(session, member, template, source=Source("test", "1"), actor=STAFF, now=NOW)
    with pytest.raises(NotInWindowError):
        claim(session, member, template)
    assert rows(session) == (0, 0)


def test_a_list_is_issued_member_by_member_and_a_second_run_gives_nobody_another(session):
    members = [a_member(session, now=NOW) for _ in range(3)]
    template = a_template(session, now=NOW, stock=2)
    first = service.issue_many(session, members, template, batch="list-1", actor=STAFF, now=NOW, reason="apology")
    assert [each.code for each in first] == [None, None, "sold_out"]
    again = service.issue_many(session, members, template, batch="list-1", actor=STAFF, now=NOW, reason="apology")
    assert [each.coupon for each in again] == [each.coupon for each in first]
    assert queries.find_template(session, template).issued == 2
