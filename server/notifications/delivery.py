"""The database's part of sending: claim before the call, settle after it, and sweep what never came back.

A claim commits ``sending`` and the reserved allowance before WeChat is called. Whatever happens to the process then, the
message is either settled by the call's outcome or swept to ``uncertain``; no path leads back to a second call unless WeChat
definitely refused the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.db import lock_skipping
from server.members import queries as members
from server.notifications import attempts, grants, obstacles, routing, rules
from server.notifications.models import NotificationMessage, NotificationReceipt, NotificationTemplate
from server.notifications.routes import Plan
from server.notifications.rules import NO_LINES, Channel, GrantEnd, Lines, Outcome, State
from server.notifications.templates import REGISTRY, page_for, spoken, wechat_data


@dataclass(frozen=True, slots=True)
class Claim:
    """A call to make now. ``attempt`` tells this claim from earlier ones of the same message."""

    message_id: UUID
    attempt: int
    openid: str
    wechat_template_id: str
    data: dict[str, str]
    page: str


def _as_it_is(text: str) -> str:
    return text


def claim(
    session: Session,
    ids: Sequence[UUID],
    *,
    appid: str,
    now: datetime,
    say: Callable[[str], str] = _as_it_is,
    lines: Lines = NO_LINES,
) -> list[Claim]:
    """Claim subscribe messages. Messages that are not due, in other hands or on other channels are left.

    Those that cannot be sent go on to the next channel (``routing``), or are skipped.

    Arguments:
        session: of a transaction that must be committed before the calls are made.
        ids: of messages.
        appid: the app whose openids are used.
        now: present instant.
        say: says our own words in the language of WeChat's messages.
        lines: what other channels are connected.

    Returns:
        The calls to make.
    """
    statement = (
        sa.select(NotificationMessage)
        .where(
            NotificationMessage.id.in_(ids),
            NotificationMessage.state == State.QUEUED.value,
            NotificationMessage.channel == Channel.SUBSCRIBE.value,
            NotificationMessage.available_at <= now,
        )
        .order_by(NotificationMessage.member_id, NotificationMessage.id)
        .execution_options(populate_existing=True)
    )
    rows = session.scalars(lock_skipping(statement)).all()
    chosen = {row.code: row for row in session.scalars(sa.select(NotificationTemplate).where(NotificationTemplate.enabled.is_(True)))}
    plan = Plan(session, lines)
    found = [_claim_one(session, row, chosen.get(row.template), appid, say, plan, now) for row in rows]
    session.flush()
    return [one for one in found if one is not None]


def _claim_one(
    session: Session,
    row: NotificationMessage,
    chosen: NotificationTemplate | None,
    appid: str,
    say: Callable[[str], str],
    plan: Plan,
    now: datetime,
) -> Claim | None:
    template = REGISTRY[row.template]
    row.updated_at = now
    if not routing.begin(row, plan) or row.channel != Channel.SUBSCRIBE.value:
        return None
    reason = obstacles.obstacle(session, row, template, Channel.SUBSCRIBE, now)
    openid = members.openid_of(session, row.member_id, appid) if reason is None else None
    if reason is None and chosen is None:
        reason = "no_template"
    if reason is None and openid is None:
        reason = "no_wechat"
    if reason is not None or chosen is None or openid is None:
        routing.go_on(session, row, State.SKIPPED, reason, plan=plan, now=now)
        return None
    until = obstacles.quiet(session, row, template, now)
    if until is not None:
        row.available_at, row.reason = until, "quiet_hours"
        return None
    try:
        data = wechat_data(template, chosen.field_keys, spoken(template, row.texts, say))
    except (ValueError, KeyError):
        routing.go_on(session, row, State.FAILED, "does_not_fit", plan=plan, now=now)
        return None
    attempt = row.attempts + 1
    if not grants.reserve(session, row.member_id, row.template, message_id=row.id, attempt=attempt, now=now):
        routing.go_on(session, row, State.SKIPPED, "no_grant", plan=plan, now=now)
        return None
    row.state, row.reason, row.attempts, row.lease_until = State.SENDING.value, None, attempt, now + rules.LEASE
    row.tries += 1
    return Claim(row.id, attempt, openid, chosen.wechat_template_id, data, page_for(template, row.texts))


def settle(
    session: Session, claimed: Claim, outcome: Outcome, *, now: datetime, lines: Lines = NO_LINES, milliseconds: int | None = None
) -> str | None:
    """Write down how a call ended.

    Arguments:
        session: of a transaction of its own.
        claimed: the call.
        outcome: how it ended.
        now: present instant.
        lines: what other channels are connected.
        milliseconds: how long the call took.

    Returns:
        The message's new state, or None when it was settled before (by a receipt or a person).
    """
    row = _locked(session, claimed.message_id)
    if row is None or row.attempts != claimed.attempt or row.state not in {State.SENDING.value, State.UNCERTAIN.value}:
        return None
    verdict = rules.judge(outcome, row.tries)
    attempts.note(session, row, "wechat", outcome.kind, outcome.reason or None, now, milliseconds=milliseconds)
    row.state, row.reason, row.lease_until, row.updated_at = verdict.state.value, verdict.reason, None, now
    if verdict.retry_after is not None:
        row.available_at = now + verdict.retry_after
    if verdict.state is State.SENT:
        row.sent_at, row.msg_id = now, outcome.msg_id
    grants.end(session, row.member_id, row.template, verdict.grant, message_id=row.id, attempt=row.attempts, now=now)
    if verdict.state is State.FAILED:
        routing.go_on(session, row, State.FAILED, verdict.reason, plan=Plan(session, lines), now=now)
    if verdict.state is State.SENT and row.msg_id:
        receipt = session.scalar(sa.select(NotificationReceipt).where(NotificationReceipt.msg_id == row.msg_id))
        if receipt is not None:
            routing.report(session, row, receipt.error_code, receipt.occurred_at, plan=Plan(session, lines), now=now)
    session.flush()
    return row.state


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


def _locked(session: Session, message_id: UUID) -> NotificationMessage | None:
    statement = sa.select(NotificationMessage).where(NotificationMessage.id == message_id)
    return session.scalar(statement.with_for_update().execution_options(populate_existing=True))
