"""The member's card and the code shown at the till."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from miniprogram_api.auth import member_required
from miniprogram_api.context import core, member_id, now
from miniprogram_api.faces import DESCRIPTION, face_of
from miniprogram_api.idempotent import json_response, run_command
from miniprogram_api.schemas import Output
from server.cards import service
from server.flows import home

bp = APIBlueprint("v1_card", __name__, url_prefix="/api/v1/card", tag="Card")


class CardOut(Output):
    """The card as the wallet shows it."""

    card_no: str
    tier: str
    tier_name: str
    face: dict[str, str] = Field(description=DESCRIPTION)


class CodeOut(Output):
    """A code for the till, as QR and barcode."""

    code: str = Field(description="18 digits, prefix 66, valid once")
    expires_at: datetime


@bp.get("")
@member_required
@bp.output(CardOut)
def card() -> Response:
    """Return the card."""
    with core().db.reading() as session:
        page = home.of_member(session, member_id(), now=now())
    card_no = page.card_no
    if card_no is None:
        # A record that came from a till or an import gets its card a moment later; whoever asks first gets it now.
        card_no = core().db.run(lambda session: service.issue(session, member_id(), now=now())).card_no
    return json_response(CardOut(card_no=card_no, tier=page.tier_code, tier_name=page.tier_name, face=face_of(page.tier_face)))


@bp.post("/codes")
@member_required
@bp.output(CodeOut, status_code=201)
def new_code() -> Response:
    """Give a fresh code; one given before stays valid until its sixty seconds are over or it is redeemed."""

    def work(session: Any) -> tuple[int, CodeOut]:
        view = service.new_code(session, member_id(), now=now())
        return 201, CodeOut(code=view.code, expires_at=view.expires_at)

    return run_command(work, key_required=False)
