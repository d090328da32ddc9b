"""The member's redemptions: what they redeemed points for, where it is, and cancelling."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field
from sqlalchemy.orm import Session

from miniprogram_api.auth import member_required
from miniprogram_api.context import actor, core, member_id, now
from miniprogram_api.idempotent import json_response, run_command
from miniprogram_api.schemas import Input, Output, PageOut, PageQuery
from server.kernel.pagination import PageRequest
from server.rewards import queries, service
from server.rewards.queries import RedemptionView
from server.rewards.rules.terms import Kind

bp = APIBlueprint("v1_redemptions", __name__, url_prefix="/api/v1/redemptions", tag="Rewards")

State = Literal["reserved", "placed", "fulfilled", "cancelled"]


class RedemptionQuery(PageQuery):
    """``?state=`` of the member's redemptions; all when left out."""

    state: State | None = None


class ReceiverOut(Output):
    """Where goods go, masked."""

    name: str
    phone: str
    address: str


class RedemptionOut(Output):
    """A redemption. ``voucher_code`` is what a store scans; ``refund_due_fen`` is money on its way back."""

    id: UUID
    redemption_no: str
    reward_id: UUID
    reward_version: int
    reward_name: str
    kind: Kind
    state: State
    points: int
    cash_fen: int
    pay_until: datetime | None
    paid_at: datetime | None
    refund_due_fen: int
    carrier: str | None
    tracking_no: str | None
    voucher_code: str | None
    voucher_until: datetime | None
    coupon_id: UUID | None
    receiver: ReceiverOut | None
    created_at: datetime
    placed_at: datetime | None
    fulfilled_at: datetime | None
    cancelled_at: datetime | None


class CancellationIn(Input):
    """Why, if the member wants to say."""

    reason: Annotated[str, Field(max_length=300)] | None = None


@bp.get("")
@member_required
@bp.input(RedemptionQuery, location="query")
@bp.doc(summary="The member's redemptions, newest first")
@bp.output(PageOut[RedemptionOut])
def list_redemptions(query_data: RedemptionQuery) -> Response:
    """Return one page of redemptions, without their receivers."""
    page = PageRequest.of(query_data.limit, query_data.cursor)
    with core().db.reading() as session:
        found = queries.list_redemptions(session, page, member_id=member_id(), state=query_data.state)
    return json_response(PageOut[RedemptionOut](items=[shape(each) for each in found.items], next_cursor=found.next_cursor))


@bp.get("/<uuid:redemption_id>")
@member_required
@bp.doc(summary="One redemption")
@bp.output(RedemptionOut)
def show_redemption(redemption_id: UUID) -> Response:
    """Return a redemption of the member's own, with its masked receiver."""
    with core().db.reading() as session:
        return json_response(shape(queries.find(session, redemption_id, member_id=member_id())))


@bp.post("/<uuid:redemption_id>/cancellation")
@member_required
@bp.input(CancellationIn, arg_name="body")
@bp.doc(summary="Cancel a redemption")
@bp.output(RedemptionOut, status_code=201)
def cancel(redemption_id: UUID, body: CancellationIn) -> Response:
    """Cancel until it is shipped, handed over or issued: the points are back at once. 409 ``redemption_state`` or ``voucher_expired``."""

    def work(session: Session) -> tuple[int, RedemptionOut]:
        view = service.cancel(session, redemption_id, member_id=member_id(), reason=body.reason, actor=actor(), now=now())
        return 201, shape(view)

    return run_command(work)


def shape(view: RedemptionView) -> RedemptionOut:
    """Return a redemption as members see it."""
    return RedemptionOut.model_validate(view)
