"""Partners give, spend and take back points. A ``source`` is the partner's own name of the fact and makes it happen once."""

from __future__ import annotations

from typing import Annotated, Self
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, g
from pydantic import Field, model_validator
from sqlalchemy.orm import Session

from miniprogram_api import context
from miniprogram_api.idempotent import run_command
from miniprogram_api.openapi import documented
from miniprogram_api.partner_auth import partner_required
from miniprogram_api.schemas import AwareInstant, Input, Output
from server.flows import tills
from server.kernel.amounts import Points
from server.kernel.source import Source
from server.members import queries as members
from server.orders.errors import CapturedNeedsCardError, OfflineRedemptionRefusedError
from server.points import queries, service
from server.points.errors import EntryNotFoundError
from server.points.rules import MAX_POINTS

bp = APIBlueprint("partner_points", __name__, url_prefix="/partner/v1/points", tag="Partner: points")

_Count = Annotated[int, Field(ge=1, le=MAX_POINTS)]
_SourceKey = Annotated[str, Field(min_length=1, max_length=120, description="the fact in your own words; once for each partner")]
_Reason = Annotated[str, Field(min_length=1, max_length=200, description="shown to the member")]


_Captured = Annotated[AwareInstant | None, Field(description="when it happened at a till that was offline")]


class RedemptionIn(Input):
    """Points to spend. Nothing is spent offline: with ``captured_at`` it is refused."""

    member_id: UUID
    points: _Count
    source: _SourceKey
    reason: _Reason
    captured_at: _Captured = None


class AccrualIn(Input):
    """Points to give, to a member or to whom a card number stands for; a till that was offline names the card."""

    member_id: UUID | None = None
    card_no: str | None = Field(default=None, min_length=1, max_length=32)
    points: _Count
    source: _SourceKey
    reason: _Reason
    captured_at: _Captured = None
    available_at: AwareInstant | None = Field(default=None, description="pending until then; at once when left out")

    @model_validator(mode="after")
    def exactly_one(self) -> Self:
        """Refuse none and both."""
        if (self.member_id is None) == (self.card_no is None):
            raise ValueError("exactly one of member_id, card_no")
        return self


class ReversalIn(Input):
    """An entry to take back: an accrual, or a redemption, which is returned to the member."""

    entry_id: UUID
    points: _Count | None = Field(default=None, description="all that is left of it when left out")
    source: _SourceKey
    reason: _Reason


class EntryOut(Output):
    """The entry and the balances after it. ``points`` is how many were moved, never negative; ``kind`` says which way."""

    entry_id: UUID
    kind: str
    points: int
    available: int
    pending: int


@bp.post("/accruals")
@partner_required("points:write")
@bp.input(AccrualIn)
@bp.doc(summary="Give points")
@bp.output(EntryOut, status_code=201)
@documented(also={200: "The same again: nothing new happened"})
def accrue(json_data: AccrualIn) -> Response:
    """Give points: 201, and 200 with the same entry when the source comes again."""
    if json_data.captured_at is not None and json_data.card_no is None:
        raise CapturedNeedsCardError(fields={"member_id": CapturedNeedsCardError.message})

    def work(session: Session) -> tuple[int, EntryOut]:
        if json_data.member_id is None:
            view = tills.accrue(
                session,
                json_data.card_no or "",
                Points(json_data.points),
                source=_source(json_data.source),
                reason=json_data.reason,
                available_at=json_data.available_at,
                captured_at=json_data.captured_at,
                actor=context.actor(),
                now=context.now(),
            )
            return _answer(view)
        members.require_known(session, json_data.member_id)
        view = service.accrue(
            session,
            json_data.member_id,
            Points(json_data.points),
            source=_source(json_data.source),
            reason=json_data.reason,
            actor=context.actor(),
            now=context.now(),
            available_at=json_data.available_at,
        )
        return _answer(view)

    return run_command(work)


@bp.post("/redemptions")
@partner_required("points:write")
@bp.input(RedemptionIn)
@bp.doc(summary="Spend points")
@bp.output(EntryOut, status_code=201)
@documented(also={200: "The same again: nothing new happened"})
def redeem(json_data: RedemptionIn) -> Response:
    """Spend points: 201, and 200 with the same entry when the source comes again; 409 when there are too few."""
    if json_data.captured_at is not None:
        raise OfflineRedemptionRefusedError(fields={"captured_at": OfflineRedemptionRefusedError.message})

    def work(session: Session) -> tuple[int, EntryOut]:
        members.require_known(session, json_data.member_id)
        view = service.redeem(
            session,
            json_data.member_id,
            Points(json_data.points),
            source=_source(json_data.source),
            reason=json_data.reason,
            actor=context.actor(),
            now=context.now(),
        )
        return _answer(view)

    return run_command(work)


@bp.post("/reversals")
@partner_required("points:write")
@bp.input(ReversalIn)
@bp.doc(summary="Take an entry back")
@bp.output(EntryOut, status_code=201)
@documented(also={200: "The same again: nothing new happened"})
def reverse(json_data: ReversalIn) -> Response:
    """Take back one of the partner's own entries, whole or in part; others' entries do not exist for them."""

    def work(session: Session) -> tuple[int, EntryOut]:
        if queries.namespace_of_entry(session, json_data.entry_id) != _namespace():
            raise EntryNotFoundError
        view = service.reverse(
            session,
            json_data.entry_id,
            None if json_data.points is None else Points(json_data.points),
            source=_source(json_data.source),
            reason=json_data.reason,
            actor=context.actor(),
            now=context.now(),
        )
        return _answer(view)

    return run_command(work)


def _namespace() -> str:
    return f"partner:{g.partner.partner_id}"


def _source(key: str) -> Source:
    return Source(_namespace(), key)


def _answer(view: service.EntryView) -> tuple[int, EntryOut]:
    body = EntryOut(entry_id=view.id, kind=view.kind, points=abs(view.points), available=view.available_after, pending=view.pending_after)
    return (200 if view.replayed else 201), body
