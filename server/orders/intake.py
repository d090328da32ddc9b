"""Taking in a sale: who bought it, what does not add up, and the rows it becomes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from server.cards import queries as cards
from server.catalogue import queries as catalogue
from server.kernel.clock import business_date
from server.kernel.crypto import Place, vault_of
from server.kernel.db import insert_if_absent, zone_of
from server.kernel.ids import dated_number, uuid7
from server.kernel.outbox import publish
from server.members import queries as members
from server.members import rules as members_rules
from server.members import service as members_service
from server.members.errors import PhoneInvalidError
from server.orders import checks, events, late, policies, queries, rules
from server.orders.drafts import OrderDraft
from server.orders.errors import OrderConflictError
from server.orders.models import Order, OrderCoupon, OrderEventRow, OrderException, OrderLine

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

_NUMBER_ATTEMPTS = 5
_NAME_CHARS = 191
_TAKEN_IN = "own:placed"
_PAID_AT_INTAKE = "own:paid"
# ``json.dumps`` with an option of its own makes an encoder at every call.
_AS_JSON = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Taken:
    """An order that is with us.

    Arguments:
        order_id: our key.
        order_no: the number for people.
        state: as it is now.
        exceptions: codes of its open exceptions.
        created: False when the same content had been taken in before.
    """

    order_id: UUID
    order_no: str
    state: str
    exceptions: list[str] = field(default_factory=list)
    created: bool = True


def fingerprint(session: Session, draft: OrderDraft) -> str:
    """Return the keyed hash of a draft's content: equal drafts have equal ones, and it tells nothing about the receiver."""
    receiver, ref = draft.receiver, draft.member
    content: list[Any] = [
        draft.channel,
        draft.external_no,
        [str(ref.member_id), ref.card_no, ref.openid, ref.external_id, ref.phone],
        # The same instant in another time zone is the same content.
        draft.placed_at.timestamp(),
        draft.paid_at.timestamp() if draft.paid_at else None,
        draft.store,
        [draft.payable_fen, draft.discount_fen, draft.shipping_fen, draft.points_paid_fen, draft.points_redeemed],
        [receiver.name, receiver.phone, receiver.address] if receiver else None,
        [str(coupon_id) for coupon_id in draft.coupon_ids],
        [
            [
                line.line_no,
                line.sku,
                line.name,
                line.category,
                line.quantity,
                line.unit_price_fen,
                line.discount_fen,
                line.amount_fen,
            ]
            for line in draft.lines
        ],
    ]
    if draft.promised_at is not None:
        # Only where there is one: what was taken in before promises were told keeps its print.
        content.append(draft.promised_at.timestamp())
    return vault_of(session).index("order", _AS_JSON(content))


def replay_of(session: Session, draft: OrderDraft, print_: str) -> Taken | None:
    """Return the order this draft became before, or None.

    Raises:
        OrderConflictError: the number stands for other content.
    """
    row = session.execute(
        sa.select(Order.id, Order.order_no, Order.state, Order.fingerprint).where(
            Order.channel == draft.channel, Order.external_no == draft.external_no
        )
    ).one_or_none()
    if row is None:
        return None
    if row.fingerprint != print_:
        raise OrderConflictError
    return Taken(row.id, row.order_no, row.state, queries.open_rules(session, row.id), created=False)


def take_in(session: Session, draft: OrderDraft, *, actor: Actor, now: datetime) -> Taken:
    """Take in a sale. A sale is a fact: what is wrong with it becomes an exception, never a refusal.

    Arguments:
        session: of the edge's transaction.
        draft: the sale.
        actor: who reports it.
        now: present instant.

    Returns:
        The order; the same one when the same content comes again.

    Raises:
        OrderInvalidError: the values can be no sale at all.
        OfflineRedemptionRefusedError: it was captured offline and names coupons or points.
        CapturedInFutureError, CapturedTooLongAgoError: it was captured offline, but not within the time that is allowed.
        OrderConflictError: the number was taken in with other content.
    """
    checks.checked_draft(draft)
    print_ = fingerprint(session, draft)
    replayed = replay_of(session, draft, print_)
    if replayed is not None:
        return replayed
    # Only after the look for a replay: what was taken in in time stays taken in, however late it is told again.
    _check_captured(session, draft, now)
    findings = rules.amount_findings(draft)
    member_id = resolve_member(session, draft, findings, actor=actor, now=now)
    if draft.store is not None and catalogue.find_store(session, draft.store) is None:
        findings.append(rules.Finding("store_unknown", {"store": draft.store}))
    values = order_values(session, draft, member_id=member_id, print_=print_, findings=findings, now=now)
    for _ in range(_NUMBER_ATTEMPTS):
        values["order_no"] = dated_number(business_date(draft.placed_at, zone_of(session)).strftime("%y%m%d"))
        if insert_if_absent(session, Order, values):
            break
        # Somebody else took the same sale in meanwhile, unless it was only our number that was taken.
        replayed = replay_of(session, draft, print_)
        if replayed is not None:
            return replayed
    order_id: UUID = values["id"]
    session.execute(sa.insert(OrderLine), line_values(order_id, draft))
    session.execute(sa.insert(OrderEventRow), event_values(order_id, draft, actor=actor, now=now))
    if draft.coupon_ids:
        session.execute(
            sa.insert(OrderCoupon),
            [{"id": uuid7(), "order_id": order_id, "coupon_id": coupon, "state": "named"} for coupon in dict.fromkeys(draft.coupon_ids)],
        )
    if findings:
        session.execute(sa.insert(OrderException), exception_values(order_id, findings, now))
    announce(session, events.TAKEN_IN, order_id, member_id, now)
    for topic, instant in ((events.PAID, values["paid_at"]), (events.COMPLETED, values["completed_at"])):
        if instant is not None:
            announce(session, topic, order_id, member_id, now)
    return Taken(order_id, values["order_no"], values["state"], [finding.rule for finding in findings])


def _check_captured(session: Session, draft: OrderDraft, now: datetime) -> None:
    if draft.captured_at is not None:
        late.check_captured(draft.captured_at, now, offline_days=policies.current(session).offline_days)


def resolve_member(session: Session, draft: OrderDraft, findings: list[rules.Finding], *, actor: Actor, now: datetime) -> UUID | None:
    """Return who bought: by member_id, card number, openid, external id, then phone; an unknown phone or outside id enrols.

    Arguments:
        session: of the edge's transaction.
        draft: the sale.
        findings: gets what could not be resolved.
        actor: who reports it.
        now: present instant.
    """
    found = _known_member(session, draft) or _enrolled_member(session, draft, findings, actor=actor, now=now)
    # Held until the sale is written: a merge that is under way moves the sales it sees, and would not see this one.
    return members.resolve(session, found, hold=True) if found is not None else None


def _enrolled_member(session: Session, draft: OrderDraft, findings: list[rules.Finding], *, actor: Actor, now: datetime) -> UUID | None:
    ref = draft.member
    phone = None
    if ref.phone:
        try:
            phone = members_rules.normalised_phone(ref.phone)
        except PhoneInvalidError:
            findings.append(rules.Finding("phone_invalid", {}))
    if ref.member_id is not None or (phone is None and not ref.external_id):
        findings.append(rules.Finding("member_unknown", {"by": "member_id"} if ref.member_id else {}))
    if phone is None and not ref.external_id:
        return None
    external = {draft.channel: ref.external_id} if ref.external_id else None
    return members_service.enrol_unclaimed(session, phone=phone, external_ids=external, actor=actor, now=now)


def _known_member(session: Session, draft: OrderDraft) -> UUID | None:
    ref = draft.member
    found = members.resolve(session, ref.member_id) if ref.member_id is not None else None
    if found is None and ref.card_no:
        found = cards.by_card_no(session, ref.card_no)
    if found is None and ref.openid:
        found = members.by_openid(session, ref.openid)
    if found is None and ref.external_id:
        found = members.by_external(session, draft.channel, ref.external_id)
    return found


def order_values(
    session: Session, draft: OrderDraft, *, member_id: UUID | None, print_: str, findings: list[rules.Finding], now: datetime
) -> dict[str, Any]:
    """Return the columns of a new order, all but its number."""
    immediate = rules.is_immediate(channel=draft.channel, store=draft.store, has_receiver=draft.receiver is not None)
    reported = [rules.EventFact("paid", draft.paid_at)] if draft.paid_at is not None else []
    facts = rules.facts_of(reported, (), immediate=immediate, refunded_whole=False)
    order_id = uuid7()
    return {
        "id": order_id,
        "channel": draft.channel,
        "external_no": draft.external_no,
        "fingerprint": print_,
        "member_id": member_id,
        "state": rules.state_of(facts),
        "version": 0,
        "immediate": immediate,
        "store_code": draft.store,
        "goods_fen": sum(line.amount_fen for line in draft.lines),
        "discount_fen": draft.discount_fen,
        "shipping_fen": draft.shipping_fen,
        "points_paid_fen": draft.points_paid_fen,
        "payable_fen": draft.payable_fen,
        "refunded_fen": 0,
        "points_redeemed": draft.points_redeemed,
        "points_worked_out": False,
        "points_entry_id": None,
        "points_earned": 0,
        "points_taken_back": 0,
        "points_trace": None,
        "promised_at": draft.promised_at,
        "placed_at": draft.placed_at,
        "paid_at": facts.paid_at,
        "shipped_at": None,
        "delivered_at": None,
        "completed_at": facts.completed_at,
        "cancelled_at": None,
        "captured_at": draft.captured_at,
        "attached_at": None,
        "taken_in_at": now,
        "updated_at": now,
        **_receiver_values(session, draft, order_id, findings),
    }


def _receiver_values(session: Session, draft: OrderDraft, order_id: UUID, findings: list[rules.Finding]) -> dict[str, str | None]:
    receiver = draft.receiver
    names = ("receiver_name", "receiver_phone", "receiver_address", "receiver_name_index", "receiver_phone_index")
    if receiver is None:
        return dict.fromkeys(names)
    vault = vault_of(session)
    phone = receiver.phone.strip()
    try:
        phone = members_rules.normalised_phone(phone)
        phone_index: str | None = vault.index("phone", phone)
    except PhoneInvalidError:
        findings.append(rules.Finding("receiver_phone_invalid", {}))
        phone_index = None
    name = receiver.name.strip()
    return {
        "receiver_name": vault.seal(name, Place("orders", "receiver_name", order_id)),
        "receiver_phone": vault.seal(phone, Place("orders", "receiver_phone", order_id)),
        "receiver_address": vault.seal(receiver.address.strip(), Place("orders", "receiver_address", order_id)),
        "receiver_name_index": vault.index("receiver_name", name),
        "receiver_phone_index": phone_index,
    }


def line_values(order_id: UUID, draft: OrderDraft) -> list[dict[str, Any]]:
    """Return the columns of an order's lines."""
    paid = rules.points_bases([line.amount_fen for line in draft.lines], draft.points_paid_fen)
    return [
        {
            "id": uuid7(),
            "order_id": order_id,
            "line_no": line.line_no,
            "sku": line.sku,
            "name": line.name[:_NAME_CHARS],
            "category": line.category,
            "quantity": line.quantity,
            "unit_price_fen": line.unit_price_fen,
            "discount_fen": line.discount_fen,
            "amount_fen": line.amount_fen,
            "paid_fen": paid_fen,
            "points": 0,
            "refunded_fen": 0,
        }
        for line, paid_fen in zip(draft.lines, paid, strict=True)
    ]


def event_values(order_id: UUID, draft: OrderDraft, *, actor: Actor, now: datetime) -> list[dict[str, Any]]:
    """Return the columns of the events that the intake itself stands for."""
    told = [(_TAKEN_IN, "placed", draft.placed_at)]
    if draft.paid_at is not None:
        told.append((_PAID_AT_INTAKE, "paid", draft.paid_at))
    return [
        {
            "id": uuid7(),
            "order_id": order_id,
            "event_id": event_id,
            "kind": kind,
            "occurred_at": instant,
            "received_at": now,
            "fingerprint": "",
            "detail": {},
            "actor_kind": actor.kind,
            "actor_ref": actor.ref[:64],
        }
        for event_id, kind, instant in told
    ]


def exception_values(order_id: UUID, findings: list[rules.Finding], now: datetime) -> list[dict[str, Any]]:
    """Return the columns of new open exceptions, one for each rule and key."""
    unique = {(finding.rule, finding.key): finding for finding in findings}
    return [
        {
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
        for finding in unique.values()
    ]


def announce(session: Session, topic: str, order_id: UUID, member_id: UUID | None, now: datetime, part: UUID | None = None) -> None:
    """Tell the news about an order once.

    Arguments:
        session: of the transaction that holds the fact.
        topic: one of ``events.TOPICS``.
        order_id: which order.
        member_id: whose, if anybody's.
        now: present instant.
        part: the parcel or refund it is about, where an order can have several.
    """
    payload = {"order_id": str(order_id), "member_id": str(member_id) if member_id else None}
    if part is not None:
        payload["part_id"] = str(part)
    publish(
        session,
        topic,
        key=f"{topic}:{part or order_id}",
        aggregate_type="order",
        aggregate_id=order_id,
        payload=payload,
        now=now,
    )
