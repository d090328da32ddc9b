"""Adjusting a member's points by hand: alone up to the limit, above it with a second person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.kernel.amounts import Points
from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.kernel.source import Source
from server.members import bulk as members
from server.members.errors import MemberNotFoundError
from server.points import controls, queries, service
from server.points.control_rules import needs_second_person
from server.points.errors import InsufficientPointsError, SourceConflictError
from server.staff import approvals
from server.staff.approvals import Wanted

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from server.kernel.actors import StaffActor
    from server.points.service import EntryView
    from server.staff.approvals import ApprovalView

KIND = "points.adjust"


@dataclass(frozen=True, slots=True)
class Adjusted:
    """What became of an adjustment: the entry, or the request a second person has to decide."""

    entry: EntryView | None = None
    approval_id: UUID | None = None


def adjust(session: Session, member_id: UUID, points: Points, *, once: str, reason: str, actor: StaffActor, now: datetime) -> Adjusted:
    """Adjust a member's points, or ask for it when it goes beyond what one person may do alone.

    Arguments:
        session: of an open transaction.
        member_id: whose points.
        points: more than zero gives, less takes.
        once: the form's own number; the same again does nothing more.
        reason: in the staff's own words.
        actor: who does it.
        now: present instant.

    Raises:
        InvalidError, ReasonRequiredError: as ``points.service.adjust``.
        InsufficientPointsError: more is to be taken than is available.
        SourceConflictError: the same number with other content.
    """
    count = service.checked_adjustment(points, reason)
    source = Source(controls.ALONE, f"adjust:{once}"[:120])
    # Who asks is locked before whose points: two of their adjustments at once cannot both fit into one day's limit.
    approvals.lock_asker(session, actor)
    service.open_account(session, member_id, now=now)
    asked = approvals.of_key(session, f"{KIND}:{source}")
    payload = {"member_id": str(member_id), "points": count}
    if asked is not None:
        # Who changes the form after it was asked for asks for something else, which a repetition must not pass for.
        if (asked.payload, asked.reason) != (payload, approvals.kept_reason(reason)):
            raise SourceConflictError
        return Adjusted(approval_id=asked.id)
    if queries.entry_of_source(session, source) is None:
        today = controls.adjusted_alone(session, actor, business_date(now, zone_of(session)))
        if needs_second_person(count, today, controls.current(session).adjust_limit):
            available = queries.balance(session, member_id, now=now).available
            if available + count < 0:
                raise InsufficientPointsError(available=available)
            wanted = Wanted(KIND, "member", str(member_id), payload, f"{KIND}:{source}")
            return Adjusted(approval_id=approvals.ask(session, wanted, reason=reason, actor=actor, now=now))
    return Adjusted(entry=service.adjust(session, member_id, points, source=source, reason=reason, actor=actor, now=now))


def approved(session: Session, view: ApprovalView, *, actor: StaffActor, now: datetime) -> dict[str, Any]:
    """Make the adjustment that a second person approved; the entry names both.

    Raises:
        MemberNotFoundError: the member has left since.
        InsufficientPointsError: what is to be taken is not there any more.
    """
    wanted = UUID(view.payload["member_id"])
    member_id = members.standing(session, [wanted]).get(wanted)
    if member_id is None:
        raise MemberNotFoundError
    details = {"approval_id": str(view.id), "asked_by": view.asked_name, "approved_by": actor.name}
    entry = service.adjust(
        session,
        member_id,
        Points(view.payload["points"]),
        source=Source("approval", f"adjustment:{view.id}"),
        reason=view.reason,
        actor=actor,
        now=now,
        details=details,
    )
    return {"entry_id": str(entry.id)}
