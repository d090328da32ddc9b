"""What an approval does, by kind. Approving and doing are one transaction: nothing is approved and not done, or done twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.flows import adjustments, controls, coupon_recall, opening
from server.kernel.errors import ForbiddenError
from server.kernel.text import N_
from server.staff import approvals
from server.staff.errors import ApprovalNotFoundError
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.kernel.actors import StaffActor


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request.

    Arguments:
        label: English msgid.
        permission: what deciding it needs.
        run: does it: ``run(session, view, actor=…, now=…)`` returns what came of it, ids and small facts.
    """

    label: str
    permission: Permission
    run: Callable[..., dict[str, Any]]


# A domain that wants four eyes asks with ``staff.approvals.ask`` and adds its kind here.
KINDS: dict[str, Kind] = {
    adjustments.KIND: Kind(N_("Adjustment of points"), Permission.POINTS_APPROVE, adjustments.approved),
    opening.KIND: Kind(N_("Opening balances"), Permission.POINTS_APPROVE, opening.approved),
    controls.KIND: Kind(N_("Higher limit of one person"), Permission.POINTS_APPROVE, controls.approved),
    coupon_recall.KIND: Kind(N_("Recall of coupons"), Permission.POINTS_APPROVE, coupon_recall.approved),
}


def decidable(actor: StaffActor) -> list[str]:
    """Return the kinds of requests that somebody may decide."""
    return [code for code, kind in KINDS.items() if str(kind.permission) in actor.permissions]


def approve(session: Session, approval_id: UUID, *, reason: str | None, actor: StaffActor, now: datetime) -> dict[str, Any]:
    """Approve a request and do what it asks.

    Returns:
        What came of it.

    Raises:
        ApprovalNotFoundError: there is no such request.
        ForbiddenError: the actor lacks the permission of its kind; OwnRequestError when it is their own.
        ApprovalClosedError: it was decided before, or its time is over.
        DomainError: whatever refuses to be done now; the request stays open.
    """
    kind = _kind(session, approval_id, actor)
    view = approvals.approve(session, approval_id, reason=reason, actor=actor, now=now)
    outcome = kind.run(session, view, actor=actor, now=now)
    approvals.note_outcome(session, approval_id, outcome)
    return outcome


def refuse(session: Session, approval_id: UUID, *, reason: str, actor: StaffActor, now: datetime) -> None:
    """Refuse a request; who asked sees the reason.

    Raises:
        ApprovalNotFoundError, ForbiddenError, ApprovalClosedError.
        ReasonMissingError: an empty reason.
    """
    _kind(session, approval_id, actor)
    approvals.refuse(session, approval_id, reason=reason, actor=actor, now=now)


def _kind(session: Session, approval_id: UUID, actor: StaffActor) -> Kind:
    view = approvals.find(session, approval_id)
    if view is None or view.kind not in KINDS:
        raise ApprovalNotFoundError
    kind = KINDS[view.kind]
    if str(kind.permission) not in actor.permissions:
        raise ForbiddenError
    return kind
