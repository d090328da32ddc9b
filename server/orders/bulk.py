"""Taking in many plain sales at once: the rows that ``take_in`` writes one by one, each table written once for a chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.catalogue import queries as catalogue
from server.kernel.clock import business_date
from server.kernel.db import insert_rows, one_of, zone_of
from server.kernel.ids import dated_number
from server.orders import intake, pending, rules
from server.orders.checks import checked_draft
from server.orders.drafts import OrderDraft
from server.orders.errors import OrderConflictError
from server.orders.intake import fingerprint, resolve_member
from server.orders.models import Order, OrderEventRow, OrderException, OrderLine

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

__all__ = [
    "Rows",
    "awaited",
    "check",
    "fingerprint",
    "known_fingerprints",
    "resolve_member",
    "rows_of",
    "same_or_conflict",
    "store_known",
    "write",
]


@dataclass(slots=True)
class Rows:
    """All rows of one new order, not written yet."""

    order: dict[str, Any]
    lines: list[dict[str, Any]]
    events: list[dict[str, Any]]
    exceptions: list[dict[str, Any]]

    def note_points(self, total: int, by_line: Sequence[int], trace: dict[str, Any] | None = None) -> None:
        """Put what the order earned on it and its lines; the trace only when there is no accrual to keep it."""
        self.order.update(points_worked_out=True, points_earned=total, points_trace=trace)
        for line, count in zip(self.lines, by_line, strict=True):
            line["points"] = count


def check(draft: OrderDraft) -> None:
    """Look whether a draft can be a sale at all.

    Raises:
        OrderInvalidError: naming the fields.
    """
    checked_draft(draft)


def _by_channel(drafts: Sequence[OrderDraft]) -> dict[str, list[str]]:
    by_channel: dict[str, list[str]] = {}
    for draft in drafts:
        by_channel.setdefault(draft.channel, []).append(draft.external_no)
    return by_channel


def known_fingerprints(session: Session, drafts: Sequence[OrderDraft]) -> dict[tuple[str, str], str]:
    """Return what those of the drafts that are with us already looked like, by (channel, external number)."""
    known: dict[tuple[str, str], str] = {}
    for channel, numbers in _by_channel(drafts).items():
        rows = session.execute(
            sa.select(Order.external_no, Order.fingerprint).where(Order.channel == channel, one_of(session, Order.external_no, numbers))
        )
        known.update({(channel, row.external_no): row.fingerprint for row in rows})
    return known


def awaited(session: Session, drafts: Sequence[OrderDraft]) -> set[tuple[str, str]]:
    """Return the (channel, external number) of those drafts for which events wait."""
    return {(channel, number) for channel, numbers in _by_channel(drafts).items() for number in pending.awaited(session, channel, numbers)}


def same_or_conflict(session: Session, draft: OrderDraft, before: str) -> None:
    """Look whether a draft says what was taken in under its number before.

    Raises:
        OrderConflictError: it says something else.
    """
    if fingerprint(session, draft) != before:
        raise OrderConflictError


def store_known(session: Session, code: str) -> bool:
    """Tell whether the catalogue has a store."""
    return catalogue.find_store(session, code) is not None


def rows_of(
    session: Session, draft: OrderDraft, print_: str, *, member_id: UUID | None, findings: list[rules.Finding], actor: Actor, now: datetime
) -> Rows:
    """Return the rows a new sale becomes.

    Arguments:
        session: of the chunk's transaction; nothing is written.
        draft: a sale that was checked and is new.
        print_: its fingerprint.
        member_id: who bought.
        findings: what is wrong with it.
        actor: who reports it.
        now: present instant.
    """
    order = intake.order_values(session, draft, member_id=member_id, print_=print_, findings=findings, now=now)
    order["order_no"] = dated_number(business_date(draft.placed_at, zone_of(session)).strftime("%y%m%d"))
    order_id: UUID = order["id"]
    return Rows(
        order,
        intake.line_values(order_id, draft),
        intake.event_values(order_id, draft, actor=actor, now=now),
        intake.exception_values(order_id, findings, now),
    )


def write(session: Session, rows: Sequence[Rows]) -> None:
    """Write the rows of a chunk, each table once.

    Raises:
        IntegrityError: another transaction took one of the sales in meanwhile; the chunk is done again then.
    """
    insert_rows(session, Order, [row.order for row in rows])
    insert_rows(session, OrderLine, [line for row in rows for line in row.lines])
    insert_rows(session, OrderEventRow, [event for row in rows for event in row.events])
    insert_rows(session, OrderException, [exception for row in rows for exception in row.exceptions])
