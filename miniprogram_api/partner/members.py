"""Partners recognise members."""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field, model_validator

from miniprogram_api.context import actor, core, now
from miniprogram_api.idempotent import json_response, run_command
from miniprogram_api.partner_auth import partner_required
from miniprogram_api.schemas import Input, Output
from server.flows import identify as flow

bp = APIBlueprint("partner_members", __name__, url_prefix="/partner/v1/members", tag="Partner: members")


class IdentifyIn(Input):
    """Exactly one of the three."""

    member_code: str | None = Field(default=None, min_length=1, max_length=40)
    phone: str | None = Field(default=None, min_length=5, max_length=24)
    card_no: str | None = Field(default=None, min_length=1, max_length=32)

    @model_validator(mode="after")
    def exactly_one(self) -> Self:
        """Refuse none and several."""
        if sum(value is not None for value in (self.member_code, self.phone, self.card_no)) != 1:
            raise ValueError("exactly one of member_code, phone, card_no")
        return self


class IdentifiedOut(Output):
    """The member, as far as a till needs to know them."""

    member_id: UUID
    card_no: str | None
    tier: str
    points_available: int
    status: str
    nickname: str | None
    phone_masked: str | None


def _shape(found: flow.Identified) -> IdentifiedOut:
    return IdentifiedOut(
        member_id=found.member_id,
        card_no=found.card_no,
        tier=found.tier_code,
        points_available=found.points_available,
        status=found.status,
        nickname=found.nickname,
        phone_masked=found.phone_masked,
    )


@bp.post("/identify")
@partner_required("members:read")
@bp.input(IdentifyIn, arg_name="body")
@bp.output(IdentifiedOut)
def identify(body: IdentifyIn) -> Response:
    """Recognise a member by the code on their phone, a phone number or a card number."""

    def work(session: Any) -> tuple[int, IdentifiedOut]:
        found = flow.identify(session, member_code=body.member_code, phone=body.phone, card_no=body.card_no, actor=actor(), now=now())
        return 200, _shape(found)

    return run_command(work, key_required=False)


@bp.get("/<uuid:member_id>")
@partner_required("members:read")
@bp.output(IdentifiedOut)
def member(member_id: UUID) -> Response:
    """Return one member; the id of a merged record leads to its survivor."""
    with core().db.reading() as session:
        return json_response(_shape(flow.of_member(session, member_id, now=now())))
