"""Declaring the controls of points: who raises the limit of one person asks a second one, or the limit would be one person's own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.points import controls
from server.points.errors import ControlsChangedError
from server.staff import approvals
from server.staff.approvals import Wanted

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from server.kernel.actors import StaffActor
    from server.points.control_rules import Controls
    from server.staff.approvals import ApprovalView

KIND = "points.limit"


def declare(session: Session, wanted: Controls, *, once: str, reason: str, actor: StaffActor, now: datetime) -> UUID | None:
    """Declare new controls. All of it holds at once, only a limit that is raised waits for a second person.

    Arguments:
        session: of an open transaction.
        wanted: as they are to be.
        once: the form's own number; the same again asks for nothing more.
        reason: why the limit is raised; not needed otherwise.
        actor: who declares them.
        now: present instant.

    Returns:
        The request's id when somebody has to approve, else None.

    Raises:
        InvalidError: a number out of its bounds.
        ReasonMissingError: a limit is raised without a reason.
    """
    controls.check(wanted)
    held = controls.current(session)
    raised = wanted.adjust_limit > held.adjust_limit
    at_once = replace(wanted, adjust_limit=held.adjust_limit) if raised else wanted
    if at_once != held:
        controls.declare(session, at_once, actor=actor, now=now)
    if not raised:
        return None
    payload = {"adjust_limit": wanted.adjust_limit, "held": held.adjust_limit}
    asked = Wanted(KIND, "points_controls", "adjust_limit", payload, f"{KIND}:{once}"[:191])
    return approvals.ask(session, asked, reason=reason, actor=actor, now=now)


def approved(session: Session, view: ApprovalView, *, actor: StaffActor, now: datetime) -> dict[str, Any]:
    """Raise the limit as a second person approved.

    Raises:
        ControlsChangedError: the limit is not the one it was to be raised from.
    """
    held = controls.current(session)
    if held.adjust_limit != view.payload["held"]:
        raise ControlsChangedError
    controls.declare(session, replace(held, adjust_limit=view.payload["adjust_limit"]), actor=actor, now=now)
    return {"adjust_limit": view.payload["adjust_limit"]}
