"""The database's part of sending: claim before the call, settle after it, and sweep what never came back.

A claim commits ``sending`` and the reserved allowance before WeChat is called. Whatever happens to the process then, the
message is either settled by the call's outcome or swept to ``uncertain``; no path leads back to a second call unless WeChat
definitely refused the first. Claims are in ``claiming``; here is what comes after the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.db import lock_skipping, one_of
from server.notifications import attempts, grants, routing, rules
from server.notifications.claiming import Claim, claim
from server.notifications.models import NotificationMessage, NotificationReceipt
from server.notifications.routes import Plan
from server.notifications.rules import NO_LINES, Channel, GrantEnd, Lines, Outcome, State

__all__ = ["Claim", "apply_late_receipts", "claim", "expire", "receive_receipt", "settle", "settle_all"]

_RECEIPT_GOOD = "0"
_OPEN = (State.SENDING.value, State.UNCERTAIN.value)
_TABLE: Any = NotificationMessage.__table__
_SETTLED = ("state", "reason", "available_at", "sent_at", "delivered_at", "msg_id", "updated_at")
_SETTLE = (
    sa.update(_TABLE)
    .where(_TABLE.c.id == sa.bindparam("of_message", type_=_TABLE.c.id.type))
    .values({name: sa.bindparam(f"new_{name}", type_=_TABLE.c[name].type) for name in _SETTLED} | {"lease_until": None})
)


def settle(session: Session, claimed: Claim, outcome: Outcome, *, now: datetime, lines: Lines = NO_LINES) -> str | None:
    """Write down how one call ended; see ``settle_all``.

    Returns:
        The message's new state, or None when it was settled before.
    """
    return settle_all(session, [(claimed, outcome)], now=now, lines=lines).get(claimed.message_id)


@dataclass(slots=True)
class _Settled:
    """What becomes of one message."""

    message_id: UUID
    state: str
    reason: str | None
    available_at: datetime
    sent_at: datetime | None
    msg_id: str | None
    delivered_at: datetime | None = None


def settle_all(session: Session, ended: Sequence[tuple[Claim, Outcome]], *, now: datetime, lines: Lines = NO_LINES) -> dict[UUID, str]:
    """Write down how calls ended, in as many statements for a hundred as for one.

    Arguments:
        session: of a transaction of its own.
        ended: the calls and how they ended.
        now: present instant.
        lines: what other channels are connected, for those that WeChat refused.

    Returns:
        The new state of each message; those that were settled before (by a receipt or a person) are left out.
    """
    outcomes = {claimed.message_id: (claimed, outcome) for claimed, outcome in ended}
    of = _TABLE.c
    found = session.execute(
        sa.select(of.id, of.member_id, of.template, of.attempts, of.tries, of.available_at, of.sent_at, of.msg_id)
        .where(one_of(session, of.id, list(outcomes)), of.state.in_(_OPEN))
        .order_by(of.member_id, of.id)
        .with_for_update()
    ).all()
    settled: list[_Settled] = []
    ends: list[grants.End] = []
    tried: list[attempts.Ended] = []
    for row in found:
        claimed, outcome = outcomes[row.id]
        if row.attempts != claimed.attempt:
            continue
        verdict = rules.judge(outcome, row.tries)
        sent = verdict.state is State.SENT
        due = now + verdict.retry_after if verdict.retry_after is not None else row.available_at
        settled.append(
            _Settled(row.id, verdict.state.value, verdict.reason, due, now if sent else row.sent_at, outcome.msg_id if sent else row.msg_id)
        )
        ends.append(grants.End(row.member_id, row.template, row.id, row.attempts, verdict.grant))
        tried.append(attempts.Ended(row.id, row.member_id, row.attempts, outcome))
    grants.end_all_of(session, ends, now=now)
    _apply_known_receipts(session, settled)
    if settled:
        session.execute(
            _SETTLE,
            [
                {
                    "of_message": each.message_id,
                    "new_state": each.state,
                    "new_reason": each.reason,
                    "new_available_at": each.available_at,
                    "new_sent_at": each.sent_at,
                    "new_delivered_at": each.delivered_at,
                    "new_msg_id": each.msg_id,
                    "new_updated_at": now,
                }
                for each in settled
            ],
        )
    attempts.note_subscribe(session, tried, now=now)
    stopped = [(each.message_id, State.FAILED, each.reason) for each in settled if each.state == State.FAILED.value]
    if stopped:
        routing.go_on_all(session, stopped, plan=Plan(session, lines), now=now)
        again = sa.select(NotificationMessage.id, NotificationMessage.state).where(
            one_of(session, NotificationMessage.id, [message_id for message_id, _, _ in stopped])
        )
        return {each.message_id: each.state for each in settled} | {row.id: row.state for row in session.execute(again)}
    return {each.message_id: each.state for each in settled}


def _apply_known_receipts(session: Session, settled: Sequence[_Settled]) -> None:
    """Apply what WeChat said of deliveries before our own calls had returned."""
    by_msg_id = {each.msg_id: each for each in settled if each.msg_id}
    if not by_msg_id:
        return
    of = NotificationReceipt
    for receipt in session.execute(sa.select(of.msg_id, of.error_code, of.occurred_at).where(one_of(session, of.msg_id, list(by_msg_id)))):
        _apply_receipt(by_msg_id[receipt.msg_id], receipt.error_code, receipt.occurred_at)


def expire(session: Session, *, now: datetime, limit: int = 500) -> int:
    """Mark as uncertain what was being sent when its lease ran out; its allowance stays reserved.

    Returns:
        How many there were.
    """
    statement = (
        sa.select(NotificationMessage)
        .where(NotificationMessage.state == State.SENDING.value, NotificationMessage.lease_until <= now)
        .order_by(NotificationMessage.lease_until)
        .limit(limit)
        .execution_options(populate_existing=True)
    )
    rows = session.scalars(lock_skipping(statement)).all()
    for row in rows:
        attempts.note(session, row, routing.PROVIDER_OF[Channel(row.channel)], "unknown", "broken_off", now)
        row.state, row.reason, row.lease_until, row.updated_at = State.UNCERTAIN.value, "broken_off", None, now
    session.flush()
    return len(rows)


def apply_late_receipts(session: Session, *, now: datetime, limit: int = 500, lines: Lines = NO_LINES) -> int:
    """Apply receipts that came while the call they belong to was being written down.

    Returns:
        How many there were.
    """
    known = sa.select(NotificationMessage.id, NotificationReceipt.error_code, NotificationReceipt.occurred_at).join(
        NotificationReceipt, NotificationReceipt.msg_id == NotificationMessage.msg_id
    )
    found = session.execute(known.where(NotificationMessage.state == State.SENT.value).limit(limit)).all()
    for message_id, error_code, occurred_at in found:
        row = _locked(session, message_id)
        if row is not None and row.state == State.SENT.value:
            routing.report(session, row, error_code, occurred_at, plan=Plan(session, lines), now=now)
    session.flush()
    return len(found)


def receive_receipt(
    session: Session,
    member_id: UUID | None,
    template: str,
    *,
    msg_id: str,
    error_code: str,
    occurred_at: datetime,
    now: datetime,
    lines: Lines = NO_LINES,
) -> None:
    """Take in WeChat's word on the delivery of a message.

    It settles an uncertain message of that member and template too, when there is exactly one it can mean.
    """
    row = session.scalar(sa.select(NotificationMessage.id).where(NotificationMessage.msg_id == msg_id))
    if row is not None:
        message = _locked(session, row)
        if message is not None and message.state == State.SENT.value:
            routing.report(session, message, error_code, occurred_at, plan=Plan(session, lines), now=now)
        session.flush()
        return
    if member_id is None:
        return
    candidates = session.scalars(
        sa.select(NotificationMessage.id).where(
            NotificationMessage.member_id == member_id,
            NotificationMessage.template == template,
            NotificationMessage.channel == Channel.SUBSCRIBE.value,
            NotificationMessage.msg_id.is_(None),
            NotificationMessage.state.in_((State.UNCERTAIN.value, State.SENDING.value, State.SENT.value)),
        )
    ).all()
    message = _locked(session, candidates[0]) if len(candidates) == 1 else None
    if message is None or message.state != State.UNCERTAIN.value:
        return
    message.msg_id, message.sent_at, message.state, message.reason = msg_id, occurred_at, State.SENT.value, None
    routing.report(session, message, error_code, occurred_at, plan=Plan(session, lines), now=now)
    grants.end(session, message.member_id, message.template, GrantEnd.SPEND, message_id=message.id, attempt=message.attempts, now=now)


def _apply_receipt(row: _Settled, error_code: str, occurred_at: datetime) -> None:
    if error_code == _RECEIPT_GOOD:
        row.state, row.reason, row.delivered_at = State.DELIVERED.value, None, occurred_at
    else:
        row.state, row.reason = State.FAILED.value, f"receipt_{error_code}"[:40]


def _locked(session: Session, message_id: UUID) -> NotificationMessage | None:
    statement = sa.select(NotificationMessage).where(NotificationMessage.id == message_id)
    return session.scalar(statement.with_for_update().execution_options(populate_existing=True))
