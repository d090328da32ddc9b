"""Inviting friends: the member's code and what it brought."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response, g
from flask_babel import gettext
from pydantic import Field

from miniprogram_api.auth import member_required
from miniprogram_api.context import core, member_id, now
from miniprogram_api.idempotent import json_response
from miniprogram_api.schemas import Output
from server.referrals import queries, service

bp = APIBlueprint("v1_referral", __name__, url_prefix="/api/v1/referral", tag="Referral")

_PAGE = "pages/index/index"


class PosterOut(Output):
    """What the mini-program draws a poster or a share card from."""

    scene: str = Field(description="for wxacode.getUnlimited, at most 32 characters; the page finds the code behind i=")
    page: str
    title: str


class ReferralRuleOut(Output):
    """The rule that holds now."""

    enabled: bool
    inviter_points: int
    friend_points: int
    window_days: int = Field(description="the friend's first order is paid within so many days after joining")
    min_order_fen: int = Field(description="what must be left of it after refunds")
    max_rewarded: int | None = Field(description="friends one inviter is rewarded for in all")
    points_days: int | None = Field(description="life of the points in days; null for ever")


class ReferralOut(Output):
    """The member's code and what it brought."""

    code: str | None = Field(description="null while a membership that is frozen or leaving has none")
    poster: PosterOut | None
    invited: int
    rewarded: int
    points_earned: int
    rule: ReferralRuleOut


@bp.get("")
@member_required
@bp.doc(summary="My invitation")
@bp.output(ReferralOut)
def referral() -> Response:
    """Return the code to invite with, how many friends joined by it, and for how many both sides were rewarded."""
    with core().db.reading() as session:
        code = queries.code_of(session, member_id())
        found = queries.summary(session, member_id())
        _, policy = queries.policy(session)
    if code is None and g.member.status == "active":
        code = core().db.run(lambda session: service.ensure_code(session, member_id(), now=now()))
    return json_response(
        ReferralOut(
            code=code,
            poster=PosterOut(scene=f"i={code}", page=_PAGE, title=gettext("Join me and we both get points")) if code else None,
            invited=found.invited,
            rewarded=found.rewarded,
            points_earned=found.points_earned,
            rule=ReferralRuleOut.model_validate(policy),
        )
    )
