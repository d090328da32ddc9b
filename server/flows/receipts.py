"""Claiming a receipt: a sale that was taken in without its buyer goes to the member who holds the paper, and earns as of the sale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from server.audit import service as audit
from server.flows import first_order, growth, intake
from server.kernel.amounts import Points
from server.kernel.clock import business_date, end_of_day
from server.kernel.db import zone_of
from server.kernel.text import N_
from server.members import queries as members
from server.members.errors import MemberNotFoundError
from server.orders import claims, late, policies
from server.orders import queries as orders
from server.orders import service as orders_service
from server.orders.claims import Receipt
from server.orders.errors import (
    ReasonMissingError,
    ReceiptAmbiguousError,
    ReceiptCreditedError,
    ReceiptNotFoundError,
    ReceiptRefundedError,
    ReceiptTooOldError,
    TooManyReceiptTriesError,
)
from server.points import service as points_service

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor
    from server.kernel.errors import DomainError

HANDED_OVER = N_("The purchase was claimed with its receipt")


@dataclass(frozen=True, slots=True)
class Claimed:
    """What became of a claim.

    Arguments:
        outcome: one of ``late.OUTCOMES``.
        order_no: of the sale, when it was granted.
        points: what it earned, pending ones too.
        refusal: what to tell the member, when it was not.
    """

    outcome: str
    order_no: str | None = None
    points: int = 0
    refusal: DomainError | None = None


def claim(session: Session, member_id: UUID, receipt: Receipt, *, actor: Actor, now: datetime) -> Claimed:
    """Let a member claim a receipt. A refused claim is written down too, so the caller commits it and then tells the refusal.

    Arguments:
        session: of the edge's transaction.
        member_id: who holds the paper.
        receipt: what stands on it.
        actor: the member.
        now: present instant.

    Raises:
        MemberNotFoundError: there is no such member.
        TooManyReceiptTriesError: too many wrong ones today; nothing is looked up, and nothing written.
    """
    home = members.resolve(session, member_id, hold=True)
    if home is None:
        raise MemberNotFoundError
    # One claim of a member at a time: several at once would each see the tries of before.
    points_service.open_account(session, home, now=now)
    policy, zone = policies.current(session), zone_of(session)
    today = business_date(now, zone)
    if claims.wrong_tries(session, home, today) >= policy.claim_tries:
        raise TooManyReceiptTriesError(retry_after_seconds=math.ceil((end_of_day(today, zone) - now).total_seconds()))
    outcome, order_id = late.judge(
        claims.candidates(session, receipt), amount_fen=receipt.amount_fen, today=today, claim_days=policy.claim_days
    )
    if outcome == late.GRANTED and order_id is not None:
        _hold(session, order_id)
        # Once more under the lock: of two who hold the same paper, the second finds it credited.
        outcome, order_id = late.judge(
            claims.candidates(session, receipt), amount_fen=receipt.amount_fen, today=today, claim_days=policy.claim_days
        )
    if outcome != late.GRANTED or order_id is None:
        claims.write(session, home, receipt, outcome, order_id, actor=actor, now=now)
        return Claimed(outcome, refusal=refusal_of(outcome, policy.claim_days))
    return _grant(session, order_id, home, receipt, reason=None, actor=actor, now=now)


def attach(session: Session, order_id: UUID, member_id: UUID, *, reason: str, actor: Actor, now: datetime) -> Claimed:
    """Let staff give a sale to a member by hand, however old it is.

    Arguments:
        session: of the edge's transaction.
        order_id: the sale.
        member_id: whose it is.
        reason: what they saw, kept in the audit trail.
        actor: the member of staff.
        now: present instant.

    Raises:
        ReasonMissingError: no reason.
        MemberNotFoundError: there is no such member.
        OrderNotFoundError: there is no such sale.
        ReceiptCreditedError: somebody has it.
        ReceiptRefundedError: money went back, or it was called off.
    """
    if not reason.strip():
        raise ReasonMissingError(fields={"reason": ReasonMissingError.message})
    home = members.resolve(session, member_id, hold=True)
    if home is None or members.require(session, home).status not in {"active", "frozen"}:
        raise MemberNotFoundError
    points_service.open_account(session, home, now=now)
    _hold(session, order_id)
    found, receipt = claims.sold(session, order_id)
    if not found.free:
        raise ReceiptCreditedError
    if found.undone:
        raise ReceiptRefundedError
    granted = _grant(session, order_id, home, receipt, reason=reason, actor=actor, now=now)
    audit.record(
        session,
        actor=actor,
        action="receipt.attach",
        subject_type="order",
        subject_id=order_id,
        after={"member_id": str(home), "points": granted.points},
        reason=reason,
        now=now,
    )
    return granted


def refusal_of(outcome: str, claim_days: int) -> DomainError:
    """Return what a member is told about a claim that was not granted."""
    if outcome == late.TOO_OLD:
        return ReceiptTooOldError(days=claim_days)
    kinds: dict[str, type[DomainError]] = {
        late.AMBIGUOUS: ReceiptAmbiguousError,
        late.CREDITED: ReceiptCreditedError,
        late.REFUNDED: ReceiptRefundedError,
    }
    return kinds.get(outcome, ReceiptNotFoundError)()


def _hold(session: Session, order_id: UUID) -> None:
    order = orders.find(session, order_id)
    if order is not None and order.member_id is not None:
        # The record that has it so far stays unmerged until we are done, as whoever takes a sale in sees to.
        members.resolve(session, order.member_id, hold=True)
    orders_service.hold(session, order_id)


def _grant(
    session: Session, order_id: UUID, member_id: UUID, receipt: Receipt, *, reason: str | None, actor: Actor, now: datetime
) -> Claimed:
    before = orders.settlement(session, order_id)
    left = before.points_earned - before.points_taken_back
    if before.points_entry_id is not None and left:
        points_service.reverse(
            session,
            before.points_entry_id,
            Points(left),
            source=intake.source_of(before, "handed-over"),
            reason=HANDED_OVER,
            actor=actor,
            now=now,
        )
    claims.attach(session, order_id, member_id, now=now)
    if before.member_id is not None:
        growth.hand_over(session, order_id, before.member_id, now=now)
        first_order.hand_over(session, order_id, before.member_id, now=now)
    intake.settle(session, order_id, actor=actor, now=now)
    after = orders.settlement(session, order_id)
    claims.write(session, member_id, receipt, late.GRANTED, order_id, points=after.points_earned, reason=reason, actor=actor, now=now)
    return Claimed(late.GRANTED, after.order_no, after.points_earned)
