"""What happens to an order after intake: reported events, parcels and their tracking; state is worked out anew from all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.kernel.db import insert_if_absent, zone_of
from server.kernel.ids import uuid7
from server.logistics.gateway import RANK, ParcelEvent, parcel_state
from server.orders import checks, events, queries, rules
from server.orders.drafts import OrderEvent
from server.orders.errors import EventConflictError, OrderInvalidError, OrderNotFoundError
from server.orders.intake import announce
from server.orders.models import Order, OrderEventRow, OrderException, OrderLine, OrderRefund, OrderRefundPart, Shipment, TrackingEvent

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

OWN_PREFIX = "own:"
_DESCRIPTION_CHARS = 500


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event that is with us.

    Arguments:
        order_id: whose.
        order_no: the number for people.
        state: as the order is now.
        exceptions: codes of its open exceptions.
        created: False when the event had been taken in before.
    """

    order_id: UUID
    order_no: str
    state: str
    exceptions: list[str]
    created: bool


def locked(session: Session, *conditions: sa.ColumnElement[bool]) -> Order:
    """Lock one order's row and return it.

    Raises:
        OrderNotFoundError: there is none.
    """
    row = session.scalars(sa.select(Order).where(*conditions).with_for_update().execution_options(populate_existing=True)).one_or_none()
    if row is None:
        raise OrderNotFoundError
    return row


def record_event(session: Session, channel: str, external_no: str, event: OrderEvent, *, actor: Actor, now: datetime) -> Recorded:
    """Write down something that happened to an order, in any order, any number of times.

    Arguments:
        session: of the edge's transaction.
        channel: of the order.
        external_no: of the order.
        event: what happened.
        actor: who reports it.
        now: present instant.

    Raises:
        OrderNotFoundError: no such order.
        OrderInvalidError: the event cannot have happened.
        EventConflictError: the event id or refund id stands for other content.
    """
    checks.checked_event(event)
    if event.event_id.startswith(OWN_PREFIX):
        raise OrderInvalidError(fields={"event_id": OWN_PREFIX})
    order = locked(session, Order.channel == channel, Order.external_no == external_no)
    created = write_event(session, order, event, actor=actor, now=now)
    if created:
        reassess(session, order, now)
    return Recorded(order.id, order.order_no, order.state, queries.open_rules(session, order.id), created)


def write_event(session: Session, order: Order, event: OrderEvent, *, actor: Actor, now: datetime) -> bool:
    """Write an event and what hangs on it; False when it was there before.

    Raises:
        EventConflictError: its id stands for other content.
        OrderInvalidError: a refund of a line the order does not have.
    """
    print_ = event_fingerprint(event)
    # The order's row is held, so nobody else can be writing the same event.
    known = session.scalar(
        sa.select(OrderEventRow.fingerprint).where(OrderEventRow.order_id == order.id, OrderEventRow.event_id == event.event_id)
    )
    if known is not None:
        if known != print_:
            raise EventConflictError
        return False
    values = {
        "id": uuid7(),
        "order_id": order.id,
        "event_id": event.event_id,
        "kind": event.kind,
        "occurred_at": event.occurred_at,
        "received_at": now,
        "fingerprint": print_,
        "detail": _detail(event),
        "actor_kind": actor.kind,
        "actor_ref": actor.ref[:64],
    }
    session.execute(sa.insert(OrderEventRow), [values])
    if event.kind in {"shipped", "delivered"} and event.tracking_no:
        _write_parcel(session, order, event, now)
    if event.kind == "refunded":
        _write_refund(session, order, event, now)
    return True


def _detail(event: OrderEvent) -> dict[str, Any]:
    document = asdict(event)
    kept = ("carrier", "tracking_no", "refund_id", "refund_fen")
    detail = {name: document[name] for name in kept if document[name] is not None}
    if event.promised_at is not None:
        detail["promised_at"] = event.promised_at.astimezone(UTC).isoformat()
    if event.lines:
        detail["lines"] = list(document["lines"])
    return detail


def event_fingerprint(event: OrderEvent) -> str:
    """Return the hash of what an event says, by which a repetition is told from a conflict."""
    document = {**_detail(event), "kind": event.kind, "occurred_at": event.occurred_at.timestamp()}
    return hashlib.sha256(json.dumps(document, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _write_parcel(session: Session, order: Order, event: OrderEvent, now: datetime) -> None:
    carrier, number = (event.carrier or "").lower(), event.tracking_no or ""
    parcels = session.scalars(
        sa.select(Shipment)
        .where(Shipment.order_id == order.id, Shipment.tracking_no == number)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    parcel = next((parcel for parcel in parcels if carrier in {"", parcel.carrier} or not parcel.carrier), None)
    if parcel is None:
        parcel = Shipment(
            id=uuid7(),
            order_id=order.id,
            carrier=carrier,
            tracking_no=number,
            shipped_at=event.occurred_at,
            state="waiting",
            updated_at=now,
        )
        session.add(parcel)
        session.flush()
        if event.kind == "shipped":
            announce(session, events.SHIPPED, order.id, order.member_id, now, part=parcel.id)
    elif carrier and not parcel.carrier:
        parcel.carrier = carrier
    parcel.shipped_at = min(parcel.shipped_at, event.occurred_at)
    parcel.promised_at = rules.promised_at(_promises(session, order.id, number), order.promised_at, parcel.shipped_at, zone_of(session))
    parcel.updated_at = now
    _assess_parcel(session, parcel)
    session.flush()


def _promises(session: Session, order_id: UUID, tracking_no: str) -> list[tuple[datetime, str, datetime]]:
    """Return what events promised for a parcel."""
    rows = session.execute(
        sa.select(OrderEventRow.occurred_at, OrderEventRow.event_id, OrderEventRow.detail).where(
            OrderEventRow.order_id == order_id, OrderEventRow.kind == "shipped"
        )
    )
    return [
        (at, event_id, datetime.fromisoformat(detail["promised_at"]))
        for at, event_id, detail in rows
        if detail.get("tracking_no") == tracking_no and "promised_at" in detail
    ]


def _write_refund(session: Session, order: Order, event: OrderEvent, now: datetime) -> None:
    lines = queries.lines_of(session, order.id)
    plain = rules.refund_of(event, queries.money_of(lines))
    refund_id = event.refund_id or event.event_id
    document = {"stated": plain.stated_fen, "all": plain.everything, "parts": sorted(asdict(part).items() for part in plain.parts)}
    print_ = hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()
    row_id = uuid7()
    values = {
        "id": row_id,
        "order_id": order.id,
        "refund_id": refund_id,
        "stated_fen": plain.stated_fen,
        "everything": plain.everything,
        "occurred_at": event.occurred_at,
        "fingerprint": print_,
        "points_taken_back": None,
    }
    if not insert_if_absent(session, OrderRefund, values):
        # Another event about the same refund: fine when it says the same.
        known = session.scalar(
            sa.select(OrderRefund.fingerprint).where(OrderRefund.order_id == order.id, OrderRefund.refund_id == refund_id)
        )
        if known != print_:
            raise EventConflictError
        return
    if plain.parts:
        session.execute(
            sa.insert(OrderRefundPart),
            [
                {"id": uuid7(), "refund_row_id": row_id, "line_no": part.line_no, "quantity": part.quantity, "refund_fen": part.refund_fen}
                for part in plain.parts
            ],
        )
    announce(session, events.REFUNDED, order.id, order.member_id, now, part=row_id)


def reassess(session: Session, order: Order, now: datetime) -> None:
    """Work an order's instants, state and self-closing exceptions out anew; the caller holds its row."""
    reported = [
        rules.EventFact(kind, at)
        for kind, at in session.execute(sa.select(OrderEventRow.kind, OrderEventRow.occurred_at).where(OrderEventRow.order_id == order.id))
    ]
    parcels = [
        rules.ParcelFact(shipped, delivered)
        for shipped, delivered in session.execute(
            sa.select(Shipment.shipped_at, Shipment.delivered_at).where(Shipment.order_id == order.id)
        )
    ]
    lines = queries.lines_of(session, order.id)
    refunds = [refund.plain for refund in queries.refunds_of(session, order.id)]
    refunded = rules.refunded(refunds, queries.money_of(lines), order.payable_fen)
    facts = rules.facts_of(reported, parcels, immediate=order.immediate, refunded_whole=refunded.whole)
    before = rules.Facts(order.paid_at, order.shipped_at, order.delivered_at, order.completed_at, order.cancelled_at)
    order.paid_at = facts.paid_at
    order.shipped_at = facts.shipped_at
    order.delivered_at = facts.delivered_at
    order.completed_at = facts.completed_at
    order.cancelled_at = facts.cancelled_at
    order.refunded_fen = refunded.total_fen
    order.state = rules.state_of(facts)
    order.version += 1
    order.updated_at = now
    session.flush()
    for line in lines:
        if refunded.by_line[line.line_no] != line.refunded_fen:
            session.execute(
                sa.update(OrderLine)
                .where(OrderLine.order_id == order.id, OrderLine.line_no == line.line_no)
                .values(refunded_fen=refunded.by_line[line.line_no])
                .execution_options(synchronize_session=False)
            )
    found = [*rules.fact_findings(facts), *rules.refund_findings(refunded.total_fen, order.payable_fen)]
    note_findings(session, order.id, found, now)
    _close_gone(session, order.id, {finding.rule for finding in found}, now)
    _announce_firsts(session, order, before, facts, now, parcels=bool(parcels))


def _announce_firsts(session: Session, order: Order, before: rules.Facts, facts: rules.Facts, now: datetime, *, parcels: bool) -> None:
    topics = [(events.PAID, "paid_at"), (events.DELIVERED, "delivered_at"), (events.COMPLETED, "completed_at")]
    topics.append((events.CANCELLED, "cancelled_at"))
    if not parcels:
        # Parcels announce themselves one by one.
        topics.insert(1, (events.SHIPPED, "shipped_at"))
    for topic, fact in topics:
        if getattr(before, fact) is None and getattr(facts, fact) is not None:
            announce(session, topic, order.id, order.member_id, now)


def note_findings(session: Session, order_id: UUID, findings: Sequence[rules.Finding], now: datetime) -> None:
    """Open an exception for each finding that has none; one that people closed stays closed unless the cause came back."""
    for finding in findings:
        values = {
            "id": uuid7(),
            "order_id": order_id,
            "rule": finding.rule,
            "key": finding.key,
            "state": "open",
            "detail": finding.detail,
            "opened_at": now,
            "closed_at": None,
            "closed_by": None,
            "reason": None,
        }
        insert_if_absent(session, OrderException, values)


def _close_gone(session: Session, order_id: UUID, present: set[str], now: datetime) -> None:
    gone = rules.SELF_CLOSING - present
    session.execute(
        sa.update(OrderException)
        .where(OrderException.order_id == order_id, OrderException.rule.in_(sorted(gone)), OrderException.state == "open")
        .values(state="closed", closed_at=now, closed_by="system", reason=None)
        .execution_options(synchronize_session=False)
    )


def apply_tracking(session: Session, carrier: str, tracking_no: str, reported: Sequence[ParcelEvent], *, now: datetime) -> list[UUID]:
    """Add a carrier's report to a parcel's timeline; every order and number of the same reports ends alike.

    Arguments:
        session: of the edge's transaction.
        carrier: the aggregator's code.
        tracking_no: the parcel's number; it may be unknown as yet.
        reported: what the carrier tells.
        now: present instant.

    Returns:
        The orders whose parcels these news are about.
    """
    carrier = carrier.lower()
    order_ids = session.scalars(
        sa.select(Shipment.order_id)
        .where(Shipment.tracking_no == tracking_no, Shipment.carrier.in_((carrier, "")))
        .distinct()
        .order_by(Shipment.order_id)
    ).all()
    # The orders first, in the order of their keys: whoever writes about a parcel holds its order.
    held = [locked(session, Order.id == order_id) for order_id in order_ids]
    for event in reported:
        _write_tracking(session, carrier, tracking_no, event, now)
    for order in held:
        parcels = session.scalars(
            sa.select(Shipment)
            .where(Shipment.order_id == order.id, Shipment.tracking_no == tracking_no)
            .execution_options(populate_existing=True)
        ).all()
        for parcel in parcels:
            _assess_parcel(session, parcel)
            parcel.updated_at = now
        session.flush()
        reassess(session, order, now)
    return list(order_ids)


def _write_tracking(session: Session, carrier: str, tracking_no: str, event: ParcelEvent, now: datetime) -> None:
    description = event.description[:_DESCRIPTION_CHARS]
    digest = hashlib.sha256(f"{event.occurred_at.timestamp()}|{description}".encode()).hexdigest()
    values = {
        "id": uuid7(),
        "carrier": carrier,
        "tracking_no": tracking_no,
        "digest": digest,
        "occurred_at": event.occurred_at,
        "state": event.state,
        "description": description,
        "received_at": now,
    }
    if insert_if_absent(session, TrackingEvent, values) or event.state is None:
        return
    # The same line came with another word for it: the weightier one stays, whichever came first.
    row = session.scalars(
        sa.select(TrackingEvent)
        .where(TrackingEvent.carrier == carrier, TrackingEvent.tracking_no == tracking_no, TrackingEvent.digest == digest)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    if row.state is None or RANK.get(event.state, 0) > RANK.get(row.state, 0):
        row.state = event.state
        session.flush()


def _assess_parcel(session: Session, parcel: Shipment) -> None:
    statement = sa.select(TrackingEvent.occurred_at, TrackingEvent.state, TrackingEvent.description).where(
        TrackingEvent.tracking_no == parcel.tracking_no
    )
    if parcel.carrier:
        statement = statement.where(TrackingEvent.carrier == parcel.carrier)
    parcel.state, parcel.delivered_at = parcel_state([ParcelEvent(at, state, text) for at, state, text in session.execute(statement)])
