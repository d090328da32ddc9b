"""Dry runs of drafts over past orders: asked for, carried on chunk by chunk, and their result. What is computed is ``flows.rule_lab``'s."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.db import update_where
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from server.kernel.outbox import publish
from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.points import drafts, events
from server.points.errors import DryRunUnderWayError, NothingToTryError
from server.points.models import PointsDryRun
from server.points.rules import CHECK_IN, EVENT
from server.transfers import service as transfers

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

TRANSFER_KIND = "points.dry_run"
MOST_DAYS = 400
# A run that has not ended by then never will: its job was given up.
_LONGEST = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class DryRunView:
    """A dry run: what was tried over which days, how far it is, and what came out.

    Arguments:
        drafts: the drafts as they were when it was asked for.
        chunk: how many chunks are done; whoever carries it on names the one it saw.
        progress: sums so far, and after which member to go on.
        result: see ``flows.rule_lab``.
    """

    id: UUID
    transfer_id: UUID
    state: str
    since: date
    until: date
    drafts: list[dict[str, Any]]
    chunk: int
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    asked_at: datetime
    asked_by: str
    finished_at: datetime | None


_COLUMNS = tuple(getattr(PointsDryRun, name) for name in DryRunView.__slots__)


def tried(session: Session, codes: Collection[str] = ()) -> list[drafts.DraftView]:
    """Return the drafts that say something about orders: those of the codes, or all."""
    found = [draft for draft in drafts.all_drafts(session) if draft.kind not in {CHECK_IN, EVENT}]
    return [draft for draft in found if not codes or draft.code in codes]


def ask(session: Session, since: date, until: date, *, codes: Collection[str] = (), actor: Actor, now: datetime) -> UUID:
    """Ask for a dry run of drafts over the orders of some days; a job does it.

    Arguments:
        session: of an open transaction.
        since: first business day.
        until: last business day.
        codes: of the drafts to try together; all of them when none is named.
        actor: who asks.
        now: present instant.

    Raises:
        InvalidError: days that make no range, or too long a one.
        NothingToTryError: no draft says anything about orders.
        DryRunUnderWayError: another one is running.
    """
    if until < since or (until - since).days >= MOST_DAYS:
        raise InvalidError(fields={"until": f"1–{MOST_DAYS}"})
    wanted = tried(session, codes)
    if not wanted:
        raise NothingToTryError
    for row in session.execute(sa.select(*_COLUMNS).where(PointsDryRun.state == "running")).all():
        if row.asked_at > now - _LONGEST:
            raise DryRunUnderWayError
        fail(session, DryRunView(*row), "stuck", now=now)
    run_id = uuid7()
    transfer_id = transfers.start(session, kind=TRANSFER_KIND, name=f"{since} – {until}", actor=actor, now=now)
    names = [draft.code for draft in wanted]
    kept = ("code", "kind", "name", "document", "enabled", "edits")
    session.execute(
        sa.insert(PointsDryRun).values(
            id=run_id,
            transfer_id=transfer_id,
            state="running",
            since=since,
            until=until,
            drafts=[{name: getattr(draft, name) for name in kept} for draft in wanted],
            asked_at=now,
            asked_by=actor.ref[:80],
        )
    )
    publish(
        session,
        events.DRY_RUN_ASKED,
        key=f"{events.DRY_RUN_ASKED}:{run_id}",
        aggregate_type="dry_run",
        aggregate_id=run_id,
        payload={"run_id": str(run_id)},
        now=now,
    )
    after = {"since": str(since), "until": str(until), "codes": names}
    audit.record(session, actor=actor, action="points_dry_run.ask", subject_type="points_dry_run", subject_id=run_id, after=after, now=now)
    return run_id


def advance(session: Session, run: DryRunView, progress: dict[str, Any], *, done: int, total: int | None, now: datetime) -> bool:
    """Write down a chunk; False when somebody else carried the run on meanwhile, or it ended.

    Arguments:
        session: of an open transaction.
        run: as it was before the chunk.
        progress: the sums with the chunk.
        done: members looked at in it.
        total: how many there are, when the chunk is the first.
        now: present instant.
    """
    statement = sa.update(PointsDryRun).where(PointsDryRun.id == run.id, PointsDryRun.state == "running", PointsDryRun.chunk == run.chunk)
    if not update_where(session, statement.values(chunk=PointsDryRun.chunk + 1, progress=progress)):
        return False
    transfers.advance(session, run.transfer_id, done=done, total=total, now=now)
    return True


def finish(session: Session, run: DryRunView, result: dict[str, Any], *, now: datetime) -> bool:
    """Write the result down; False when somebody else ended the run meanwhile."""
    statement = sa.update(PointsDryRun).where(PointsDryRun.id == run.id, PointsDryRun.state == "running", PointsDryRun.chunk == run.chunk)
    if not update_where(session, statement.values(state="done", result=result, progress=None, finished_at=now)):
        return False
    transfers.finish(session, run.transfer_id, now=now)
    return True


def fail(session: Session, run: DryRunView, failure: str, *, now: datetime) -> None:
    """Write down that a run broke off, so that another can be asked for."""
    statement = sa.update(PointsDryRun).where(PointsDryRun.id == run.id, PointsDryRun.state == "running")
    if update_where(session, statement.values(state="failed", progress=None, finished_at=now)):
        transfers.fail(session, run.transfer_id, failure=failure, now=now)


def find(session: Session, run_id: UUID) -> DryRunView | None:
    """Return a dry run, or None."""
    row = session.execute(sa.select(*_COLUMNS).where(PointsDryRun.id == run_id)).one_or_none()
    return None if row is None else DryRunView(*row)


def list_runs(session: Session, page: PageRequest) -> Page[DryRunView]:
    """Return dry runs, newest first."""
    rows = session.execute(keyset(sa.select(*_COLUMNS), PointsDryRun.asked_at, PointsDryRun.id, page)).all()
    return page_of([DryRunView(*row) for row in rows], page, lambda run: (run.asked_at, run.id))
