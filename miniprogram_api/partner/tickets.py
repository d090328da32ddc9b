"""Partners (shops, call centres) hand on what a member told them."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field, model_validator
from sqlalchemy.orm import Session

from miniprogram_api.context import actor, core, now
from miniprogram_api.idempotent import run_command
from miniprogram_api.partner_auth import partner_required
from miniprogram_api.schemas import Input, Output
from server.cards import queries as cards
from server.feedback import service
from server.feedback.rules import MAX_CONTENT_CHARS, Category, Channel, Priority
from server.kernel.errors import InvalidError
from server.members import enrolment
from server.members import queries as members
from server.members.rules import normalised_phone

bp = APIBlueprint("partner_tickets", __name__, url_prefix="/partner/v1/tickets", tag="Partner: tickets")


class TicketMember(Input):
    """Whose matter it is: exactly one of the four."""

    member_id: UUID | None = None
    phone: str | None = Field(default=None, min_length=5, max_length=24)
    openid: str | None = Field(default=None, min_length=1, max_length=64)
    card_no: str | None = Field(default=None, min_length=1, max_length=32)

    @model_validator(mode="after")
    def exactly_one(self) -> Self:
        """Refuse none and several."""
        if sum(value is not None for value in (self.member_id, self.phone, self.openid, self.card_no)) != 1:
            raise ValueError("exactly one of member_id, phone, openid, card_no")
        return self


class PartnerTicketIn(Input):
    """What the member told the partner."""

    member: TicketMember
    category: Category | None = Field(default=None, description="guessed from the text when left out")
    priority: Priority | None = Field(default=None, description="guessed from the text when left out")
    content: str = Field(min_length=1, max_length=MAX_CONTENT_CHARS)
    order_no: str | None = Field(default=None, min_length=1, max_length=40)


class PartnerTicketOut(Output):
    """The ticket as it was opened."""

    ticket_no: str
    state: str
    category: str
    priority: str
    member_id: UUID
    opened_at: datetime


@bp.post("")
@partner_required("tickets:write")
@bp.input(PartnerTicketIn)
@bp.doc(summary="Open a ticket for a member")
@bp.output(PartnerTicketOut, status_code=201)
def open_ticket(json_data: PartnerTicketIn) -> Response:
    """Open a ticket for a member; a phone number nobody has yet enrols its owner."""

    def work(session: Session) -> tuple[int, PartnerTicketOut]:
        ticket = service.open_ticket(
            session,
            _member_of(session, json_data.member),
            category=json_data.category,
            priority=json_data.priority,
            content=json_data.content,
            order_no=json_data.order_no,
            channel=Channel.PARTNER,
            actor=actor(),
            now=now(),
        )
        return 201, PartnerTicketOut.model_validate(ticket)

    return run_command(work)


def _member_of(session: Session, given: TicketMember) -> UUID:
    found: UUID | None
    if given.phone is not None:
        phone = normalised_phone(given.phone)
        return enrolment.enrol_unclaimed(session, phone=phone, external_ids=None, actor=actor(), now=now())
    if given.member_id is not None:
        found = members.resolve(session, given.member_id)
    elif given.card_no is not None:
        found = cards.by_card_no(session, given.card_no)
    else:
        found = members.by_openid(session, given.openid or "", core().wechat.appid)
    if found is None:
        raise InvalidError(fields={"member": "unknown"})
    return found
