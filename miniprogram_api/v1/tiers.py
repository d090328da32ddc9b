"""The tiers there are, the member's own, and what it gives."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from apiflask import APIBlueprint
from flask import Response
from flask_babel import gettext
from pydantic import Field

from miniprogram_api import context
from miniprogram_api.auth import member_required
from miniprogram_api.idempotent import json_response
from miniprogram_api.schemas import Output
from server.tiers import queries

bp = APIBlueprint("v1_tiers", __name__, url_prefix="/api/v1", tag="Tiers")


class FaceOut(Output):
    """The card's colours, ``#rrggbb``."""

    start: str
    end: str
    text: str


class TierOut(Output):
    """A tier."""

    code: str
    name: str
    rank: int
    points_multiplier_percent: int
    face: FaceOut
    benefits: list[str]


class TiersOut(Output):
    """All tiers, the lowest first."""

    items: list[TierOut]


class ChangeOut(Output):
    """One change of the member's tier."""

    occurred_at: datetime
    from_name: str | None
    to_name: str
    reason: str


class MyTierOut(Output):
    """The tier the member holds, the next one up, and how they came here."""

    tier: TierOut
    since: datetime | None = Field(description="null: from the beginning")
    next: TierOut | None
    changes: list[ChangeOut]


class BenefitOut(Output):
    """One thing the tier gives."""

    kind: Literal["points_multiplier", "text"]
    text: str
    value: int | None = Field(description="percent, for the multiplier")


class BenefitsOut(Output):
    """What the member's tier gives."""

    items: list[BenefitOut]


@bp.get("/tiers")
@member_required
@bp.doc(summary="All tiers")
@bp.output(TiersOut)
def tiers() -> Response:
    """Return all tiers, the lowest first."""
    with context.core().db.reading() as session:
        found = queries.definitions(session)
    return json_response(TiersOut(items=[_tier(tier) for tier in found]))


@bp.get("/me/tier")
@member_required
@bp.doc(summary="My tier")
@bp.output(MyTierOut)
def my_tier() -> Response:
    """Return the member's tier and the changes that led to it."""
    with context.core().db.reading() as session:
        held = queries.of_member(session, context.member_id())
        above = queries.next_above(session, held.rank)
        changes = queries.changes(session, context.member_id())
    return json_response(
        MyTierOut(
            tier=_tier(held),
            since=held.since,
            next=None if above is None else _tier(above),
            changes=[
                ChangeOut(
                    occurred_at=change.occurred_at,
                    from_name=None if change.from_name is None else gettext(change.from_name),
                    to_name=gettext(change.to_name),
                    reason=gettext(change.reason),
                )
                for change in changes
            ],
        )
    )


@bp.get("/me/benefits")
@member_required
@bp.doc(summary="What my tier gives")
@bp.output(BenefitsOut)
def my_benefits() -> Response:
    """Return what the member's tier gives."""
    with context.core().db.reading() as session:
        found = queries.benefits(session, context.member_id())
    items = [
        BenefitOut.model_validate(
            {"kind": benefit.kind, "text": gettext(benefit.text) if benefit.text else gettext("Points multiplier"), "value": benefit.value}
        )
        for benefit in found
    ]
    return json_response(BenefitsOut(items=items))


def _tier(tier: queries.TierView) -> TierOut:
    return TierOut(
        code=tier.code,
        name=gettext(tier.name),
        rank=tier.rank,
        points_multiplier_percent=tier.points_multiplier_percent,
        face=FaceOut.model_validate(tier.face),
        benefits=[gettext(text) for text in tier.benefits],
    )
