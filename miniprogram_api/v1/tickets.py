"""A member's tickets: open, follow, go on, rate, reopen."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field
from sqlalchemy.orm import Session

from miniprogram_api import context
from miniprogram_api.auth import member_required
from miniprogram_api.idempotent import json_response, run_command
from miniprogram_api.schemas import Input, Output, PageOut, PageQuery
from miniprogram_api.screening import screen
from miniprogram_api.v1.uploads import address_of
from server.feedback import queries, service
from server.feedback.queries import MessageView, TicketDetail, TicketView
from server.feedback.rules import MAX_CONTENT_CHARS, MAX_UPLOADS, Category
from server.kernel.pagination import PageRequest
from server.screening.rules import PASSED

bp = APIBlueprint("v1_tickets", __name__, url_prefix="/api/v1/tickets", tag="Tickets")

_Content = Annotated[str, Field(min_length=1, max_length=MAX_CONTENT_CHARS)]
_Uploads = Annotated[list[UUID], Field(default_factory=list, max_length=MAX_UPLOADS)]


class TicketIn(Input):
    """What the member tells us."""

    category: Category | None = Field(default=None, description="guessed from the text when left out")
    content: _Content
    order_no: str | None = Field(default=None, min_length=1, max_length=40)
    upload_ids: _Uploads


class MessageIn(Input):
    """One more message."""

    content: _Content
    upload_ids: _Uploads


class RatingIn(Input):
    """What the member thinks of the answer."""

    score: int = Field(ge=1, le=5)
    comment: str | None = Field(default=None, max_length=500)


class ReopeningIn(Input):
    """What is still wrong."""

    content: str | None = Field(default=None, max_length=MAX_CONTENT_CHARS)


class PictureOut(Output):
    """A picture of a message."""

    upload_id: UUID
    url: str
    width: int
    height: int


class MessageOut(Output):
    """One message of the conversation."""

    id: UUID
    author: Literal["member", "staff"]
    content: str
    created_at: datetime
    uploads: list[PictureOut]
    hidden: bool = Field(description="true when the content review refused the text; then ``content`` is empty")
    hidden_uploads: int = Field(description="pictures the content review refused")


class ProgressOut(Output):
    """One step of the way: received, assigned, working, answered, closed."""

    step: str
    done: bool
    occurred_at: datetime | None


class RatingOut(Output):
    """The rating of the present round."""

    score: int
    comment: str | None
    rated_at: datetime


class TicketSummaryOut(Output):
    """A ticket in a list."""

    ticket_no: str
    state: str
    category: str
    order_no: str | None
    excerpt: str
    opened_at: datetime
    updated_at: datetime


class TicketOut(TicketSummaryOut):
    """A whole ticket."""

    can_rate: bool
    can_reopen_until: datetime | None
    rating: RatingOut | None
    progress: list[ProgressOut]
    messages: list[MessageOut]


@bp.post("")
@member_required
@bp.input(TicketIn)
@bp.doc(summary="Open a ticket")
@bp.output(TicketOut, status_code=201)
def open_ticket(json_data: TicketIn) -> Response:
    """Open a ticket, with up to nine pictures handed in before."""
    screened = screen(json_data.content)

    def work(session: Session) -> tuple[int, TicketOut]:
        ticket = service.open_ticket(
            session,
            context.member_id(),
            category=json_data.category,
            content=json_data.content,
            order_no=json_data.order_no,
            upload_ids=json_data.upload_ids,
            screened=screened,
            actor=context.actor(),
            now=context.now(),
        )
        return 201, whole(session, ticket.ticket_no)

    return run_command(work)


@bp.get("")
@member_required
@bp.input(PageQuery, location="query")
@bp.doc(summary="The member's tickets, newest first")
@bp.output(PageOut[TicketSummaryOut])
def list_tickets(query_data: PageQuery) -> Response:
    """Return one page of the member's tickets."""
    page = PageRequest.of(query_data.limit, query_data.cursor)
    with context.core().db.reading() as session:
        found = queries.of_member(session, context.member_id(), page)
    return json_response(PageOut(items=[_summary(ticket) for ticket in found.items], next_cursor=found.next_cursor))


@bp.get("/<ticket_no>")
@member_required
@bp.doc(summary="One ticket with its progress and messages")
@bp.output(TicketOut)
def show_ticket(ticket_no: str) -> Response:
    """Return a whole ticket of the member's own."""
    with context.core().db.reading() as session:
        return json_response(whole(session, ticket_no))


@bp.post("/<ticket_no>/messages")
@member_required
@bp.input(MessageIn)
@bp.doc(summary="Go on with a ticket")
@bp.output(TicketOut, status_code=201)
def write_message(ticket_no: str, json_data: MessageIn) -> Response:
    """Add a message; an answered ticket is worked on again."""
    screened = screen(json_data.content)

    def work(session: Session) -> tuple[int, TicketOut]:
        service.reply(
            session,
            ticket_no,
            json_data.content,
            upload_ids=json_data.upload_ids,
            screened=screened,
            actor=context.actor(),
            now=context.now(),
        )
        return 201, whole(session, ticket_no)

    return run_command(work)


@bp.post("/<ticket_no>/rating")
@member_required
@bp.input(RatingIn)
@bp.doc(summary="Rate the answer")
@bp.output(TicketOut, status_code=201)
def rate(ticket_no: str, json_data: RatingIn) -> Response:
    """Rate an answered or closed ticket, once for each round."""
    screened = screen(json_data.comment) if json_data.comment and json_data.comment.strip() else PASSED

    def work(session: Session) -> tuple[int, TicketOut]:
        service.rate(session, ticket_no, json_data.score, json_data.comment, screened=screened, actor=context.actor(), now=context.now())
        return 201, whole(session, ticket_no)

    return run_command(work)


@bp.post("/<ticket_no>/reopening")
@member_required
@bp.input(ReopeningIn)
@bp.doc(summary="Take a ticket up again")
@bp.output(TicketOut)
def reopen(ticket_no: str, json_data: ReopeningIn) -> Response:
    """Reopen an answered ticket, or a closed one within the reopen window."""
    screened = screen(json_data.content) if json_data.content and json_data.content.strip() else PASSED

    def work(session: Session) -> tuple[int, TicketOut]:
        service.reopen(session, ticket_no, content=json_data.content, screened=screened, actor=context.actor(), now=context.now())
        return 200, whole(session, ticket_no)

    return run_command(work)


def whole(session: Session, ticket_no: str) -> TicketOut:
    """Return a ticket as its member sees it."""
    detail: TicketDetail = queries.detail(session, ticket_no, member_id=context.member_id())
    return TicketOut(
        **_summary(detail.ticket).model_dump(),
        can_rate=detail.can_rate,
        can_reopen_until=detail.can_reopen_until,
        rating=RatingOut.model_validate(detail.rating) if detail.rating else None,
        progress=[ProgressOut.model_validate(step) for step in detail.progress],
        messages=[_message(message) for message in detail.messages],
    )


def _summary(ticket: TicketView) -> TicketSummaryOut:
    return TicketSummaryOut.model_validate(ticket)


def _message(message: MessageView) -> MessageOut:
    return MessageOut(
        id=message.id,
        author="member" if message.author_kind in {"member", "partner"} else "staff",
        content=message.content,
        created_at=message.created_at,
        hidden=message.hidden,
        hidden_uploads=message.hidden_uploads,
        uploads=[
            PictureOut(upload_id=upload.id, url=address_of(upload.id), width=upload.width, height=upload.height)
            for upload in message.uploads
        ],
    )
