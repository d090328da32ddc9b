"""Claiming a receipt: a purchase made before joining, or without showing the code."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from apiflask import APIBlueprint
from flask import Response
from pydantic import AfterValidator, Field
from sqlalchemy.orm import Session

from miniprogram_api import context
from miniprogram_api.auth import member_required
from miniprogram_api.idempotent import run_command
from miniprogram_api.problems import document_of
from miniprogram_api.schemas import Document, Fen, Input, Output
from server.flows import receipts as flow
from server.orders.claims import Receipt
from server.orders.late import normalised_receipt

bp = APIBlueprint("v1_receipts", __name__, url_prefix="/api/v1/points", tag="Points")

_NUMBER_CHARS = 80
_FIRST_YEAR, _LAST_YEAR = 2000, 2199


def _within_reach(day: date) -> date:
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        message = f"a year from {_FIRST_YEAR} to {_LAST_YEAR}"
        raise ValueError(message)
    return day


def _number(text: str) -> str:
    number = normalised_receipt(text)
    if not 1 <= len(number) <= _NUMBER_CHARS:
        message = f"1–{_NUMBER_CHARS} characters"
        raise ValueError(message)
    return number


class ReceiptClaimIn(Input):
    """What stands on the receipt."""

    channel: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]{1,32}$")
    store: str | None = Field(
        default=None, min_length=1, max_length=64, description="code of the store; with it the receipt is surely found"
    )
    external_no: Annotated[str, AfterValidator(_number)] = Field(
        min_length=1, max_length=_NUMBER_CHARS, description="number of the receipt"
    )
    amount_fen: Fen
    placed_on: Annotated[date, AfterValidator(_within_reach)] = Field(description="day of the purchase, in the shop's time")


class ReceiptClaimOut(Output):
    """The purchase that is the member's now."""

    order_no: str
    points: int = Field(description="earned by the rules of the day of the purchase; pending ones too")


@bp.post("/receipt-claims")
@member_required
@bp.input(ReceiptClaimIn, arg_name="body")
@bp.doc(summary="Claim a receipt")
@bp.output(ReceiptClaimOut, status_code=201)
def claim_receipt(body: ReceiptClaimIn) -> Response:
    """Claim a purchase by its receipt, once, within the days that are allowed.

    404 ``receipt_not_found`` counts as a wrong try; after five on one day 429 ``too_many_receipt_tries``. 409: ``receipt_ambiguous``,
    ``receipt_already_credited``, ``receipt_refunded``, ``receipt_too_old``.
    """
    receipt = Receipt(body.external_no, body.amount_fen, body.placed_on, body.channel, body.store)

    def work(session: Session) -> tuple[int, ReceiptClaimOut | Document]:
        done = flow.claim(session, context.member_id(), receipt, actor=context.actor(), now=context.now())
        if done.refusal is not None:
            # A refused claim is on record, and counts: so it is answered, not raised, and its transaction commits.
            return done.refusal.status, document_of(done.refusal)
        return 201, ReceiptClaimOut(order_no=done.order_no or "", points=done.points)

    return run_command(work)
