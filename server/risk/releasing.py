"""Letting a member through whom the list or a rule refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.audit import service as audit
from server.kernel.db import update_where
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from server.kernel.text import N_
from server.risk import queries
from server.risk.errors import NothingHeldError, ReasonRequiredError, RefusalNotFoundError, RefusalReleasedError
from server.risk.models import RiskHold, RiskPass, RiskRefusal

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor
    from server.risk.queries import RefusalView


def release(session: Session, refusal_id: UUID, *, until: datetime | None, reason: str, actor: Actor, now: datetime) -> RefusalView:
    """Release a refusal: its member goes through, in what they were refused from, until an instant or for good.

    Arguments:
        session: of the edge's transaction.
        refusal_id: which one.
        until: how long; None for good.
        reason: in the staff's own words.
        actor: who releases.
        now: present instant.

    Raises:
        ReasonRequiredError: no reason.
        InvalidError: the end is over.
        RefusalNotFoundError: there is none.
        RefusalReleasedError: it was released before, maybe at this very moment.
    """
    _check(until, reason, now)
    if queries.find_refusal(session, refusal_id) is None:
        raise RefusalNotFoundError
    values = {"released_at": now, "released_by": _name(actor), "released_why": reason.strip()[:500]}
    open_ = sa.update(RiskRefusal).where(RiskRefusal.id == refusal_id, RiskRefusal.released_at.is_(None))
    if not update_where(session, open_.values(**values)):
        raise RefusalReleasedError
    found = queries.find_refusal(session, refusal_id)
    if found is None:
        raise RefusalNotFoundError
    _let_through(session, found.member_id, found.scope, until, actor=actor, now=now)
    audit.record(
        session,
        actor=actor,
        action="risk_refusal.release",
        subject_type="risk_refusal",
        subject_id=refusal_id,
        before={"way": found.way, "cause": found.cause},
        after={"scope": found.scope, "until": until.isoformat() if until else None},
        reason=reason,
        now=now,
    )
    return found


def release_member(
    session: Session, member_id: UUID, scope: str, *, until: datetime | None, reason: str, actor: Actor, now: datetime
) -> None:
    """Let a member through who is held in a scope; see ``release``.

    Raises:
        ReasonRequiredError: no reason.
        InvalidError: the end is over.
        NothingHeldError: nothing holds the member there.
    """
    _check(until, reason, now)
    if not _let_through(session, member_id, scope, until, actor=actor, now=now):
        raise NothingHeldError
    audit.record(
        session,
        actor=actor,
        action="risk_hold.release",
        subject_type="member",
        subject_id=member_id,
        after={"scope": scope, "until": until.isoformat() if until else None},
        reason=reason,
        now=now,
    )


def _let_through(session: Session, member_id: UUID, scope: str, until: datetime | None, *, actor: Actor, now: datetime) -> int:
    gone = session.execute(
        sa.delete(RiskHold).where(RiskHold.member_id == member_id, RiskHold.scope == scope).execution_options(synchronize_session=False)
    )
    values = {"id": uuid7(), "member_id": member_id, "scope": scope, "until": until, "created_at": now, "created_by": _name(actor)}
    session.execute(sa.insert(RiskPass).values(**values))
    return int(getattr(gone, "rowcount", 0))


def _check(until: datetime | None, reason: str, now: datetime) -> None:
    if not reason.strip():
        raise ReasonRequiredError(fields={"reason": ReasonRequiredError.message})
    if until is not None and until <= now:
        raise InvalidError(fields={"until": N_("This moment is over.")})


def _name(actor: Actor) -> str:
    return str(getattr(actor, "name", "") or actor.ref)[:120]
