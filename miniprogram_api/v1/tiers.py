"""The tiers there are, the member's own with its progress, the growth that earned it, and everything it entitles to."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from flask_babel import gettext
from pydantic import Field

from miniprogram_api import context
from miniprogram_api.auth import member_required
from miniprogram_api.faces import face_of
from miniprogram_api.idempotent import json_response
from miniprogram_api.schemas import Output, PageOut, PageQuery
from server.flows import growth
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.tiers import queries

bp = APIBlueprint("v1_tiers", __name__, url_prefix="/api/v1", tag="Tiers")


class FaceOut(Output):
    """The card's colours, ``#rrggbb``, and its picture if it has one."""

    start: str
    end: str
    text: str
    picture_url: str | None = Field(default=None, description="signed for a while")


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
    cause: Literal["upgrade", "downgrade", "merge", "import", "assignment", "lock"]


class ProgressOut(Output):
    """How far it is to the next tier, and what keeps this one."""

    growth: int = Field(description="what counts today")
    next_code: str | None = Field(description="the next tier that can be earned")
    next_threshold: int | None = Field(description="growth it takes")
    missing: int | None = Field(description="growth that is missing for it")
    threshold: int | None = Field(description="growth the held tier takes; null where it cannot be lost for want of growth")
    period_starts_on: date | None
    period_ends_on: date | None = Field(description="last day for which the tier is held; null for the lowest")
    grace_until: date | None = Field(description="last day to make up for what is missing")
    keep_growth: int = Field(description="what will count at the period's end if nothing more is earned")
    keep_missing: int | None = Field(description="growth to be earned until grace_until to keep the tier; 0: it is safe")
    at_risk: bool = Field(description="the period ends within 30 days, or has ended, and growth is missing")
    locked_until: date | None = Field(description="last day on which the tier is held by hand")
    window: Literal["months", "calendar_year"] | None = Field(description="which growth counts; null while none is earned")
    window_months: int | None = Field(description="of a rolling window")


class MyTierOut(Output):
    """The tier the member holds, the next one up, and how they came here."""

    tier: TierOut
    since: datetime | None = Field(description="null: from the beginning")
    next: TierOut | None
    progress: ProgressOut
    changes: list[ChangeOut]


class GrowthEntryOut(Output):
    """One entry of the growth statement."""

    id: UUID
    kind: Literal["spend", "frequency", "activity", "reversal", "merge"]
    growth: int
    reason: str
    order_no: str | None
    counted_on: date = Field(description="the day it counts on; it leaves the window by this day")
    occurred_at: datetime


class BenefitOut(Output):
    """One thing the member is entitled to, and why."""

    kind: Literal[
        "points_multiplier",
        "service_priority",
        "advisor",
        "upgrade_points",
        "upgrade_coupon",
        "birthday_points",
        "birthday_coupon",
        "exclusive_coupon",
        "text",
    ]
    text: str
    value: int | None = Field(description="percent for the multiplier, points for gifts")
    why: Literal["tier", "assigned", "everyone"] = Field(description="because of the tier; of a tier given by hand; or every member has it")
    reason: str = Field(description="the same in words")


class BenefitsOut(Output):
    """Everything the member is entitled to."""

    tier: TierOut
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
@bp.doc(summary="My tier, my progress and how I came here")
@bp.output(MyTierOut)
def my_tier() -> Response:
    """Return the member's tier, what is missing for the next and for keeping this one, and the changes that led to it."""
    with context.core().db.reading() as session:
        held = queries.of_member(session, context.member_id())
        above = queries.next_above(session, held.rank)
        standing = queries.progress(session, context.member_id(), now=context.core().clock.now())
        changes = queries.changes(session, context.member_id())
    return json_response(
        MyTierOut(
            tier=_tier(held),
            since=held.since,
            next=None if above is None else _tier(above),
            progress=ProgressOut.model_validate(standing),
            changes=[
                ChangeOut.model_validate(
                    {
                        "occurred_at": change.occurred_at,
                        "from_name": None if change.from_name is None else gettext(change.from_name),
                        "to_name": gettext(change.to_name),
                        "reason": gettext(change.reason),
                        "cause": change.cause,
                    }
                )
                for change in changes
            ],
        )
    )


@bp.get("/me/growth")
@member_required
@bp.input(PageQuery, location="query")
@bp.doc(summary="My growth statement")
@bp.output(PageOut[GrowthEntryOut])
def my_growth(query_data: PageQuery) -> Response:
    """Return what brought the member growth and what took it back."""
    with context.core().db.reading() as session:
        found = queries.entries(session, context.member_id(), PageRequest.of(query_data.limit, query_data.cursor))
    return json_response(PageOut[GrowthEntryOut](items=[_entry(entry) for entry in found.items], next_cursor=found.next_cursor))


@bp.get("/me/benefits")
@member_required
@bp.doc(summary="Everything I am entitled to, and why")
@bp.output(BenefitsOut)
def my_benefits() -> Response:
    """Return everything the member is entitled to now, each with its reason."""
    with context.core().db.reading() as session:
        held = queries.of_member(session, context.member_id())
        found = growth.entitlements(session, context.member_id(), now=context.core().clock.now())
    items = [
        BenefitOut.model_validate(
            {
                "kind": one.kind,
                "text": gettext(BENEFITS.get(f"{one.kind}:{one.text}", BENEFITS.get(one.kind, one.text))),
                "value": one.value,
                "why": one.why,
                "reason": gettext(WHY[one.why], tier=gettext(held.name)) if one.why != "everyone" else gettext(WHY[one.why]),
            }
        )
        for one in found
    ]
    return json_response(BenefitsOut(tier=_tier(held), items=items))


BENEFITS = {
    "points_multiplier": N_("Points multiplier"),
    "service_priority:high": N_("Faster customer service"),
    "service_priority:urgent": N_("Customer service before all others"),
    "upgrade_points": N_("Points when the tier is reached"),
    "birthday_points": N_("Points for the birthday"),
}
WHY = {
    "tier": N_("Because you hold %(tier)s"),
    "assigned": N_("Because %(tier)s was given to you"),
    "everyone": N_("Every member has it"),
}
ENTRIES = {
    "spend": N_("Growth for what you paid"),
    "frequency": N_("Growth for an order"),
    "reversal": N_("Growth of refunded goods"),
    "merge": N_("Memberships merged"),
    "check_in": N_("Daily check-in"),
    "profile": N_("Profile completed"),
    "rating": N_("Service rated"),
}


def _entry(entry: queries.EntryView) -> GrowthEntryOut:
    code = entry.details.get("activity", entry.kind)
    return GrowthEntryOut.model_validate(
        {
            "id": entry.id,
            "kind": entry.kind,
            "growth": entry.growth,
            "reason": gettext(ENTRIES[code]),
            "order_no": entry.details.get("order_no"),
            "counted_on": entry.counted_on,
            "occurred_at": entry.occurred_at,
        }
    )


def _tier(tier: queries.TierView) -> TierOut:
    return TierOut(
        code=tier.code,
        name=gettext(tier.name),
        rank=tier.rank,
        points_multiplier_percent=tier.points_multiplier_percent,
        face=FaceOut(**face_of(tier.face.document())),
        benefits=[gettext(text) for text in tier.benefits],
    )
