"""Recall of what a file of coupons gave by mistake: asked for by one person, decided by a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from server.audit import service as audit
from server.coupons import issue_queries
from server.coupons.service import recalls
from server.staff import approvals
from server.staff.approvals import Wanted

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor, StaffActor
    from server.staff.approvals import ApprovalView

KIND = "coupons.recall"


def ask(session: Session, file_id: UUID, *, reason: str, actor: Actor, now: datetime) -> UUID:
    """Ask a second person to take back what a file gave; return the request's id.

    Raises:
        InvalidError: no reason.
        IssueFileNotFoundError: there is no such file.
        RecallStateError: it gave nothing, is still being issued, or is recalled already.
    """
    recall_id = recalls.open_recall(session, file_id, reason=reason, actor=actor, now=now)
    file, preview = issue_queries.find_file(session, file_id), issue_queries.recall_preview(session, file_id, now=now)
    payload = {"recall_id": str(recall_id), "name": file.name, "unused": preview.unused, "used": preview.used}
    wanted = Wanted(KIND, "coupon_issue_file", str(file_id), payload, f"{KIND}:{recall_id}")
    approval_id = approvals.ask(session, wanted, reason=reason, actor=actor, now=now)
    recalls.note_asked(session, recall_id, approval_id)
    return approval_id


def approved(session: Session, view: ApprovalView, *, actor: StaffActor, now: datetime) -> dict[str, Any]:
    """Let a recall that a second person approved run, piece by piece, by ``tasks.jobs.coupons``."""
    recall_id = UUID(view.payload["recall_id"])
    transfer_id = recalls.start_recall(session, recall_id, actor=actor, now=now)
    audit.record(
        session,
        actor=actor,
        action="coupon_issue.recall",
        subject_type="coupon_issue_file",
        subject_id=view.subject_id,
        after={"asked_by": view.asked_name, "unused": view.payload["unused"], "used": view.payload["used"]},
        reason=view.reason,
        now=now,
    )
    return {"recall_id": str(recall_id), "transfer_id": str(transfer_id)}
