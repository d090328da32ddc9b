"""The rewards: what points can be redeemed for, what this member can have and why not, and redeeming."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from flask_babel import gettext
from pydantic import Field
from sqlalchemy.orm import Session

from miniprogram_api.auth import member_required
from miniprogram_api.context import actor, core, member_id, now
from miniprogram_api.idempotent import json_response, run_command
from miniprogram_api.risk import refused
from miniprogram_api.schemas import Document, Input, Output, PageOut
from miniprogram_api.v1.redemptions import RedemptionOut, shape
from miniprogram_api.v1.uploads import address_of
from server.rewards import queries, service
from server.rewards.errors import RewardNotFoundError
from server.rewards.reasons import CODES, REASONS
from server.rewards.rules.terms import Kind
from server.risk.rules import Way

bp = APIBlueprint("v1_rewards", __name__, url_prefix="/api/v1/rewards", tag="Rewards")

_Text = Annotated[str, Field(min_length=1, max_length=60)]


class RewardOut(Output):
    """A reward. ``reason`` is the error code that redeeming it now would meet, ``message`` says it in the reader's language."""

    id: UUID
    version: int
    code: str
    kind: Kind
    name: str
    description: str
    picture_url: str | None
    points: int
    cash_fen: int
    tiers: list[str]
    on_sale_from: datetime | None
    on_sale_until: datetime | None
    stock: int | None
    left: int | None
    left_today: int | None
    per_member: int | None
    needs_receiver: bool
    redeemable: bool
    reason: str | None
    message: str | None
    missing_points: int


class RewardReceiverIn(Input):
    """Where goods are sent: what the member chose among their WeChat addresses, or typed."""

    name: _Text
    phone: Annotated[str, Field(min_length=5, max_length=20, pattern=r"^[0-9+\-() ]+$")]
    address: Annotated[str, Field(min_length=4, max_length=300)]


class RewardRedemptionIn(Input):
    """What redeeming needs beside the reward."""

    receiver: RewardReceiverIn | None = Field(default=None, description="for goods")
    seen_version: int | None = Field(
        default=None, ge=1, description="the `version` the member looked at; 409 `reward_changed` if another holds"
    )


@bp.get("")
@member_required
@bp.doc(summary="What points can be redeemed for")
@bp.output(PageOut[RewardOut])
def list_rewards() -> Response:
    """Return the catalogue, newest first, at most a hundred: what the member can have now, and why not the rest."""
    with core().db.reading() as session:
        found = queries.offers(session, member_id(), now=now())
    return json_response(PageOut[RewardOut](items=[_shape(each) for each in found]))


@bp.get("/<uuid:reward_id>")
@member_required
@bp.doc(summary="One reward")
@bp.output(RewardOut)
def show_reward(reward_id: UUID) -> Response:
    """Return one reward of the catalogue."""
    with core().db.reading() as session:
        found = queries.offers(session, member_id(), now=now(), reward_id=reward_id)
    if not found:
        raise RewardNotFoundError
    return json_response(_shape(found[0]))


@bp.post("/<uuid:reward_id>/redemptions")
@member_required
@bp.input(RewardRedemptionIn, arg_name="body")
@bp.doc(summary="Redeem points for a reward")
@bp.output(RedemptionOut, status_code=201)
def redeem(reward_id: UUID, body: RewardRedemptionIn) -> Response:
    """Redeem points; with a cash part the answer is ``reserved`` until it is paid.

    409 ``insufficient_points``, ``sold_out``, ``redemption_limit_reached``, ``tier_not_eligible``, ``not_in_window``, ``reward_changed`` or
    ``risk_held`` otherwise; 422 ``receiver_missing`` for goods without a receiver.
    """
    receiver = None if body.receiver is None else service.ReceiverDraft(**body.receiver.model_dump())

    def work(session: Session) -> tuple[int, RedemptionOut | Document]:
        stopped = refused(session, Way.REDEMPTION, address=receiver.address if receiver is not None else None)
        if stopped is not None:
            return stopped
        view = service.redeem(session, member_id(), reward_id, receiver=receiver, seen_version=body.seen_version, actor=actor(), now=now())
        return 201, shape(view)

    return run_command(work)


def _shape(each: queries.OfferView) -> RewardOut:
    reward, draft = each.reward, each.reward.draft
    return RewardOut(
        id=reward.id,
        version=reward.version,
        code=draft.code,
        kind=draft.kind,
        name=draft.name,
        description=draft.description,
        picture_url=address_of(draft.picture_id) if draft.picture_id else None,
        points=draft.points,
        cash_fen=draft.cash_fen,
        tiers=list(draft.tiers),
        on_sale_from=draft.on_sale_from,
        on_sale_until=draft.on_sale_until,
        stock=draft.stock,
        left=reward.left,
        left_today=reward.left_today,
        per_member=draft.per_member,
        needs_receiver=draft.kind is Kind.GOODS,
        redeemable=each.redeemable,
        reason=CODES[each.reason] if each.reason else None,
        message=gettext(REASONS[each.reason]) if each.reason else None,
        missing_points=each.missing_points,
    )
