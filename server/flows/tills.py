"""What a till captured while it was offline and tells later: accruals by card number, as of when they happened."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from server.cards import queries as cards
from server.kernel.amounts import Points
from server.members import queries as members
from server.members.errors import MemberNotFoundError
from server.orders import late, policies
from server.points import queries as points
from server.points import service as points_service

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor
    from server.kernel.source import Source


def accrue(
    session: Session,
    card_no: str,
    count: Points,
    *,
    source: Source,
    reason: str,
    available_at: datetime | None,
    captured_at: datetime | None,
    actor: Actor,
    now: datetime,
) -> points_service.EntryView:
    """Give points to the member behind a card number.

    Arguments:
        session: of the edge's transaction.
        card_no: a present, merged or legacy number.
        count: how many.
        source: the till's own name of the fact; the same source again returns the same entry, however late.
        reason: shown to the member.
        available_at: pending until then; at once when None.
        captured_at: when it happened at the till, for one that was offline: its business day is the entry's.
        actor: the till.
        now: present instant.

    Raises:
        MemberNotFoundError: nobody has this card number.
        CapturedInFutureError, CapturedTooLongAgoError: not captured within the time that is allowed.
        SourceConflictError: the source made an entry of other content.
    """
    member_id = cards.by_card_no(session, card_no)
    if member_id is None:
        raise MemberNotFoundError
    before = points.member_of_source(session, source)
    if before is not None and members.resolve(session, before) == member_id:
        # Told before the card's member was merged: the entry is still the same one.
        member_id = before
    if before is None and captured_at is not None:
        late.check_captured(captured_at, now, offline_days=policies.current(session).offline_days)
    as_of = None if captured_at is None else min(captured_at, now)
    return points_service.accrue(
        session, member_id, count, source=source, reason=reason, actor=actor, now=now, available_at=available_at, as_of=as_of
    )
