"""Taking back what a file gave by mistake: unused coupons are voided with notice to their members, used ones stay and are listed.

A recall is asked for, decided by a second person (``flows.coupon_recall``), and done by a job in the order of the file's lines: broken
off, it goes on at the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from server.coupons import events
from server.coupons.errors import IssueFileNotFoundError, RecallStateError
from server.coupons.gift_queries import successors
from server.coupons.models import Coupon, CouponIssueFile, CouponIssueRow, CouponRecall, CouponTransition
from server.coupons.queries import BATCH_NAMESPACE
from server.coupons.rules.states import CouponState
from server.coupons.service.giving import take_back
from server.coupons.service.steps import release_budget, release_stale_lock
from server.kernel.actors import SystemActor
from server.kernel.db import insert_rows, one_of, update_where
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent, publish
from server.kernel.text import N_
from server.transfers import service as transfers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

TRANSFER_KIND = "coupons.recall"
_PIECE = 500
_ACTOR = SystemActor("coupons.recall")


def open_recall(session: Session, file_id: UUID, *, reason: str, actor: Actor, now: datetime) -> UUID:
    """Write down that a file's coupons are to be taken back; nothing happens to them until ``start_recall``.

    Raises:
        InvalidError: no reason.
        IssueFileNotFoundError: there is no such file.
        RecallStateError: it gave nothing, is still being issued, or is recalled already.
    """
    why = reason.strip()[:300]
    if not why:
        raise InvalidError(fields={"reason": N_("Please give a reason.")})
    held = session.execute(
        sa.select(CouponIssueFile.state, CouponIssueFile.issued).where(CouponIssueFile.id == file_id).with_for_update()
    ).one_or_none()
    if held is None:
        raise IssueFileNotFoundError
    begun = session.scalar(sa.select(CouponRecall.id).where(CouponRecall.begun_slot == file_id))
    if held.state != "done" or not held.issued or begun is not None:
        raise RecallStateError
    recall_id = uuid7()
    values: dict[str, Any] = {
        "id": recall_id,
        "file_id": file_id,
        "begun_slot": None,
        "state": "asked",
        "reason": why,
        "done_line": 0,
        "voided": 0,
        "kept": 0,
        "approval_id": None,
        "transfer_id": None,
        "created_at": now,
        "created_by": str(getattr(actor, "name", "") or actor.ref)[:120],
        "actor_kind": actor.kind,
        "actor_ref": actor.ref[:64],
        "finished_at": None,
    }
    session.execute(sa.insert(CouponRecall), [values])
    return recall_id


def note_asked(session: Session, recall_id: UUID, approval_id: UUID) -> None:
    """Tie a recall to the request that decides on it."""
    update_where(session, sa.update(CouponRecall).where(CouponRecall.id == recall_id).values(approval_id=approval_id))


def start_recall(session: Session, recall_id: UUID, *, actor: Actor, now: datetime) -> UUID:
    """Let a recall that was approved run; return the transfer that shows how far it is.

    Raises:
        RecallStateError: it was started before, or another recall of its file was.
    """
    held = _locked(session, recall_id)
    file = session.execute(sa.select(CouponIssueFile.name, CouponIssueFile.issued).where(CouponIssueFile.id == held.file_id)).one()
    begun = session.scalar(sa.select(CouponRecall.id).where(CouponRecall.begun_slot == held.file_id))
    if held.state != "asked" or begun is not None:
        raise RecallStateError
    transfer_id = transfers.start(session, kind=TRANSFER_KIND, name=file.name, actor=actor, total=file.issued, now=now)
    values = {"state": "running", "begun_slot": held.file_id, "transfer_id": transfer_id}
    update_where(session, sa.update(CouponRecall).where(CouponRecall.id == recall_id).values(**values))
    publish(
        session,
        events.RECALL_WANTED,
        key=f"{events.RECALL_WANTED}:{recall_id}",
        aggregate_type="coupon_recall",
        aggregate_id=recall_id,
        payload={"recall_id": str(recall_id)},
        now=now,
    )
    return transfer_id


def recall_piece(session: Session, recall_id: UUID, now: datetime, limit: int = _PIECE) -> int:
    """Take back the coupons of the next lines; return how many lines were looked at, 0 when all are done.

    Raises:
        RecallStateError: there is no such recall.
    """
    held = _locked(session, recall_id)
    if held.state != "running":
        return 0
    lines = session.scalars(
        sa.select(CouponIssueRow.line)
        .where(CouponIssueRow.file_id == held.file_id, CouponIssueRow.line > held.done_line)
        .order_by(CouponIssueRow.line)
        .limit(limit)
    ).all()
    if not lines:
        transfers.finish(session, held.transfer_id, now=now)
        values: dict[str, Any] = {"state": "done", "finished_at": now}
    else:
        keys = [f"file:{held.file_id.hex}:{line}" for line in lines]
        found = sa.select(Coupon).where(Coupon.source_namespace == BATCH_NAMESPACE, one_of(session, Coupon.source_key, keys))
        coupons = _as_they_are_now(session, found)
        voided = _void(session, coupons, held, now)
        transfers.advance(session, held.transfer_id, done=voided, errors=len(coupons) - voided, now=now)
        values = {"done_line": lines[-1], "voided": held.voided + voided, "kept": held.kept + len(coupons) - voided}
    update_where(session, sa.update(CouponRecall).where(CouponRecall.id == recall_id).values(**values))
    return len(lines)


def _as_they_are_now(session: Session, found: sa.Select[Any]) -> list[Coupon]:
    """Lock some coupons; in the place of one that was given to a friend, the one the friend has."""
    coupons = list(session.scalars(found.order_by(Coupon.id).with_for_update().execution_options(populate_existing=True)))
    passed_on = successors(session, [row.id for row in coupons if row.state == CouponState.GIVEN])
    if not passed_on:
        return coupons
    theirs = sa.select(Coupon).where(one_of(session, Coupon.id, list(passed_on.values()))).order_by(Coupon.id)
    kept = [row for row in coupons if row.id not in passed_on]
    return [*kept, *session.scalars(theirs.with_for_update().execution_options(populate_existing=True))]


def _void(session: Session, coupons: Sequence[Coupon], held: sa.Row[Any], now: datetime) -> int:
    """Void those that nobody used, each table written once; return how many."""
    for row in coupons:
        release_stale_lock(session, row, actor=_ACTOR, now=now)
        take_back(session, row, actor=_ACTOR, now=now)
    unused = [row for row in coupons if row.state == CouponState.ISSUED and row.valid_until > now]
    if not unused:
        return 0
    # Their rows are locked, so what was read is what is changed.
    update_where(
        session,
        sa.update(Coupon)
        .where(one_of(session, Coupon.id, [row.id for row in unused]))
        .values(state=CouponState.VOIDED.value, version=Coupon.version + 1),
    )
    insert_rows(session, CouponTransition, [_transition(row, held, now) for row in unused])
    insert_rows(session, OutboxEvent, [_news(row, now) for row in unused])
    release_budget(session, unused[0].template_id, sum(row.committed_fen for row in unused))
    return len(unused)


def _transition(row: Coupon, held: sa.Row[Any], now: datetime) -> dict[str, Any]:
    nothing = dict.fromkeys(("channel", "external_no", "refund_id", "discount_fen"))
    return nothing | {
        "id": uuid7(),
        "coupon_id": row.id,
        "event": "void",
        "from_state": CouponState.ISSUED.value,
        "to_state": CouponState.VOIDED.value,
        "reason": held.reason,
        "actor_kind": held.actor_kind,
        "actor_ref": held.actor_ref,
        "occurred_at": now,
    }


def _news(row: Coupon, now: datetime) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "key": f"{events.RECALLED}:{row.id}",
        "topic": events.RECALLED,
        "aggregate_type": "coupon",
        "aggregate_id": row.id,
        "version": row.version + 1,
        "payload": {"coupon_id": str(row.id), "member_id": str(row.member_id)},
        "occurred_at": now,
        "expanded_at": None,
    }


def _locked(session: Session, recall_id: UUID) -> sa.Row[Any]:
    table: Any = CouponRecall.__table__
    row = session.execute(sa.select(table).where(table.c.id == recall_id).with_for_update()).one_or_none()
    if row is None:
        raise RecallStateError
    return row
