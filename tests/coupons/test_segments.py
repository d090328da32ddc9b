"""Coupons for members of a segment: seen, claimed, given, quoted and redeemed by who is in it as of its last build, and by nobody else."""

from __future__ import annotations

from functools import partial

import pytest

from server.coupons import queries, service
from server.coupons.errors import CouponNotApplicableError, SegmentNotEligibleError, TemplateInvalidError
from server.coupons.rules.quote import CartLine
from server.coupons.rules.sentence import sentence
from server.coupons.rules.terms import Scope
from server.kernel.actors import MemberActor
from server.kernel.ids import uuid7
from server.kernel.source import Source
from server.orders.drafts import MemberRef
from server.segments.rules import Fact
from server.triggers.rules import TriggerKind
from server.triggers.service import settle_order
from tests.conftest import START
from tests.factories.coupons import STAFF, a_draft, a_member, a_template, some_terms
from tests.factories.orders import a_line, a_till_draft
from tests.factories.segments import a_segment, all_of, at_least, build
from tests.factories.triggers import a_trigger, gifts, sold

pytestmark = [pytest.mark.committing, pytest.mark.requirement("CPN1"), pytest.mark.requirement("CMP1")]
LINES = (CartLine("A", 1, 20_000),)
BUYERS = all_of(at_least(Fact.ORDERS, 1))


@pytest.fixture
def people(core):
    """Give a buyer, who is in the segment, and somebody who is not."""

    def work(session):
        buyer, other = a_member(session, now=START), a_member(session, now=START)
        sold(session, a_till_draft(now=START, member=MemberRef(member_id=buyer)), now=START)
        a_segment(session, BUYERS, now=START, code="buyers")
        return buyer, other

    found = core.db.run(work)
    build(core, "buyers")
    return found


@pytest.fixture
def template(core, people):
    return core.db.run(lambda s: a_template(s, now=START, terms=some_terms(scope=Scope(segments=("buyers",))), per_member=5))


def claims(core, member_id, template):
    return core.db.run(lambda s: service.claim(s, member_id, template, actor=MemberActor(member_id), now=START))


def test_only_who_is_in_the_segment_sees_it_claimable_and_claims_it(core, people, template):
    buyer, other = people
    with core.db.reading() as session:
        for member_id, reason in ((buyer, None), (other, "segment_not_eligible")):
            (seen,) = service.claim_centre(session, member_id, now=START)
            assert seen.reason == reason
    assert claims(core, buyer, template).state == "issued"
    with pytest.raises(SegmentNotEligibleError):
        claims(core, other, template)
    with core.db.reading() as session:
        assert queries.find_template(session, template).issued == 1


def test_nobody_else_is_given_one_by_hand_by_list_or_by_a_rule(core, people, template):
    buyer, other = people

    def given(session):
        with pytest.raises(SegmentNotEligibleError):
            service.issue(session, other, template, source=Source("test", uuid7().hex), actor=STAFF, now=START)
        return service.issue_many(session, [buyer, other], template, batch="b", actor=STAFF, now=START)

    assert [each.code for each in core.db.run(given)] == [None, "segment_not_eligible"]


def test_a_rule_for_a_segment_gives_to_its_members_only(core, people):
    buyer, other = people
    core.db.run(lambda s: a_trigger(s, TriggerKind.ORDER, now=START, segments=("buyers",)))
    for member_id in (other, buyer):
        order = core.db.run(
            lambda s, who=member_id: sold(
                s, a_till_draft(now=START, member=MemberRef(member_id=who), lines=(a_line(amount_fen=30_000),), paid_at=START), now=START
            )
        )
        core.db.run(partial(settle_order, order_id=order, now=START))
    with core.db.reading() as session:
        assert [(gift.member_id, gift.state) for gift in gifts(session)] == [(buyer, "given")]


def test_a_quote_and_a_redemption_ask_again_and_follow_the_last_build(core, people, template):
    buyer, _ = people
    coupon = claims(core, buyer, template)

    def quoted():
        with core.db.reading() as session:
            return service.quote(session, buyer, LINES, now=START)

    assert [each.coupon_id for each in quoted().applied] == [coupon.id]
    # The segment now asks for more; until it is built the old list counts.
    core.db.run(lambda s: a_segment(s, all_of(at_least(Fact.ORDERS, 2)), now=START, code="buyers"))
    assert quoted().refused == ()
    build(core, "buyers")
    assert [(each.coupon_id, each.reason) for each in quoted().refused] == [(coupon.id, "other_segment")]
    with core.db.reading() as session, pytest.raises(CouponNotApplicableError):
        service.redemption_quote(session, coupon.id, LINES, channel="till", store=None, shipping_fen=0, now=START)


def test_a_template_names_segments_there_are_and_its_face_does_not_say_which(core, people):
    terms = some_terms(scope=Scope(segments=("none-such",)))
    with pytest.raises(TemplateInvalidError) as refused:
        core.db.run(lambda s: service.create_template(s, a_draft(terms=terms), actor=STAFF, now=START))
    assert list(refused.value.fields) == ["segments"]
    assert "限受邀会员" in sentence(terms, "zh")
    assert "for invited members" in sentence(terms, "en")
    assert Scope(segments=("x",)).by_member
    assert not Scope().by_member
