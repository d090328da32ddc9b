"""Verbs of tickets: open, reply, assign, start, classify, close, reopen, rate.

Every verb locks the ticket's row first, and changes it only from the version it read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.feedback import clocks, events, queries, steps
from server.feedback.errors import (
    AlreadyRatedError,
    NotRateableError,
    ReopenWindowOverError,
    TicketClosedError,
    TicketInvalidError,
)
from server.feedback.models import Ticket, TicketMessage, TicketRating
from server.feedback.queries import TicketView
from server.feedback.rules import (
    RATEABLE,
    SCORES,
    Category,
    Channel,
    CloseReason,
    Priority,
    State,
    Step,
    excerpt_of,
    guess_category,
    guess_priority,
)
from server.kernel.actors import Actor, MemberActor, PartnerActor, StaffActor, SystemActor
from server.kernel.db import insert_if_absent, update_where
from server.kernel.ids import uuid7
from server.kernel.text import N_
from server.orders import queries as orders
from server.screening import service as screening
from server.screening.rules import PASSED, Screened, Subject
from server.staff import queries as staff

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_MAX_COMMENT_CHARS = 500


def open_ticket(
    session: Session,
    member_id: UUID,
    *,
    category: str | None,
    content: str,
    order_no: str | None = None,
    upload_ids: Sequence[UUID] = (),
    channel: str = Channel.MINI_PROGRAM,
    priority: str | None = None,
    screened: Screened = PASSED,
    actor: Actor,
    now: datetime,
) -> TicketView:
    """Open a ticket for a member.

    Arguments:
        session: of an open transaction.
        member_id: whose matter it is.
        category: None to have it guessed from the text.
        content: what it is about, at most 2000 characters.
        order_no: one of the member's own orders.
        upload_ids: at most nine pictures, the member's own (or staff's, when staff open it).
        channel: the way it came in.
        priority: None to have it guessed from text and category.
        screened: what the check of a member's text brought; one that did not pass is marked for a person to look at.
        actor: who opens it.
        now: present instant.

    Raises:
        TicketInvalidError: empty or overlong text, unknown category, too many pictures, somebody else's order.
        UploadNotFoundError: a picture that is not theirs.
    """
    words = steps.words_of(content, upload_ids)
    kind = steps.one_of(Category, category, "category") if category else guess_category(words.content)
    urgency = steps.one_of(Priority, priority, "priority") if priority else guess_priority(words.content, kind)
    if order_no is not None and orders.by_no(session, order_no, member_id) is None:
        raise TicketInvalidError(fields={"order_no": N_("The order was not found.")})
    ticket_id = uuid7()
    values: dict[str, Any] = {
        "id": ticket_id,
        "member_id": member_id,
        "channel": steps.one_of(Channel, channel, "channel").value,
        "category": kind.value,
        "priority": urgency.value,
        "state": State.OPEN.value,
        "version": 1,
        "round": 1,
        "order_no": order_no,
        "assignee_id": None,
        "excerpt": excerpt_of(words.content),
        "needs_review": not screened.passed,
        "close_reason": None,
        "next_due_at": None,
        "opened_at": now,
        "updated_at": now,
        "answered_at": None,
        "closed_at": None,
    }
    ticket_no = steps.insert_with_number(session, values, now)
    steps.note_move(session, ticket_id, 1, None, State.OPEN, actor, None, now)
    steps.write_message(session, ticket_id, member_id, words, actor=actor, internal=False, screened=screened, now=now)
    clocks.start_round(session, ticket_id, 1, urgency, now=now)
    steps.tell(session, events.TICKET_OPENED, str(ticket_id), ticket_id, member_id, 1, now)
    if not isinstance(actor, MemberActor):
        steps.note_audit(session, actor, "ticket.open", ticket_no, now, after={"category": kind.value, "channel": values["channel"]})
    return queries.find(session, ticket_no)


def reply(
    session: Session,
    ticket_no: str,
    content: str,
    *,
    internal: bool = False,
    upload_ids: Sequence[UUID] = (),
    expected_version: int | None = None,
    screened: Screened = PASSED,
    actor: Actor,
    now: datetime,
) -> TicketView:
    """Write on a ticket: a member goes on, staff answer, or staff note something among themselves.

    Arguments:
        session: of an open transaction.
        ticket_no: which.
        content: at most 2000 characters.
        internal: True for a note that the member never sees; staff only.
        upload_ids: at most nine pictures of the writer's own.
        expected_version: what the writer had before their eyes; None for whoever cannot collide (the member).
        screened: what the check of a member's text brought; one that did not pass is marked for a person to look at.
        actor: a MemberActor reaches only their own tickets.
        now: present instant.

    Raises:
        TicketNotFoundError: no such ticket, or somebody else's.
        TicketChangedError: changed since ``expected_version``.
        TicketClosedError: it is closed (a note is still possible).
    """
    words = steps.words_of(content, upload_ids)
    ticket = steps.locked(session, ticket_no, actor, expected_version)
    by_member = isinstance(actor, (MemberActor, PartnerActor))
    inside = internal and not by_member
    message_id = steps.write_message(session, ticket.id, ticket.member_id, words, actor=actor, internal=inside, screened=screened, now=now)
    if inside:
        steps.change(session, ticket, None, actor, now)
        return queries.find(session, ticket_no)
    if ticket.state == State.CLOSED:
        raise TicketClosedError
    if by_member:
        steps.change(session, ticket, Step.FOLLOW_UP, actor, now, needs_review=ticket.needs_review or not screened.passed)
        clocks.resume(session, ticket.id, now=now)
    else:
        mine = actor.staff_id if isinstance(actor, StaffActor) else None
        steps.change(session, ticket, Step.ANSWER, actor, now, answered_at=now, assignee_id=ticket.assignee_id or mine)
        clocks.answered(session, ticket.id, now=now)
        steps.tell(session, events.TICKET_ANSWERED, str(message_id), ticket.id, ticket.member_id, ticket.version + 1, now)
        steps.note_audit(session, actor, "ticket.answer", ticket_no, now)
    return queries.find(session, ticket_no)


def assign(
    session: Session,
    ticket_no: str,
    staff_id: UUID | None,
    *,
    expected_version: int | None = None,
    actor: Actor,
    now: datetime,
) -> TicketView:
    """Give a ticket to a member of staff, or back to nobody with None.

    Raises:
        TicketInvalidError: no such active account.
        TransitionRefusedError: the ticket is closed, or answered and would be left without anybody.
    """
    if staff_id is not None:
        found = staff.find(session, staff_id)
        if found is None or not found.active:
            raise TicketInvalidError(fields={"staff_id": N_("There is no such active account.")})
    ticket = steps.locked(session, ticket_no, actor, expected_version)
    before = str(ticket.assignee_id) if ticket.assignee_id else None
    steps.change(session, ticket, Step.UNASSIGN if staff_id is None else Step.ASSIGN, actor, now, assignee_id=staff_id)
    after = {"assignee": str(staff_id) if staff_id else None}
    steps.note_audit(session, actor, "ticket.assign", ticket_no, now, before={"assignee": before}, after=after)
    return queries.find(session, ticket_no)


def start_work(session: Session, ticket_no: str, *, expected_version: int | None = None, actor: StaffActor, now: datetime) -> TicketView:
    """Begin to work on a ticket; it becomes the actor's when it was nobody's."""
    ticket = steps.locked(session, ticket_no, actor, expected_version)
    was_answered = ticket.state == State.ANSWERED
    steps.change(session, ticket, Step.START, actor, now, assignee_id=ticket.assignee_id or actor.staff_id)
    if was_answered:
        clocks.resume(session, ticket.id, now=now)
    steps.note_audit(session, actor, "ticket.start", ticket_no, now)
    return queries.find(session, ticket_no)


def classify(
    session: Session,
    ticket_no: str,
    *,
    category: str | None = None,
    priority: str | None = None,
    expected_version: int | None = None,
    actor: Actor,
    now: datetime,
) -> TicketView:
    """Set category and priority; open deadlines follow the priority.

    Raises:
        TicketInvalidError: unknown category or priority.
        TicketClosedError: it is closed.
    """
    ticket = steps.locked(session, ticket_no, actor, expected_version)
    if ticket.state == State.CLOSED:
        raise TicketClosedError
    kind = steps.one_of(Category, category or ticket.category, "category")
    urgency = steps.one_of(Priority, priority or ticket.priority, "priority")
    before = {"category": ticket.category, "priority": ticket.priority}
    steps.change(session, ticket, None, actor, now, category=kind.value, priority=urgency.value, needs_review=False)
    if urgency.value != before["priority"]:
        clocks.reprioritise(session, ticket.id, urgency)
    after = {"category": kind.value, "priority": urgency.value}
    steps.note_audit(session, actor, "ticket.classify", ticket_no, now, before=before, after=after)
    return queries.find(session, ticket_no)


def close(
    session: Session,
    ticket_no: str,
    *,
    reason: str = CloseReason.SOLVED,
    comment: str | None = None,
    expected_version: int | None = None,
    actor: Actor,
    now: datetime,
) -> TicketView:
    """Close a ticket.

    Arguments:
        session: of an open transaction.
        ticket_no: which.
        reason: one of ``CloseReason``.
        comment: more about it, for the trail.
        expected_version: what the actor had before their eyes.
        actor: staff, or the product itself when the member stayed silent.
        now: present instant.

    Raises:
        TransitionRefusedError: it is closed already.
    """
    known = steps.one_of(CloseReason, reason, "reason")
    ticket = steps.locked(session, ticket_no, actor, expected_version)
    text = f"{known.value}: {comment}"[:_MAX_COMMENT_CHARS] if comment else known.value
    steps.change(session, ticket, Step.CLOSE, actor, now, text, closed_at=now, close_reason=known.value, needs_review=False)
    clocks.closed(session, ticket.id, now=now)
    steps.tell(session, events.TICKET_CLOSED, f"{ticket.id}:{ticket.round}", ticket.id, ticket.member_id, ticket.version + 1, now)
    steps.note_audit(session, actor, "ticket.close", ticket_no, now, after={"reason": known.value})
    return queries.find(session, ticket_no)


def reopen(
    session: Session,
    ticket_no: str,
    *,
    content: str | None = None,
    expected_version: int | None = None,
    screened: Screened = PASSED,
    actor: Actor,
    now: datetime,
) -> TicketView:
    """Take a ticket up again that was answered or closed; a new round with new deadlines begins.

    Arguments:
        session: of an open transaction.
        ticket_no: which.
        content: what is still wrong, if the member says so.
        expected_version: what the actor had before their eyes.
        screened: what the check of a member's text brought.
        actor: the member within the reopen window, or staff at any time.
        now: present instant.

    Raises:
        ReopenWindowOverError: the member comes too late.
        TransitionRefusedError: it is neither answered nor closed.
    """
    words = steps.words_of(content, ()) if content else None
    ticket = steps.locked(session, ticket_no, actor, expected_version)
    window = timedelta(days=queries.settings(session).reopen_window_days)
    if isinstance(actor, MemberActor) and ticket.closed_at is not None and now > ticket.closed_at + window:
        raise ReopenWindowOverError
    review = ticket.needs_review or not screened.passed
    steps.change(session, ticket, Step.REOPEN, actor, now, closed_at=None, close_reason=None, round=ticket.round + 1, needs_review=review)
    if words is not None:
        steps.write_message(session, ticket.id, ticket.member_id, words, actor=actor, internal=False, screened=screened, now=now)
    clocks.start_round(session, ticket.id, ticket.round + 1, Priority(ticket.priority), now=now)
    if not isinstance(actor, MemberActor):
        steps.note_audit(session, actor, "ticket.reopen", ticket_no, now)
    return queries.find(session, ticket_no)


def rate(
    session: Session,
    ticket_no: str,
    score: int,
    comment: str | None = None,
    *,
    screened: Screened = PASSED,
    actor: Actor,
    now: datetime,
) -> TicketView:
    """Note what the member thinks of the answer, once for each round.

    Arguments:
        session: of an open transaction.
        ticket_no: which.
        score: 1 (bad) to 5 (good).
        comment: at most 500 characters.
        screened: what the check of the comment brought.
        actor: the member.
        now: present instant.

    Raises:
        NotRateableError: nothing was answered yet.
        AlreadyRatedError: this round was rated.
    """
    if score not in SCORES:
        raise TicketInvalidError(fields={"score": "1–5"})
    text = (comment or "").strip() or None
    if text is not None and len(text) > _MAX_COMMENT_CHARS:
        raise TicketInvalidError(fields={"comment": f"≤ {_MAX_COMMENT_CHARS}"})
    ticket = steps.locked(session, ticket_no, actor, None)
    if State(ticket.state) not in RATEABLE:
        raise NotRateableError
    values: dict[str, Any] = {
        "id": uuid7(),
        "ticket_id": ticket.id,
        "round": ticket.round,
        "score": score,
        "comment": text,
        "rated_at": now,
    }
    if not insert_if_absent(session, TicketRating, values):
        raise AlreadyRatedError
    if text is not None and isinstance(actor, MemberActor):
        screening.note_text(
            session, Subject.TICKET_RATING, values["id"], member_id=ticket.member_id, content=text, screened=screened, now=now
        )
    steps.change(session, ticket, None, actor, now)
    steps.tell(session, events.TICKET_RATED, f"{ticket.id}:{ticket.round}", ticket.id, ticket.member_id, ticket.version + 1, now)
    return queries.find(session, ticket_no)


def close_silent(session: Session, *, now: datetime, limit: int = 200) -> int:
    """Close answered tickets whose members stayed silent for the set number of days; return how many."""
    before = now - timedelta(days=queries.settings(session).auto_close_days)
    statement = (
        sa.select(Ticket.ticket_no)
        .where(Ticket.state == State.ANSWERED.value, Ticket.updated_at <= before)
        .order_by(Ticket.updated_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    numbers = session.scalars(statement).all()
    for ticket_no in numbers:
        close(session, ticket_no, reason=CloseReason.NO_ANSWER, actor=SystemActor("feedback.close_silent"), now=now)
    return len(numbers)


def hide_message(session: Session, message_id: UUID) -> None:
    """Take a refused text out of its ticket's lines in lists; the message itself is hidden where it is read."""
    row = session.execute(
        sa.select(TicketMessage.ticket_id, TicketMessage.content, Ticket.excerpt)
        .join(Ticket, Ticket.id == TicketMessage.ticket_id)
        .where(TicketMessage.id == message_id)
    ).one_or_none()
    if row is not None and row.excerpt == excerpt_of(row.content):
        update_where(session, sa.update(Ticket).where(Ticket.id == row.ticket_id).values(excerpt=""))


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> int:  # noqa: ARG001 - the agreed signature
    """Give one member's tickets, with what they wrote, to another; return how many tickets moved."""
    moved = update_where(session, sa.update(Ticket).where(Ticket.member_id == from_id).values(member_id=into_id))
    update_where(
        session,
        sa.update(TicketMessage).where(TicketMessage.author_kind == "member", TicketMessage.author_id == from_id).values(author_id=into_id),
    )
    return moved


def forget_member(session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> int:  # noqa: ARG001 - the agreed signature
    """Blank what was written with a leaving member, answers and notes too, for they quote; the tickets stay for the figures.

    Returns:
        How many messages were blanked.
    """
    tickets = sa.select(Ticket.id).where(Ticket.member_id == member_id)
    blanked = update_where(
        session, sa.update(TicketMessage).where(TicketMessage.ticket_id.in_(tickets), TicketMessage.content != "").values(content="")
    )
    update_where(session, sa.update(TicketRating).where(TicketRating.ticket_id.in_(tickets)).values(comment=None))
    update_where(session, sa.update(Ticket).where(Ticket.member_id == member_id).values(excerpt=""))
    return blanked
