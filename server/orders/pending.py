"""Events that came before their order: they wait under the order's own number until it is taken in.

Whoever takes an order in applies what waits for it in the same transaction; an event and its order that are written at the very same
moment do not see each other, so ``orders.apply_pending`` looks again every minute.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.kernel.actors import Actor, PartnerActor, SystemActor
from server.kernel.db import insert_if_absent, one_of
from server.kernel.ids import uuid7
from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.orders import checks
from server.orders.drafts import OrderEvent, RefundLine
from server.orders.errors import EventConflictError
from server.orders.history import event_fingerprint
from server.orders.models import Order, OrderPendingEvent

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session

# An order that has not come after this long is not coming.
KEEP = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event that waits for its order."""

    id: UUID
    channel: str
    external_no: str
    event: OrderEvent
    actor: Actor
    received_at: datetime


def park(session: Session, channel: str, external_no: str, event: OrderEvent, *, actor: Actor, now: datetime) -> bool:
    """Keep an event until its order comes.

    Returns:
        False when the same event waits already.

    Raises:
        OrderInvalidError: the event, or the order's name, cannot be.
        EventConflictError: its id stands for other content.
    """
    checks.checked_event(event)
    checks.checked_name(channel, external_no)
    print_ = event_fingerprint(event)
    values = {
        "id": uuid7(),
        "channel": channel,
        "external_no": external_no,
        "event_id": event.event_id,
        "kind": event.kind,
        "fingerprint": print_,
        "content": _document(event),
        "actor_kind": actor.kind,
        "actor_ref": actor.ref[:64],
        "received_at": now,
    }
    if insert_if_absent(session, OrderPendingEvent, values):
        return True
    known = session.scalar(
        sa.select(OrderPendingEvent.fingerprint).where(
            OrderPendingEvent.channel == channel, OrderPendingEvent.external_no == external_no, OrderPendingEvent.event_id == event.event_id
        )
    )
    if known is not None and known != print_:
        raise EventConflictError
    return False


def take(session: Session, channel: str, external_no: str) -> list[PendingEvent]:
    """Remove and return what waits for an order, in the order it was reported; the caller holds the order's row."""
    rows = session.scalars(
        sa.select(OrderPendingEvent)
        .where(OrderPendingEvent.channel == channel, OrderPendingEvent.external_no == external_no)
        .order_by(OrderPendingEvent.received_at, OrderPendingEvent.id)
    ).all()
    if not rows:
        return []
    found = [_view(row) for row in rows]
    session.execute(sa.delete(OrderPendingEvent).where(OrderPendingEvent.id.in_([row.id for row in rows])))
    return found


def awaited(session: Session, channel: str, numbers: Collection[str]) -> set[str]:
    """Return those of many external numbers for which events wait."""
    rows = session.scalars(
        sa.select(OrderPendingEvent.external_no)
        .where(OrderPendingEvent.channel == channel, one_of(session, OrderPendingEvent.external_no, numbers))
        .distinct()
    )
    return set(rows)


def overtaken(session: Session, limit: int) -> list[tuple[str, str]]:
    """Return (channel, external number) of orders that are with us while events still wait for them."""
    rows = session.execute(
        sa.select(OrderPendingEvent.channel, OrderPendingEvent.external_no)
        .join(Order, sa.and_(Order.channel == OrderPendingEvent.channel, Order.external_no == OrderPendingEvent.external_no))
        .distinct()
        .order_by(OrderPendingEvent.channel, OrderPendingEvent.external_no)
        .limit(limit)
    )
    return [(channel, number) for channel, number in rows]


def forget(session: Session, now: datetime) -> int:
    """Remove events whose order has not come within ``KEEP``; return how many."""
    gone = session.execute(sa.delete(OrderPendingEvent).where(OrderPendingEvent.received_at < now - KEEP))
    return int(getattr(gone, "rowcount", 0))


def waiting(session: Session, page: PageRequest, *, channel: str | None = None) -> Page[PendingEvent]:
    """Return the events that wait, newest first, for staff."""
    statement = sa.select(OrderPendingEvent)
    if channel is not None:
        statement = statement.where(OrderPendingEvent.channel == channel)
    rows = session.scalars(keyset(statement, OrderPendingEvent.received_at, OrderPendingEvent.id, page)).all()
    return page_of(rows, page, lambda row: (row.received_at, row.id)).map(_view)


def _document(event: OrderEvent) -> dict[str, Any]:
    document = asdict(event)
    for name in ("occurred_at", "promised_at"):
        document[name] = document[name].isoformat() if document[name] is not None else None
    document["lines"] = [asdict(line) for line in event.lines]
    return document


def _view(row: OrderPendingEvent) -> PendingEvent:
    content = dict(row.content)
    for name in ("occurred_at", "promised_at"):
        content[name] = datetime.fromisoformat(content[name]) if content.get(name) else None
    content["lines"] = tuple(RefundLine(**line) for line in content["lines"])
    event = OrderEvent(**content)
    # Whoever reported it is named by the key alone: a partner's name may have changed since.
    actor: Actor = PartnerActor(UUID(row.actor_ref), "") if row.actor_kind == "partner" else SystemActor(row.actor_ref)
    return PendingEvent(row.id, row.channel, row.external_no, event, actor, row.received_at)
