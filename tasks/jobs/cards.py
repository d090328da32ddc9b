"""Gives every member a card, also those who were enrolled by a till, an import or an order and have never logged in."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from server.cards import service as cards
from server.members import queries as members

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.kernel.outbox import Event


def on_member_enrolled(session: Session, event: Event, core: Core) -> None:
    """Issue the card of a new member; one who has it keeps it, and one merged away meanwhile gets none."""
    member_id = UUID(str(event.payload["member_id"]))
    if members.resolve(session, member_id) == member_id:
        cards.issue(session, member_id, now=core.clock.now())
