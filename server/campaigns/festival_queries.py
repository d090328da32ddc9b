"""Reads of festivals: the calendar, what was celebrated, who got what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.campaigns.errors import FestivalUnknownError
from server.campaigns.festival_rules import PRESETS, FestivalPlan, plan_of
from server.campaigns.models import Festival, FestivalGift, FestivalRun, FestivalVersion
from server.kernel.pagination import Page, PageRequest, keyset, page_of


@dataclass(frozen=True, slots=True)
class FestivalView:
    """A festival of the calendar; one that was never set has version 0 and is switched off."""

    code: str
    plan: FestivalPlan
    version: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class FestivalVersionView:
    """A plan that held from a day on."""

    version: int
    plan: FestivalPlan
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class RunView:
    """One celebration. ``refused`` of the members could not be given anything, each for a reason that their row tells."""

    id: UUID
    code: str
    name: str
    year: int
    celebrated_on: date
    version: int
    state: str
    given: int
    refused: int
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class FestivalGiftView:
    """What a member got for a celebration."""

    id: UUID
    member_id: UUID
    points: int
    coupon_id: UUID | None
    message_id: UUID | None
    problem: str | None
    given_at: datetime


def festivals(session: Session) -> list[FestivalView]:
    """Return every festival: those that everybody knows, and the brand's own."""
    kept = {row.code: _view(row) for row in session.scalars(sa.select(Festival))}
    known = {code: FestivalView(code, plan, 0, enabled=False) for code, plan in PRESETS.items()}
    return list((known | kept).values())


def festival(session: Session, code: str) -> FestivalView:
    """Return one festival.

    Raises:
        FestivalUnknownError: there is none.
    """
    row = session.scalar(sa.select(Festival).where(Festival.code == code))
    if row is not None:
        return _view(row)
    if code not in PRESETS:
        raise FestivalUnknownError
    return FestivalView(code, PRESETS[code], 0, enabled=False)


def _view(row: Festival) -> FestivalView:
    return FestivalView(row.code, plan_of(row.document), row.version, enabled=row.looked_until is not None)


def versions(session: Session, code: str, *, limit: int = 20) -> list[FestivalVersionView]:
    """Return the versions of a festival, the one that holds first."""
    statement = sa.select(FestivalVersion).join(Festival, Festival.id == FestivalVersion.festival_id).where(Festival.code == code)
    rows = session.scalars(statement.order_by(FestivalVersion.version.desc()).limit(limit))
    return [FestivalVersionView(row.version, plan_of(row.document), row.created_at, row.created_by) for row in rows]


def runs(session: Session, *, code: str | None = None, limit: int = 50) -> list[RunView]:
    """Return celebrations, the newest first."""
    statement = sa.select(FestivalRun, Festival.code).join(Festival, Festival.id == FestivalRun.festival_id)
    if code is not None:
        statement = statement.where(Festival.code == code)
    rows = session.execute(statement.order_by(FestivalRun.started_at.desc(), FestivalRun.id.desc()).limit(limit))
    return [_run(row, of) for row, of in rows]


def run(session: Session, run_id: UUID) -> RunView | None:
    """Return one celebration, or None."""
    statement = sa.select(FestivalRun, Festival.code).join(Festival, Festival.id == FestivalRun.festival_id)
    row = session.execute(statement.where(FestivalRun.id == run_id)).one_or_none()
    return _run(row[0], row[1]) if row is not None else None


def _run(row: FestivalRun, code: str) -> RunView:
    name = plan_of(row.document).name
    return RunView(
        row.id, code, name, row.year, row.celebrated_on, row.version, row.state, row.given, row.refused, row.started_at, row.ended_at
    )


def running(session: Session) -> list[UUID]:
    """Return the celebrations under way, the oldest first."""
    statement = sa.select(FestivalRun.id).where(FestivalRun.state == "running")
    return list(session.scalars(statement.order_by(FestivalRun.celebrated_on, FestivalRun.id)))


def gifts(session: Session, run_id: UUID, request: PageRequest, *, only_problems: bool = False) -> Page[FestivalGiftView]:
    """Return a page of what members got for a celebration, newest first."""
    statement = sa.select(FestivalGift).where(FestivalGift.run_id == run_id)
    if only_problems:
        statement = statement.where(FestivalGift.problem.is_not(None))
    rows = session.scalars(keyset(statement, FestivalGift.given_at, FestivalGift.id, request)).all()
    return page_of(rows, request, lambda row: (row.given_at, row.id)).map(_gift)


def _gift(row: FestivalGift) -> FestivalGiftView:
    return FestivalGiftView(row.id, row.member_id, row.points, row.coupon_id, row.message_id, row.problem, row.given_at)
