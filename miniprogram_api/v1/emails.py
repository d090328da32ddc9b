"""The member's e-mail address: asked for, proved by a code, given up."""

from __future__ import annotations

from datetime import datetime

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field
from sqlalchemy.orm import Session

from miniprogram_api.auth import member_required
from miniprogram_api.context import actor, core, member_id, now
from miniprogram_api.idempotent import json_response, run_command
from miniprogram_api.schemas import Input, Output
from server.mail.gateway import address_of
from server.members import emails
from server.members.errors import EmailInvalidError, EmailOffError

bp = APIBlueprint("v1_emails", __name__, url_prefix="/api/v1/me/email", tag="Member")


class EmailIn(Input):
    """An address the member wants to use."""

    address: str = Field(min_length=3, max_length=254)


class EmailCodeIn(Input):
    """The code that came to it."""

    code: str = Field(pattern=r"^[0-9]{6}$")


class EmailOut(Output):
    """The address in use, and the one that waits for its code."""

    masked: str | None
    verified_at: datetime | None
    pending_masked: str | None
    pending_until: datetime | None


@bp.get("")
@member_required
@bp.output(EmailOut)
def email() -> Response:
    """Return the member's e-mail address, masked."""
    with core().db.reading() as session:
        found = emails.view(session, member_id(), now=now())
    return json_response(EmailOut.model_validate(found))


@bp.put("")
@member_required
@bp.input(EmailIn, arg_name="body")
@bp.output(EmailOut)
def change_email(body: EmailIn) -> Response:
    """Have a code sent to an address; it is in use once the code came back. At most three codes an hour."""
    if core().mail is None:
        raise EmailOffError
    try:
        address = address_of(body.address)
    except ValueError:
        raise EmailInvalidError(fields={"address": ""}) from None

    def work(session: Session) -> tuple[int, EmailOut]:
        emails.ask(session, member_id(), address, actor=actor(), now=now())
        return 200, EmailOut.model_validate(emails.view(session, member_id(), now=now()))

    return run_command(work, key_required=False)


@bp.post("/verification")
@member_required
@bp.input(EmailCodeIn, arg_name="body")
@bp.output(EmailOut)
def verify_email(body: EmailCodeIn) -> Response:
    """Prove the address with the code that came to it. Five tries, fifteen minutes."""
    # In a transaction of its own: a wrong code is counted whatever the answer.
    good = core().db.run(lambda session: emails.verify(session, member_id(), body.code, actor=actor(), now=now()))
    emails.require_code(good=good)
    with core().db.reading() as session:
        found = emails.view(session, member_id(), now=now())
    return json_response(EmailOut.model_validate(found))


@bp.delete("")
@member_required
@bp.output(EmailOut)
def remove_email() -> Response:
    """Give the address up; e-mails end with it."""

    def work(session: Session) -> tuple[int, EmailOut]:
        emails.remove(session, member_id(), actor=actor(), now=now())
        return 200, EmailOut.model_validate(emails.view(session, member_id(), now=now()))

    return run_command(work, key_required=False)
