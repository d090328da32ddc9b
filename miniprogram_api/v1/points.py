"""A member's points: balance, statement, lots and the daily check-in."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response
from flask_babel import gettext
from pydantic import Field
from sqlalchemy.orm import Session

from miniprogram_api import context
from miniprogram_api.auth import member_required
from miniprogram_api.idempotent import json_response, run_command
from miniprogram_api.risk import refused
from miniprogram_api.schemas import Document, Output, PageOut, PageQuery
from miniprogram_api.v1.coupons import language
from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.kernel.pagination import PageRequest
from server.points import queries, service
from server.points.explain import explain
from server.risk.rules import Way

_MEMBERS_DETAILS = frozenset({"why", "by_line", "order_no", "policy", "owed", "forgiven", "reservation", "lot_id"})

bp = APIBlueprint("v1_points", __name__, url_prefix="/api/v1/points", tag="Points")

Kind = Literal["accrue", "unlock", "reserve", "release", "redeem", "return", "expire", "reverse", "adjust", "merge"]


class CheckInStateOut(Output):
    """The check-in streak as it stands today."""

    checked_in_today: bool
    streak_days: int = Field(description="days in a row, up to today or else up to yesterday")


class BalanceOut(Output):
    """What the member has, in points."""

    available: int
    pending: int
    reserved: int
    debt: int = Field(description="owed after a refund; repaid by the next earnings")
    expiring_soon: int = Field(description="of the available, gone within 30 days")
    expiring_at: datetime | None
    check_in: CheckInStateOut


class EntryOut(Output):
    """One line of the statement."""

    id: UUID
    kind: Kind
    points: int = Field(description="more (positive) or fewer (negative)")
    balance_after: int = Field(description="available points after it")
    pending_after: int
    reason: str
    rule: str | None = Field(description="code and version of the rule that gave them")
    source: str
    details: Document | None = Field(description="the trace of why (not)")
    why: list[str] = Field(description="the same in words, one sentence for each reason")
    occurred_at: datetime


class LotOut(Output):
    """Points of one accrual that are still there."""

    id: UUID
    amount: int
    left: int
    reserved: int
    state: Literal["pending", "available", "closed"]
    unlock_at: datetime | None
    expires_at: datetime | None
    created_at: datetime


class CheckInOut(Output):
    """A check-in that was made."""

    points: int
    streak_days: int


class EntryQuery(PageQuery):
    """``?kind=`` besides the page."""

    kind: Kind | None = None


class LotQuery(PageQuery):
    """``?all=true`` brings the empty lots too."""

    all: bool = False


@bp.get("")
@member_required
@bp.doc(summary="Balance")
@bp.output(BalanceOut)
def balance() -> Response:
    """Return what the member has."""
    now = context.now()
    with context.core().db.reading() as session:
        found = queries.balance(session, context.member_id(), now=now)
        state = queries.check_in_state(session, context.member_id(), business_date(now, zone_of(session)))
    return json_response(
        BalanceOut(
            available=found.available,
            pending=found.pending,
            reserved=found.reserved,
            debt=found.debt,
            expiring_soon=found.expiring_soon,
            expiring_at=found.expiring_at,
            check_in=CheckInStateOut(checked_in_today=state.checked_in_today, streak_days=state.streak_days),
        )
    )


@bp.get("/entries")
@member_required
@bp.input(EntryQuery, location="query")
@bp.doc(summary="Statement")
@bp.output(PageOut[EntryOut])
def entries(query_data: EntryQuery) -> Response:
    """Return the statement, newest first, with the trace of why each entry was made."""
    request = PageRequest.of(query_data.limit, query_data.cursor)
    with context.core().db.reading() as session:
        page = queries.entries(session, context.member_id(), request, kind=query_data.kind)
        why = explain(session, [row.id for row in page.items], language(), gettext)
    return json_response(PageOut[EntryOut](items=[_entry(row, why[row.id]) for row in page.items], next_cursor=page.next_cursor))


@bp.get("/lots")
@member_required
@bp.input(LotQuery, location="query")
@bp.doc(summary="Lots")
@bp.output(PageOut[LotOut])
def lots(query_data: LotQuery) -> Response:
    """Return the lots: which points unlock and expire when."""
    request = PageRequest.of(query_data.limit, query_data.cursor)
    with context.core().db.reading() as session:
        page = queries.lots(session, context.member_id(), request, only_left=not query_data.all)
    items = [LotOut.model_validate(row) for row in page.items]
    return json_response(PageOut[LotOut](items=items, next_cursor=page.next_cursor))


@bp.post("/check-ins")
@member_required
@bp.doc(summary="Check in for today")
@bp.output(CheckInOut, status_code=201)
def check_in() -> Response:
    """Check in for the business day; a second time that day is refused with ``already_checked_in``. 409 ``risk_held``."""

    def work(session: Session) -> tuple[int, CheckInOut | Document]:
        stopped = refused(session, Way.CHECK_IN)
        if stopped is not None:
            return stopped
        made = service.check_in(session, context.member_id(), actor=context.actor(), now=context.now())
        return 201, CheckInOut(points=made.points, streak_days=made.streak_days)

    return run_command(work)


def _entry(row: queries.EntryRow, why: list[str]) -> EntryOut:
    return EntryOut.model_validate(
        {
            "id": row.id,
            "kind": row.kind,
            "points": row.points,
            "balance_after": row.available_after,
            "pending_after": row.pending_after,
            "reason": gettext(row.reason),
            "rule": row.rule,
            "source": row.source,
            # Who approved it, which file it came from and what was merged into what are nobody's outside.
            "details": {name: part for name, part in (row.details or {}).items() if name in _MEMBERS_DETAILS} or None,
            "why": why,
            "occurred_at": row.occurred_at,
        }
    )
