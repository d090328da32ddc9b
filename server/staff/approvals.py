"""Four eyes: what one person asks for and a second one decides.

A request holds what is asked (``kind`` and ``payload``) as it was; nothing of it changes until it is decided once: approved, refused,
withdrawn by who asked, or expired. What an approval does is none of this module's business: ``flows.approvals`` knows an executor for each
kind and runs it in the transaction that approves.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.actors import StaffActor, SystemActor
from server.kernel.db import insert_if_absent, update_where
from server.kernel.ids import uuid7
from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.staff.errors import (
    ApprovalClosedError,
    ApprovalNotFoundError,
    NotOwnRequestError,
    OwnRequestError,
    ReasonMissingError,
)
from server.staff.models import StaffAccount, StaffApproval

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

STATES = ("pending", "approved", "refused", "withdrawn", "expired")
# A request that nobody decides within a week is asked again, or was not needed.
LIFE = timedelta(days=7)
_REASON_CHARS = 255


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for.

    Arguments:
        kind: what sort of thing (``points.adjust``); ``flows.approvals`` knows how it is done.
        subject_type, subject_id: whom or what it is about, for the pages that show it.
        payload: everything its executor needs; small facts and ids, no personal data.
        key: the request itself, at most 191 characters: asked again under the same key, it is the same request.
    """

    kind: str
    subject_type: str
    subject_id: str
    payload: dict[str, Any]
    key: str


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """A request as it is read; ``asked_ref`` and ``decided_ref`` are the actors' own."""

    id: UUID
    key: str
    kind: str
    subject_type: str
    subject_id: str
    payload: dict[str, Any]
    reason: str
    state: str
    asked_kind: str
    asked_ref: str
    asked_name: str
    asked_at: datetime
    expires_at: datetime
    decided_ref: str | None
    decided_name: str | None
    decided_at: datetime | None
    decision_reason: str | None
    outcome: dict[str, Any] | None


_COLUMNS = tuple(getattr(StaffApproval, name) for name in ApprovalView.__slots__)


def ask(session: Session, wanted: Wanted, *, reason: str, actor: Actor, now: datetime) -> UUID:
    """Ask for something that a second person has to decide.

    Arguments:
        session: of an open transaction.
        wanted: what.
        reason: why, in the asker's own words.
        actor: who asks.
        now: present instant.

    Returns:
        The request's id, of the first one when it is a repetition.

    Raises:
        ReasonMissingError: an empty reason.
    """
    if not reason.strip():
        raise ReasonMissingError(fields={"reason": ReasonMissingError.message})
    approval_id = uuid7()
    values = {
        "id": approval_id,
        "key": wanted.key,
        "kind": wanted.kind,
        "subject_type": wanted.subject_type,
        "subject_id": wanted.subject_id,
        "payload": wanted.payload,
        "reason": kept_reason(reason),
        "state": "pending",
        "asked_kind": actor.kind,
        "asked_ref": actor.ref[:80],
        "asked_name": str(getattr(actor, "name", "") or actor.ref)[:120],
        "asked_at": now,
        "expires_at": now + LIFE,
        "decided_kind": None,
        "decided_ref": None,
        "decided_name": None,
        "decided_at": None,
        "decision_reason": None,
        "outcome": None,
    }
    if not insert_if_absent(session, StaffApproval, values):
        known = of_key(session, wanted.key)
        assert known is not None  # noqa: S101 - its key stood in the way of the insert, and requests are never removed
        return known.id
    audit.record(
        session,
        actor=actor,
        action="approval.ask",
        subject_type="approval",
        subject_id=approval_id,
        after={"kind": wanted.kind, "subject": f"{wanted.subject_type}:{wanted.subject_id}", **wanted.payload},
        reason=reason.strip(),
        now=now,
    )
    return approval_id


def kept_reason(reason: str) -> str:
    """Return a reason as a request keeps it."""
    return reason.strip()[:_REASON_CHARS]


def approve(session: Session, approval_id: UUID, *, reason: str | None, actor: StaffActor, now: datetime) -> ApprovalView:
    """Decide for a request, once; the caller does what it asks in the same transaction.

    Raises:
        ApprovalNotFoundError, OwnRequestError.
        ApprovalClosedError: it was decided before, or its time is over.
    """
    return _decide(session, approval_id, "approved", reason, actor, now)


def refuse(session: Session, approval_id: UUID, *, reason: str, actor: StaffActor, now: datetime) -> ApprovalView:
    """Decide against a request, once.

    Raises:
        ReasonMissingError: an empty reason; who asked wants to know why.
        ApprovalNotFoundError, OwnRequestError, ApprovalClosedError.
    """
    if not reason.strip():
        raise ReasonMissingError(fields={"reason": ReasonMissingError.message})
    return _decide(session, approval_id, "refused", reason, actor, now)


def withdraw(session: Session, approval_id: UUID, *, actor: Actor, now: datetime) -> None:
    """Take one's own request back.

    Raises:
        ApprovalNotFoundError, NotOwnRequestError, ApprovalClosedError.
    """
    view = _known(session, approval_id)
    if (view.asked_kind, view.asked_ref) != (actor.kind, actor.ref[:80]):
        raise NotOwnRequestError
    _close(session, view, "withdrawn", None, actor, now)


def note_outcome(session: Session, approval_id: UUID, outcome: dict[str, Any]) -> None:
    """Write down what an approval led to; called once, in the transaction that approved."""
    update_where(session, sa.update(StaffApproval).where(StaffApproval.id == approval_id).values(outcome=outcome))


def expire_due(session: Session, now: datetime, limit: int = 500) -> int:
    """Close up to ``limit`` requests that nobody decided in time; return how many."""
    due = sa.select(*_COLUMNS).where(StaffApproval.state == "pending", StaffApproval.expires_at <= now)
    found = session.execute(due.order_by(StaffApproval.expires_at, StaffApproval.id).limit(limit)).all()
    for row in found:
        try:
            _close(session, ApprovalView(*row), "expired", None, SystemActor("approvals.expire"), now)
        except ApprovalClosedError:  # decided meanwhile
            continue
    return len(found)


def lock_asker(session: Session, actor: Actor) -> None:
    """Lock the account of who asks until the transaction ends, so that what they do in one day is counted one after the other."""
    if isinstance(actor, StaffActor):
        session.execute(sa.select(StaffAccount.id).where(StaffAccount.id == actor.staff_id).with_for_update())


def find(session: Session, approval_id: UUID) -> ApprovalView | None:
    """Return one request, or None."""
    row = session.execute(sa.select(*_COLUMNS).where(StaffApproval.id == approval_id)).one_or_none()
    return None if row is None else ApprovalView(*row)


def of_key(session: Session, key: str) -> ApprovalView | None:
    """Return the request of a key, or None."""
    row = session.execute(sa.select(*_COLUMNS).where(StaffApproval.key == key)).one_or_none()
    return None if row is None else ApprovalView(*row)


def pending_about(session: Session, subject_type: str, subject_id: UUID | str, *, limit: int = 20) -> list[ApprovalView]:
    """Return what is asked for about something and not decided yet, oldest first."""
    statement = sa.select(*_COLUMNS).where(
        StaffApproval.subject_type == subject_type, StaffApproval.subject_id == str(subject_id), StaffApproval.state == "pending"
    )
    return [ApprovalView(*row) for row in session.execute(statement.order_by(StaffApproval.asked_at, StaffApproval.id).limit(limit))]


def search(
    session: Session, page: PageRequest, *, kinds: Collection[str] = (), asked_by: Actor | None = None, state: str | None = None
) -> Page[ApprovalView]:
    """Return the requests somebody may see, newest first.

    Arguments:
        session: only reads.
        page: which page.
        kinds: those they may decide.
        asked_by: whose own requests are shown besides.
        state: only those in this state.
    """
    mine = sa.and_(StaffApproval.asked_kind == asked_by.kind, StaffApproval.asked_ref == asked_by.ref[:80]) if asked_by else sa.false()
    statement = sa.select(*_COLUMNS).where(sa.or_(StaffApproval.kind.in_(list(kinds)), mine))
    if state is not None:
        statement = statement.where(StaffApproval.state == state)
    rows = session.execute(keyset(statement, StaffApproval.asked_at, StaffApproval.id, page)).all()
    return page_of([ApprovalView(*row) for row in rows], page, lambda view: (view.asked_at, view.id))


def _known(session: Session, approval_id: UUID) -> ApprovalView:
    view = find(session, approval_id)
    if view is None:
        raise ApprovalNotFoundError
    return view


def _decide(session: Session, approval_id: UUID, state: str, reason: str | None, actor: StaffActor, now: datetime) -> ApprovalView:
    view = _known(session, approval_id)
    if view.asked_ref == actor.ref[:80]:
        raise OwnRequestError
    if view.expires_at <= now:
        raise ApprovalClosedError
    _close(session, view, state, reason, actor, now)
    return view


def _close(session: Session, view: ApprovalView, state: str, reason: str | None, actor: Actor, now: datetime) -> None:
    """Take a request from pending to its end; whoever comes second finds it closed."""
    words = reason.strip()[:_REASON_CHARS] if reason and reason.strip() else None
    values = {
        "state": state,
        "decided_kind": actor.kind,
        "decided_ref": actor.ref[:80],
        "decided_name": str(getattr(actor, "name", "") or actor.ref)[:120],
        "decided_at": now,
        "decision_reason": words,
    }
    pending = sa.update(StaffApproval).where(StaffApproval.id == view.id, StaffApproval.state == "pending")
    if not update_where(session, pending.values(**values)):
        raise ApprovalClosedError
    audit.record(
        session,
        actor=actor,
        action=f"approval.{_STEPS[state]}",
        subject_type="approval",
        subject_id=view.id,
        before={"state": "pending"},
        after={"state": state, "kind": view.kind, "subject": f"{view.subject_type}:{view.subject_id}", "asked_by": view.asked_name},
        reason=words,
        now=now,
    )


_STEPS = {"approved": "approve", "refused": "refuse", "withdrawn": "withdraw", "expired": "expire"}
