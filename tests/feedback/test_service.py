"""Tickets from opening to rating, in the database."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from server.feedback import desk_queries, queries, service
from server.feedback.desk_queries import QueueFilter
from server.feedback.errors import (
    AlreadyRatedError,
    NotRateableError,
    ReopenWindowOverError,
    TicketChangedError,
    TicketClosedError,
    TicketInvalidError,
    TicketNotFoundError,
    TransitionRefusedError,
)
from server.feedback.models import TicketTransition
from server.files.errors import UploadNotFoundError
from server.files.service import store_upload
from server.kernel.actors import PartnerActor, SystemActor
from server.kernel.ids import luhn_holds, uuid7
from server.kernel.outbox import OutboxEvent
from server.kernel.pagination import PageRequest
from server.screening.rules import Cause, Screened
from server.staff import service as staff
from tests.conftest import START
from tests.factories.feedback import Caller, a_caller, a_picture, a_ticket, an_agent

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core

NOW = START
LATER = START + timedelta(hours=1)


@pytest.fixture
def member(core: Core) -> Caller:
    return a_caller(core)


def topics(session: Session) -> list[str]:
    return [
        topic
        for topic in session.scalars(sa.select(OutboxEvent.topic).order_by(OutboxEvent.occurred_at, OutboxEvent.id))
        if topic.startswith("feedback.")
    ]


def deadlines(session: Session, number: str) -> dict[tuple[str, int], str]:
    return {(deadline.kind, deadline.round): deadline.state for deadline in queries.detail(session, number).deadlines}


def test_a_ticket_gets_a_number_a_state_deadlines_and_news(session: Session, member: Caller) -> None:
    ticket = a_ticket(session, member, now=NOW)
    assert ticket.ticket_no.startswith("T260615")
    assert luhn_holds(ticket.ticket_no[1:])
    assert (ticket.state, ticket.version, ticket.category, ticket.priority) == ("open", 1, "logistics", "normal")
    assert ticket.next_due_at == NOW + timedelta(hours=12)
    assert topics(session) == ["feedback.ticket_opened"]


def test_the_whole_way_is_written_down(session: Session, member: Caller) -> None:
    agent = an_agent("小林")
    number = a_ticket(session, member, now=NOW).ticket_no
    service.start_work(session, number, actor=agent, now=NOW)
    service.reply(session, number, "核实中", internal=True, actor=agent, now=NOW)
    answered = service.reply(session, number, "已补发", actor=agent, now=LATER)
    assert (answered.state, answered.assignee_id) == ("answered", agent.staff_id)
    service.rate(session, number, 5, " 很快 ", actor=member.actor, now=LATER)
    service.close(session, number, reason="solved", comment="已签收", actor=agent, now=LATER)

    staff_sees = queries.detail(session, number)
    member_sees = queries.detail(session, number, member_id=member.member_id)
    assert [message.internal for message in staff_sees.messages] == [False, True, False]
    assert [message.content for message in member_sees.messages] == ["包裹外箱破了，请处理。", "已补发"]
    assert [move.to_state for move in staff_sees.moves] == ["open", "working", "answered", "closed"]
    assert staff_sees.moves[-1].reason == "solved: 已签收"
    assert staff_sees.rating is not None
    assert (staff_sees.rating.score, staff_sees.rating.comment) == (5, "很快")
    assert [step.done for step in staff_sees.progress] == [True] * 5
    assert topics(session) == ["feedback.ticket_opened", "feedback.ticket_answered", "feedback.ticket_rated", "feedback.ticket_closed"]
    assert deadlines(session, number) == {("first_response", 1): "met", ("resolution", 1): "met"}


def test_moves_cannot_be_rewritten(session: Session, member: Caller) -> None:
    a_ticket(session, member, now=NOW)
    with pytest.raises(DBAPIError, match="append-only"):
        session.execute(sa.update(TicketTransition).values(reason="x"))


def test_an_agent_who_saw_an_old_version_is_refused_and_writes_nothing(session: Session, member: Caller) -> None:
    ticket = a_ticket(session, member, now=NOW)
    service.reply(session, ticket.ticket_no, "还有照片", actor=member.actor, now=NOW)
    with pytest.raises(TicketChangedError):
        service.reply(session, ticket.ticket_no, "已补发", expected_version=ticket.version, actor=an_agent(), now=LATER)
    assert len(queries.detail(session, ticket.ticket_no).messages) == 2


def test_a_stranger_reaches_nothing(session: Session, core: Core, member: Caller) -> None:
    number = a_ticket(session, member, now=NOW).ticket_no
    session.commit()
    stranger = a_caller(core, "openid-two")
    for attempt in (
        lambda: service.reply(session, number, "x", actor=stranger.actor, now=NOW),
        lambda: service.rate(session, number, 1, actor=stranger.actor, now=NOW),
        lambda: service.reopen(session, number, actor=stranger.actor, now=NOW),
        lambda: queries.detail(session, number, member_id=stranger.member_id),
        lambda: queries.detail(session, "T0000"),
    ):
        with pytest.raises(TicketNotFoundError):
            attempt()


def test_the_clock_of_the_resolution_stands_still_while_the_member_has_to_speak(session: Session, member: Caller) -> None:
    number = a_ticket(session, member, now=NOW).ticket_no
    assert service.reply(session, number, "请补充照片", actor=an_agent(), now=LATER).next_due_at is None
    assert deadlines(session, number) == {("first_response", 1): "met", ("resolution", 1): "paused"}
    two_days = LATER + timedelta(days=2)
    resumed = service.reply(session, number, "照片在此", actor=member.actor, now=two_days)
    assert resumed.state == "working"
    assert resumed.next_due_at == NOW + timedelta(hours=72) + timedelta(days=2)


def test_a_late_answer_and_a_late_closing_are_breaches(session: Session, member: Caller) -> None:
    number = a_ticket(session, member, now=NOW).ticket_no
    late = NOW + timedelta(days=10)
    assert desk_queries.count_overdue(session, late) == 1
    assert [ticket.ticket_no for ticket in desk_queries.overdue(session, late)] == [number]
    service.reply(session, number, "抱歉", actor=an_agent(), now=late)
    service.reply(session, number, "还是没到", actor=member.actor, now=late)
    service.close(session, number, actor=an_agent(), now=late)
    assert deadlines(session, number) == {("first_response", 1): "breached", ("resolution", 1): "breached"}
    assert desk_queries.count_overdue(session, late) == 0
    figures = desk_queries.figures(session, NOW, late + timedelta(days=1))
    assert (figures.breached, figures.kept, figures.opened_by_category) == (2, 0, {"logistics": 1})
    assert figures.average_score is None


def test_a_closing_without_answer_cancels_the_first_response(session: Session, member: Caller) -> None:
    number = a_ticket(session, member, now=NOW).ticket_no
    service.close(session, number, reason="spam", actor=an_agent(), now=LATER)
    assert deadlines(session, number) == {("first_response", 1): "cancelled", ("resolution", 1): "met"}


def test_a_higher_priority_moves_the_deadlines_nearer(session: Session, member: Caller) -> None:
    number = a_ticket(session, member, now=NOW).ticket_no
    changed = service.classify(session, number, category="product", priority="urgent", actor=an_agent(), now=LATER)
    assert (changed.category, changed.priority, changed.next_due_at) == ("product", "urgent", NOW + timedelta(hours=1))
    with pytest.raises(TicketInvalidError):
        service.classify(session, number, priority="soon", actor=an_agent(), now=LATER)


def test_a_ticket_is_assigned_given_back_and_refuses_unknown_staff(session: Session, member: Caller) -> None:
    staff_id = staff.create(
        session,
        name="小林",
        email="lin@example.com",
        password="a long enough pass phrase 77",
        roles=["service"],
        actor=SystemActor("test"),
        reason="test",
        now=NOW,
    )
    number = a_ticket(session, member, now=NOW).ticket_no
    assert service.assign(session, number, staff_id, actor=an_agent(), now=NOW).state == "assigned"
    given_back = service.assign(session, number, None, actor=an_agent(), now=NOW)
    assert (given_back.state, given_back.assignee_id) == ("open", None)
    with pytest.raises(TicketInvalidError):
        service.assign(session, number, uuid7(), actor=an_agent(), now=NOW)
    service.close(session, number, actor=an_agent(), now=NOW)
    with pytest.raises(TransitionRefusedError):
        service.assign(session, number, staff_id, actor=an_agent(), now=NOW)


def test_a_closed_ticket_takes_notes_but_no_answers(session: Session, member: Caller) -> None:
    number = a_ticket(session, member, now=NOW).ticket_no
    service.close(session, number, actor=an_agent(), now=NOW)
    service.reply(session, number, "电话已回访", internal=True, actor=an_agent(), now=LATER)
    for actor in (an_agent(), member.actor):
        with pytest.raises(TicketClosedError):
            service.reply(session, number, "x", actor=actor, now=LATER)
    with pytest.raises(TicketClosedError):
        service.classify(session, number, priority="low", actor=an_agent(), now=LATER)
    with pytest.raises(TransitionRefusedError):
        service.close(session, number, actor=an_agent(), now=LATER)


def test_a_member_cannot_hide_a_message_as_a_note(session: Session, member: Caller) -> None:
    number = a_ticket(session, member, now=NOW).ticket_no
    service.reply(session, number, "x", internal=True, actor=member.actor, now=NOW)
    assert not any(message.internal for message in queries.detail(session, number).messages)


def test_reopening_is_open_for_seven_days_to_members_and_always_to_staff(session: Session, member: Caller) -> None:
    number = a_ticket(session, member, now=NOW).ticket_no
    with pytest.raises(TransitionRefusedError):
        service.reopen(session, number, actor=member.actor, now=NOW)
    service.close(session, number, actor=an_agent(), now=NOW)
    detail = queries.detail(session, number)
    assert detail.can_reopen_until == NOW + timedelta(days=7)
    with pytest.raises(ReopenWindowOverError):
        service.reopen(session, number, actor=member.actor, now=NOW + timedelta(days=7, seconds=1))
    assert queries.find(session, number).state == "closed"
    again = service.reopen(session, number, content="还是没到", actor=member.actor, now=NOW + timedelta(days=7))
    assert (again.state, again.round, again.closed_at) == ("reopened", 2, None)
    assert deadlines(session, number)["first_response", 2] == "open"
    service.close(session, number, actor=an_agent(), now=NOW + timedelta(days=8))
    assert service.reopen(session, number, actor=an_agent(), now=NOW + timedelta(days=80)).round == 3


def test_a_rating_needs_an_answer_and_comes_once_for_each_round(session: Session, member: Caller) -> None:
    number = a_ticket(session, member, now=NOW).ticket_no
    with pytest.raises(NotRateableError):
        service.rate(session, number, 5, actor=member.actor, now=NOW)
    service.reply(session, number, "已补发", actor=an_agent(), now=NOW)
    for score, comment in ((0, None), (6, None), (5, "x" * 501)):
        with pytest.raises(TicketInvalidError):
            service.rate(session, number, score, comment, actor=member.actor, now=NOW)
    service.rate(session, number, 1, actor=member.actor, now=NOW)
    with pytest.raises(AlreadyRatedError):
        service.rate(session, number, 5, actor=member.actor, now=NOW)
    service.reopen(session, number, actor=member.actor, now=NOW)
    service.reply(session, number, "再次补发", actor=an_agent(), now=NOW)
    service.rate(session, number, 4, actor=member.actor, now=NOW)
    assert [rating.score for rating in queries.detail(session, number).ratings] == [1, 4]


def test_pictures_must_be_the_writers_own_and_at_most_nine(session: Session, core: Core, member: Caller) -> None:
    def picture(owner: Caller | None) -> object:
        return store_upload(
            session,
            core.files,
            owner_member_id=owner.member_id if owner else None,
            purpose="ticket" if owner else "reply",
            data=a_picture(),
            content_type="image/png",
            now=NOW,
        ).id

    mine, of_staff = picture(member), picture(None)
    number = a_ticket(session, member, now=NOW, upload_ids=[mine, mine]).ticket_no
    assert [upload.id for upload in queries.detail(session, number).messages[0].uploads] == [mine]
    with pytest.raises(UploadNotFoundError):
        service.reply(session, number, "看图", upload_ids=[of_staff], actor=member.actor, now=NOW)
    with pytest.raises(UploadNotFoundError):
        service.reply(session, number, "看图", upload_ids=[mine], actor=an_agent(), now=NOW)
    service.reply(session, number, "看图", upload_ids=[of_staff], actor=an_agent(), now=NOW)
    with pytest.raises(TicketInvalidError):
        a_ticket(session, member, now=NOW, upload_ids=[uuid7() for _ in range(10)])


@pytest.mark.parametrize("wrong", [{"content": "  "}, {"content": "x" * 2001}, {"category": "x"}, {"channel": "x"}, {"order_no": "none"}])
def test_what_cannot_be_a_ticket_is_refused(session: Session, member: Caller, wrong: dict[str, str]) -> None:
    with pytest.raises(TicketInvalidError):
        a_ticket(session, member, now=NOW, **wrong)


def test_the_queue_filters_and_counts(session: Session, core: Core, member: Caller) -> None:
    agent = an_agent()
    first = a_ticket(session, member, now=NOW, content="外箱破了", screened=Screened(passed=False, cause=Cause.DOUBT)).ticket_no
    second = a_ticket(session, member, now=LATER, content="50%_优惠", category="payment").ticket_no
    third = a_ticket(session, member, now=LATER, content="已解决", category="praise").ticket_no
    service.start_work(session, second, actor=agent, now=LATER)
    service.close(session, third, actor=agent, now=LATER)
    page = PageRequest(limit=20)

    def numbers(**wanted: object) -> set[str]:
        return {ticket.ticket_no for ticket in desk_queries.queue(session, QueueFilter(**wanted), page).items}

    assert numbers() == {first, second, third}
    assert numbers(live=True) == {first, second}
    assert numbers(unassigned=True) == {first}
    assert numbers(assignee_id=agent.staff_id, live=True) == {second}
    assert numbers(needs_review=True) == {first}
    assert numbers(category="praise") == {third}
    assert numbers(text=second.lower()) == {second}
    assert numbers(text="50%_") == {second}
    assert numbers(member_id=member.member_id, state="open") == {first}
    assert numbers(overdue_at=NOW + timedelta(hours=13)) == {first}
    counts = desk_queries.counts(session, agent.staff_id, NOW + timedelta(hours=13))
    assert (counts.mine, counts.unassigned, counts.overdue, counts.live, counts.needs_review) == (1, 1, 1, 2, 1)


def test_silent_members_tickets_close_by_themselves_once(session: Session, member: Caller) -> None:
    number = a_ticket(session, member, now=NOW).ticket_no
    a_ticket(session, member, now=NOW)
    service.reply(session, number, "已补发", actor=an_agent(), now=NOW)
    assert service.close_silent(session, now=NOW + timedelta(days=6)) == 0
    assert service.close_silent(session, now=NOW + timedelta(days=7)) == 1
    assert service.close_silent(session, now=NOW + timedelta(days=7)) == 0
    assert queries.find(session, number).close_reason == "no_answer"


def test_a_merge_carries_tickets_and_a_departure_blanks_them(session: Session, core: Core, member: Caller) -> None:
    number = a_ticket(session, member, now=NOW).ticket_no
    session.commit()
    survivor = a_caller(core, "openid-two")
    service.merge_members(session, member.member_id, survivor.member_id, now=LATER)
    seen = queries.detail(session, number, member_id=survivor.member_id)
    assert seen.messages[0].author_id == survivor.member_id
    assert [ticket.ticket_no for ticket in queries.of_member(session, survivor.member_id, PageRequest(limit=5)).items] == [number]
    assert service.forget_member(session, survivor.member_id, actor=SystemActor("tests"), now=LATER) == 1
    gone = queries.detail(session, number)
    assert (gone.ticket.excerpt, gone.messages[0].content) == ("", "")


def test_a_partner_hands_on_what_a_member_said(session: Session, member: Caller) -> None:
    till = PartnerActor(uuid7(), "门店收银")
    ticket = a_ticket(session, member, now=NOW, actor=till, channel="partner")
    message = queries.detail(session, ticket.ticket_no).messages[0]
    assert (message.author_kind, message.author_name) == ("partner", "门店收银")
