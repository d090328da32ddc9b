"""The outbox: news written in the same transaction as the fact it tells.

One ``outbox_events`` row for each fact; the relay (``tasks/relay.py``) expands it into one ``outbox_deliveries`` row
for each subscription, and a worker marks a delivery done in the commit that holds its effect. The recipe and the
faults it answers: the database is the queue, RQ is the doorbell.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from server.kernel.db import Base, absent, insert_if_absent, table_args
from server.kernel.ids import uuid7

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class OutboxEvent(Base):
    """A fact that happened. ``key`` is the business fact, so the same fact is told once."""

    __tablename__ = "outbox_events"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(191), unique=True)
    topic: Mapped[str] = mapped_column(sa.String(64))
    aggregate_type: Mapped[str] = mapped_column(sa.String(32))
    aggregate_id: Mapped[UUID]
    version: Mapped[int] = mapped_column(default=0)
    payload: Mapped[dict[str, Any]]
    occurred_at: Mapped[datetime]
    expanded_at: Mapped[datetime | None]

    __table_args__ = table_args(sa.Index("ix_outbox_events_waiting", "expanded_at", "occurred_at"))


class OutboxDelivery(Base):
    """One subscription's share of an event: pending → dispatched → done, or dead after too many attempts.

    A handler that calls an outside system goes through ``sending`` and may end ``uncertain``.
    """

    __tablename__ = "outbox_deliveries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    event_id: Mapped[UUID] = mapped_column(sa.ForeignKey("outbox_events.id", ondelete="CASCADE"))
    subscription: Mapped[str] = mapped_column(sa.String(96))
    state: Mapped[str] = mapped_column(sa.String(16), default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    available_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(sa.String(500))

    __table_args__ = table_args(
        sa.UniqueConstraint("event_id", "subscription"),
        sa.CheckConstraint("state IN ('pending','dispatched','sending','done','uncertain','dead')", name="state_known"),
        sa.Index("ix_outbox_deliveries_due", "state", "available_at"),
        sa.Index("ix_outbox_deliveries_lease", "state", "lease_until"),
    )


@dataclass(frozen=True, slots=True)
class Event:
    """An event as a handler sees it."""

    id: UUID
    key: str
    topic: str
    aggregate_type: str
    aggregate_id: UUID
    version: int
    payload: dict[str, Any]
    occurred_at: datetime


def publish(
    session: Session,
    topic: str,
    *,
    key: str,
    aggregate_type: str,
    aggregate_id: UUID,
    payload: dict[str, Any],
    now: datetime,
    version: int = 0,
    last: bool = False,
) -> bool:
    """Write an event with the business rows of this transaction.

    Arguments:
        session: of the transaction that holds the fact.
        topic: ``<domain>.<past participle>``.
        key: the business fact, at most 191 characters (``points.accrued:{entry_id}``); a second event of that key is not written.
        aggregate_type: what kind of thing it happened to (``member``, ``order``…).
        aggregate_id: which one.
        payload: ids and small facts only, no personal data: handlers read the present state.
        now: when it happened.
        version: of the aggregate, where it has one.
        last: write it in one trip with the commit; for callers who need not know whether it was told before.

    Returns:
        True when written (or to be written last), False when this fact had been told before.
    """
    row = {
        "id": uuid7(),
        "key": key,
        "topic": topic,
        "aggregate_type": aggregate_type,
        "aggregate_id": aggregate_id,
        "version": version,
        "payload": payload,
        "occurred_at": now,
        "expanded_at": None,
    }
    if last:
        statement, values = absent(session, OutboxEvent, row)
        statement.run_last(session, values)
        return True
    return insert_if_absent(session, OutboxEvent, row)
