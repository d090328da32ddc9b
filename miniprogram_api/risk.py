"""Asking risk control at the door of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from miniprogram_api.context import member_id, now
from miniprogram_api.problems import document_of
from server.risk import service
from server.risk.errors import RiskHeldError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.risk.rules import Way


def refused(session: Session, way: Way, *, address: str | None = None) -> tuple[int, dict[str, Any]] | None:
    """Return the answer of a command that risk control refuses, or None when it may go on.

    The refusal is on record, so it is answered and not raised: its transaction commits.

    Arguments:
        session: of the command's transaction.
        way: what the member wants.
        address: where goods would go.
    """
    if service.ask(session, member_id(), way, address=address, now=now()) is None:
        return None
    return _refusal()


def held(session: Session, way: Way) -> tuple[int, dict[str, Any]] | None:
    """Likewise for what is only counted afterwards: it is refused to members who are held already."""
    return None if service.ask_held(session, member_id(), way, now=now()) is None else _refusal()


def _refusal() -> tuple[int, dict[str, Any]]:
    error = RiskHeldError()
    return error.status, document_of(error)
