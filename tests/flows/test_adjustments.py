"""Adjustments beyond the limit need a second person: nobody decides their own, and what is approved is done once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from server.audit import queries as audit
from server.flows import adjustments
from server.flows import approvals as flow
from server.flows import controls as limits
from server.kernel.actors import StaffActor
from server.kernel.amounts import Points
from server.kernel.errors import DomainError, ForbiddenError, InvalidError
from server.kernel.ids import uuid7
from server.kernel.pagination import PageRequest
from server.members.errors import MemberNotFoundError
from server.members.models import Member
from server.points import controls, queries
from server.points.control_rules import Controls
from server.points.errors import ControlsChangedError, InsufficientPointsError, SourceConflictError
from server.staff import approvals, service
from server.staff.errors import ApprovalClosedError, NotOwnRequestError, OwnRequestError, ReasonMissingError
from server.staff.models import StaffApproval
from server.staff.permissions import Permission
from tests.conftest import START
from tests.factories.points import SYSTEM, a_member

MAY = frozenset({str(Permission.POINTS_ADJUST), str(Permission.POINTS_APPROVE)})
LIN, WEI = StaffActor(uuid7(), "Lin", MAY), StaffActor(uuid7(), "Wei", MAY)


def adjust(session, member_id, count, *, once, actor=LIN, now=START):
    return adjustments.adjust(session, member_id, Points(count), once=once, reason="Goodwill", actor=actor, now=now)


def available(session, member_id):
    return queries.balance(session, member_id, now=START).available


def test_beyond_the_limit_of_one_adjustment_or_one_day_a_second_person_is_asked(session):
    member_id = a_member(session, now=START, points=50)
    controls.declare(session, Controls(adjust_limit=100), actor=LIN, now=START)
    assert adjust(session, member_id, 60, once="a").entry is not None
    assert adjust(session, member_id, 60, once="a").entry.replayed
    asked = adjust(session, member_id, -41, once="b")
    assert asked.entry is None
    assert adjust(session, member_id, -41, once="b").approval_id == asked.approval_id
    # The day's limit is each person's own and begins anew with the day, and what is taken needs to be there even to be asked for.
    assert adjust(session, member_id, -40, once="c").entry is not None
    assert adjust(session, member_id, 100, once="d", actor=WEI).entry is not None
    with pytest.raises(InsufficientPointsError):
        adjust(session, member_id, -171, once="e")
    assert adjust(session, member_id, 100, once="f", now=START + timedelta(days=1)).entry is not None
    assert [view.payload for view in approvals.pending_about(session, "member", member_id)] == [
        {"member_id": str(member_id), "points": -41}
    ]


def test_what_a_second_person_approves_is_done_once_in_both_names(session):
    member_id = a_member(session, now=START)
    asked = adjust(session, member_id, 5000, once="a").approval_id
    with pytest.raises(OwnRequestError):
        flow.approve(session, asked, reason=None, actor=LIN, now=START)
    with pytest.raises(ForbiddenError):
        flow.approve(session, asked, reason=None, actor=StaffActor(uuid7(), "Clerk"), now=START)
    assert available(session, member_id) == 0
    outcome = flow.approve(session, asked, reason="seen the receipt", actor=WEI, now=START)
    with pytest.raises(ApprovalClosedError):
        flow.approve(session, asked, reason=None, actor=WEI, now=START)
    (entry,) = queries.entries(session, member_id, PageRequest()).items
    assert (str(entry.id), entry.points) == (outcome["entry_id"], 5000)
    assert entry.details == {"approval_id": str(asked), "asked_by": "Lin", "approved_by": "Wei"}
    acts = {found.action: found for found in audit.list_entries(session).items}
    assert acts["approval.ask"].actor_name == "Lin"
    assert acts["approval.approve"].actor_name == acts["points.adjust"].actor_name == "Wei"
    assert acts["points.adjust"].after["asked_by"] == "Lin"
    # It counts for neither's own day.
    assert controls.adjusted_alone(session, LIN, START.date()) == controls.adjusted_alone(session, WEI, START.date()) == 0


def test_who_left_since_it_was_asked_for_gets_no_points(session):
    member_id = a_member(session, now=START)
    asked = adjust(session, member_id, 5000, once="a").approval_id
    session.execute(sa.update(Member).where(Member.id == member_id).values(status="deleted"))
    with pytest.raises(MemberNotFoundError):
        flow.approve(session, asked, reason=None, actor=WEI, now=START)
    assert available(session, member_id) == 0


def test_who_changes_the_form_after_it_was_asked_for_is_told_so(session):
    member_id = a_member(session, now=START)
    assert adjust(session, member_id, 5000, once="a").approval_id is not None
    with pytest.raises(SourceConflictError):
        adjust(session, member_id, 6000, once="a")


def test_one_person_lowers_the_limit_alone_and_raises_it_with_a_second_one(session):
    def declare(once, reason="Autumn sale", **changes):
        wanted = replace(controls.current(session), **changes)
        return limits.declare(session, wanted, once=once, reason=reason, actor=LIN, now=START)

    def limit():
        return controls.current(session).adjust_limit

    assert declare("a", adjust_limit=100) is None
    with pytest.raises(ReasonMissingError), session.begin_nested():
        declare("b", reason=" ", adjust_limit=101)
    with pytest.raises(InvalidError):
        declare("b", adjust_limit=2_000_000_001)
    # What else was declared with it holds at once.
    asked = declare("c", adjust_limit=9000, notice_min_points=25)
    assert declare("c", adjust_limit=9000) == asked
    assert (limit(), controls.current(session).notice_min_points) == (100, 25)
    with pytest.raises(OwnRequestError):
        flow.approve(session, asked, reason=None, actor=LIN, now=START)
    flow.approve(session, asked, reason="as agreed", actor=WEI, now=START)
    assert limit() == 9000
    # An old request does not lift a limit that was lowered meanwhile.
    old = declare("d", adjust_limit=9500)
    declare("e", adjust_limit=50)
    with pytest.raises(ControlsChangedError):
        flow.approve(session, old, reason=None, actor=WEI, now=START)
    assert limit() == 50


def test_a_request_that_was_refused_withdrawn_or_left_lying_is_never_done(session):
    member_id = a_member(session, now=START)
    refused, withdrawn, left = (adjust(session, member_id, 5000 + n, once=str(n)).approval_id for n in range(3))
    with pytest.raises(ReasonMissingError):
        flow.refuse(session, refused, reason=" ", actor=WEI, now=START)
    flow.refuse(session, refused, reason="too much", actor=WEI, now=START)
    with pytest.raises(NotOwnRequestError):
        approvals.withdraw(session, withdrawn, actor=WEI, now=START)
    approvals.withdraw(session, withdrawn, actor=LIN, now=START)
    late = START + approvals.LIFE
    with pytest.raises(ApprovalClosedError):
        flow.approve(session, left, reason=None, actor=WEI, now=late)
    assert approvals.expire_due(session, late - timedelta(seconds=1)) == 0
    assert approvals.expire_due(session, late) == 1
    for asked in (refused, withdrawn, left):
        with pytest.raises(ApprovalClosedError):
            flow.approve(session, asked, reason=None, actor=WEI, now=START)
    assert [approvals.find(session, one).state for one in (refused, withdrawn, left)] == ["refused", "withdrawn", "expired"]
    assert available(session, member_id) == 0


def test_the_database_itself_refuses_that_who_asked_decides(session):
    asked = adjust(session, a_member(session, now=START), 5000, once="a").approval_id
    values = {"state": "approved", "decided_kind": "staff", "decided_ref": LIN.ref, "decided_name": "Lin", "decided_at": START}
    with pytest.raises(DBAPIError, match="four_eyes"), session.begin_nested():
        session.execute(sa.update(StaffApproval).where(StaffApproval.id == asked).values(**values))


def at_once(*calls):
    barrier = Barrier(len(calls))

    def one(call):
        barrier.wait()
        try:
            return call()
        except DomainError as refusal:
            return refusal.code

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


@pytest.mark.committing
def test_two_who_approve_at_once_do_it_once_and_two_adjustments_at_once_share_one_days_limit(core):
    others = [StaffActor(uuid7(), f"Staff {number}", MAY) for number in range(2)]
    first, second = core.db.run(lambda s: (a_member(s, now=START), a_member(s, now=START)))
    asked = core.db.run(lambda s: adjust(s, first, 5000, once="a")).approval_id
    decided = at_once(
        *(lambda actor=actor: core.db.run(lambda s: flow.approve(s, asked, reason=None, actor=actor, now=START)) for actor in others)
    )
    assert sum(one == "approval_closed" for one in decided) == 1
    account = {"email": "lin@example.com", "name": "Lin", "password": "kqzv-7712-Berg-hain", "roles": ["operations"]}
    staff_id = core.db.run(lambda s: service.create(s, **account, actor=SYSTEM, reason="joins", now=START))
    actor = StaffActor(staff_id, "Lin", MAY)
    done = at_once(*(lambda who=who: core.db.run(lambda s: adjust(s, who, 600, once=f"r{who}", actor=actor)) for who in (first, second)))
    assert sum(one.entry is not None for one in done) == 1
    with core.db.reading() as session:
        assert sorted((available(session, first), available(session, second))) in ([0, 5600], [600, 5000])
        assert queries.prove(session) == []
