"""What news becomes a message: the handlers on events as the domains told them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.coupons import service as coupons
from server.feedback import service as feedback
from server.flows import merge
from server.kernel.actors import MemberActor, SystemActor
from server.kernel.amounts import Points
from server.kernel.outbox import Event, OutboxEvent
from server.kernel.pagination import PageRequest
from server.members import deletion
from server.notifications import queries
from server.notifications.queries import InboxMessage
from server.orders.drafts import MemberRef
from server.points import service as points
from tasks.jobs import notifications as job
from tasks.subscriptions import SUBSCRIPTIONS
from tests.factories.coupons import a_coupon
from tests.factories.feedback import Caller, a_ticket, an_agent
from tests.factories.members import a_member
from tests.factories.orders import a_draft, an_event, an_order, told
from tests.factories.points import a_source

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core

NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
SYSTEM = SystemActor("tests")


def hear(session: Session, core: Core, topic: str) -> int:
    """Hand every event of a topic to the handler that listens to it, twice, and return how many there were."""
    handler = next(s for s in SUBSCRIPTIONS[topic] if s.name.startswith("notifications.")).load()
    rows = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == topic)).all()
    for row in [*rows, *rows]:
        handler(
            session,
            Event(row.id, row.key, row.topic, row.aggregate_type, row.aggregate_id, row.version, row.payload, row.occurred_at),
            core,
        )
    return len(rows)


def inbox(session: Session, member_id: UUID, code: str) -> list[InboxMessage]:
    return [one for one in queries.inbox(session, member_id, PageRequest.of(100, None)).items if one.code == code]


def test_each_parcel_is_told_once(session: Session, core: Core) -> None:
    member_id = a_member(session, now=NOW)
    draft = a_draft(now=NOW, member=MemberRef(member_id=member_id))
    order_no = an_order(session, draft, now=NOW).order_no
    for number in ("SF001", "SF002"):
        told(session, draft, an_event("shipped", NOW, carrier="shunfeng", tracking_no=number), now=NOW)
    assert hear(session, core, "orders.shipped") == 2
    found = inbox(session, member_id, "order_shipped")
    assert sorted(one.texts["tracking_no"] for one in found) == ["SF001", "SF002"]
    assert {one.texts["order_no"] for one in found} == {order_no}


def test_points_are_told_but_not_those_of_the_check_in(session: Session, core: Core) -> None:
    member_id = a_member(session, now=NOW)
    points.accrue(session, member_id, Points(88), source=a_source(), reason="Points for your order", actor=SYSTEM, now=NOW)
    points.ensure_default_rules(session, actor=SYSTEM, now=NOW)
    points.check_in(session, member_id, actor=SYSTEM, now=NOW)
    assert hear(session, core, "points.accrued") == 2
    found = inbox(session, member_id, "points_accrued")
    assert [(one.texts["points"], one.texts["available"]) for one in found] == [("88", "88")]
    assert job.in_chinese("Points for your order") != "Points for your order"
    assert job.in_chinese("员工自己写的") == "员工自己写的"


def test_an_answer_of_the_desk_is_told_with_its_first_words(session: Session, core: Core) -> None:
    member_id = a_member(session, now=NOW)
    ticket = a_ticket(session, Caller(member_id, {}), now=NOW)
    feedback.reply(session, ticket.ticket_no, "内部备注", internal=True, actor=an_agent(), now=NOW)
    assert hear(session, core, "feedback.ticket_answered") == 0
    feedback.reply(session, ticket.ticket_no, "已为您补发一件。", actor=an_agent(), now=NOW)
    hear(session, core, "feedback.ticket_answered")
    assert [one.texts["excerpt"] for one in inbox(session, member_id, "ticket_answered")] == ["已为您补发一件。"]


@pytest.mark.parametrize("void", [False, True])
def test_a_coupon_is_told_of_unless_it_is_gone(session: Session, core: Core, void: bool) -> None:
    member_id = a_member(session, now=NOW)
    coupon = a_coupon(session, member_id, now=NOW)
    at = coupon.valid_until - timedelta(days=1)
    core.clock.set(at)
    assert coupons.remind_expiring(session, at, within_days=3) == 1
    if void:
        coupons.void(session, coupon.id, reason="发错了", actor=SYSTEM, now=at)
    hear(session, core, "coupons.expiring")
    assert len(inbox(session, member_id, "coupon_expiring")) == int(not void)


def test_news_of_a_record_that_was_joined_reaches_the_survivor(session: Session, core: Core) -> None:
    from_id, into_id = a_member(session, now=NOW), a_member(session, now=NOW)
    points.accrue(session, from_id, Points(5), source=a_source(), reason="x", actor=SYSTEM, now=NOW)
    merge.merge(session, from_id, into_id, reason="same person", actor=SYSTEM, now=NOW)
    hear(session, core, "points.accrued")
    assert len(inbox(session, into_id, "points_accrued")) == 1


def test_a_wish_to_leave_is_told_once_and_not_after_it_was_taken_back(session: Session, core: Core) -> None:
    member_id, me = a_member(session, now=NOW), MemberActor
    deletion.request_deletion(session, member_id, reason=None, actor=me(member_id), now=NOW)
    assert hear(session, core, "members.deletion_requested") == 1
    (message,) = inbox(session, member_id, "membership_deletion")
    assert message.texts["until"] == "2026年06月22日 12:00"
    other = a_member(session, now=NOW)
    deletion.request_deletion(session, other, reason=None, actor=me(other), now=NOW)
    deletion.cancel_deletion(session, other, reason=None, actor=me(other), now=NOW)
    hear(session, core, "members.deletion_requested")
    assert inbox(session, other, "membership_deletion") == []
    assert len(inbox(session, member_id, "membership_deletion")) == 1
