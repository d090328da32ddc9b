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

from server.kernel.db import lock_skipping, update_where, zone_of
from server.members import queries as members
from server.notifications import grants, queries, rules
from server.notifications.models import NotificationMessage, NotificationReceipt, NotificationTemplate
from server.notifications.rules import Channel, GrantEnd, Outcome, State
from server.notifications.templates import REGISTRY, MessageTemplate, Topic, page_for, spoken, wechat_data

_REACHABLE = frozenset({"active", "frozen"})
_RECEIPT_GOOD = "0"


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


def claim(session: Session, ids: Sequence[UUID], *, appid: str, now: datetime, say: Callable[[str], str] = _as_it_is) -> list[Claim]:
    """Claim messages for sending. Messages that are not due, or in other hands, are left; those that cannot be sent are skipped.

    Arguments:
        session: of a transaction that must be committed before the calls are made.
        ids: of messages.
        appid: the app whose openids are used.
        now: present instant.
        say: says our own words in the language of WeChat's messages.

    Returns:
        The calls to make.
    """
    statement = (
        sa.select(NotificationMessage)
        .where(NotificationMessage.id.in_(ids), NotificationMessage.state == State.QUEUED.value, NotificationMessage.available_at <= now)
        .order_by(NotificationMessage.member_id, NotificationMessage.id)
        .execution_options(populate_existing=True)
    )
    rows = session.scalars(lock_skipping(statement)).all()
    chosen = {row.code: row for row in session.scalars(sa.select(NotificationTemplate).where(NotificationTemplate.enabled.is_(True)))}
    found = [_claim_one(session, row, chosen.get(row.template), appid, say, now) for row in rows]
    session.flush()
    return [one for one in found if one is not None]


def _claim_one(
    session: Session,
    row: NotificationMessage,
    chosen: NotificationTemplate | None,
    appid: str,
    say: Callable[[str], str],
    now: datetime,
) -> Claim | None:
    template = REGISTRY[row.template]
    row.updated_at = now
    reason = _obstacle(session, row, template, now)
    openid = members.openid_of(session, row.member_id, appid) if reason is None else None
    if reason is None and chosen is None:
        reason = "no_template"
    if reason is None and openid is None:
        reason = "no_wechat"
    if reason is not None or chosen is None or openid is None:
        row.state, row.reason = State.SKIPPED.value, reason
        return None
    until = _quiet(session, row, template, now)
    if until is not None:
        row.available_at, row.reason = until, "quiet_hours"
        return None
    try:
        data = wechat_data(template, chosen.field_keys, spoken(template, row.texts, say))
    except (ValueError, KeyError):
        row.state, row.reason = State.FAILED.value, "does_not_fit"
        return None
    attempt = row.attempts + 1
    if not grants.reserve(session, row.member_id, row.template, message_id=row.id, attempt=attempt, now=now):
        row.state, row.reason = State.SKIPPED.value, "no_grant"
        return None
    row.state, row.reason, row.attempts, row.lease_until = State.SENDING.value, None, attempt, now + rules.LEASE
    return Claim(row.id, attempt, openid, chosen.wechat_template_id, data, page_for(template, row.texts))


def _obstacle(session: Session, row: NotificationMessage, template: type[MessageTemplate], now: datetime) -> str | None:
    """Return why a message must not be pushed at all, or None."""
    member = members.find(session, row.member_id)
    if member is None or (member.status not in _REACHABLE and not (template.to_leavers and member.status == "deleting")):
        return "member_gone"
    if not queries.allowed(session, row.member_id, template.topic, Channel.SUBSCRIBE):
        return "preference"
    return "contact_cap" if _capped(session, row.member_id, template, now) else None


def _capped(session: Session, member_id: UUID, template: type[MessageTemplate], now: datetime) -> bool:
    """Tell whether a member has had as many offers as the cap allows; only pushes that were made, or may have been, count."""
    if template.exempt or template.topic != Topic.OFFERS:
        return False
    offers = [code for code, other in REGISTRY.items() if other.topic == Topic.OFFERS]
    # Under the locks nobody else claims an offer to this member before what is claimed here can be counted.
    grants.hold(session, member_id, offers)
    session.flush()
    made = sa.or_(
        NotificationMessage.sent_at >= now - rules.CAP_WINDOW,
        NotificationMessage.state == State.SENDING.value,
        sa.and_(NotificationMessage.state == State.UNCERTAIN.value, NotificationMessage.updated_at >= now - rules.CAP_WINDOW),
    )
    count = sa.select(sa.func.count()).where(NotificationMessage.member_id == member_id, NotificationMessage.template.in_(offers), made)
    return int(session.scalar(count) or 0) >= rules.CAP_MESSAGES


def _quiet(session: Session, row: NotificationMessage, template: type[MessageTemplate], now: datetime) -> datetime | None:
    if template.exempt:
        return None
    hours = queries.quiet_hours(session, row.member_id) or rules.DEFAULT_QUIET
    return rules.quiet_until(now, hours, zone_of(session))


def settle(session: Session, claimed: Claim, outcome: Outcome, *, now: datetime) -> str | None:
    """Write down how a call ended.

    Arguments:
        session: of a transaction of its own.
        claimed: the call.
        outcome: how it ended.
        now: present instant.

    Returns:
        The message's new state, or None when it was settled before (by a receipt or a person).
    """
    row = _locked(session, claimed.message_id)
    if row is None or row.attempts != claimed.attempt or row.state not in {State.SENDING.value, State.UNCERTAIN.value}:
        return None
    verdict = rules.judge(outcome, row.attempts)
    row.state, row.reason, row.lease_until, row.updated_at = verdict.state.value, verdict.reason, None, now
    if verdict.retry_after is not None:
        row.available_at = now + verdict.retry_after
    if verdict.state is State.SENT:
        row.sent_at, row.msg_id = now, outcome.msg_id
    grants.end(session, row.member_id, row.template, verdict.grant, message_id=row.id, attempt=row.attempts, now=now)
    if row.msg_id:
        receipt = session.scalar(sa.select(NotificationReceipt).where(NotificationReceipt.msg_id == row.msg_id))
        if receipt is not None:
            _apply_receipt(row, receipt.error_code, receipt.occurred_at)
    session.flush()
    return row.state


def expire(session: Session, *, now: datetime, limit: int = 500) -> int:
    """Mark as uncertain what was being sent when its lease ran out; its allowance stays reserved.

    Returns:
        How many there were.
    """
    statement = (
        sa.select(NotificationMessage.id)
        .where(NotificationMessage.state == State.SENDING.value, NotificationMessage.lease_until <= now)
        .order_by(NotificationMessage.lease_until)
        .limit(limit)
    )
    ids = session.scalars(lock_skipping(statement)).all()
    if not ids:
        return 0
    values = {"state": State.UNCERTAIN.value, "reason": "broken_off", "lease_until": None, "updated_at": now}
    return update_where(
        session,
        sa.update(NotificationMessage)
        .where(NotificationMessage.id.in_(ids), NotificationMessage.state == State.SENDING.value)
        .values(**values),
    )


def apply_late_receipts(session: Session, *, now: datetime, limit: int = 500) -> int:
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
            _apply_receipt(row, error_code, occurred_at)
            row.updated_at = now
    session.flush()
    return len(found)


def receive_receipt(
    session: Session, member_id: UUID | None, template: str, *, msg_id: str, error_code: str, occurred_at: datetime, now: datetime
) -> None:
    """Take in WeChat's word on the delivery of a message.

    It settles an uncertain message of that member and template too, when there is exactly one it can mean.
    """
    row = session.scalar(sa.select(NotificationMessage.id).where(NotificationMessage.msg_id == msg_id))
    if row is not None:
        message = _locked(session, row)
        if message is not None and message.state == State.SENT.value:
            _apply_receipt(message, error_code, occurred_at)
            message.updated_at = now
        session.flush()
        return
    if member_id is None:
        return
    candidates = session.scalars(
        sa.select(NotificationMessage.id).where(
            NotificationMessage.member_id == member_id,
            NotificationMessage.template == template,
            NotificationMessage.msg_id.is_(None),
            NotificationMessage.state.in_((State.UNCERTAIN.value, State.SENDING.value, State.SENT.value)),
        )
    ).all()
    message = _locked(session, candidates[0]) if len(candidates) == 1 else None
    if message is None or message.state != State.UNCERTAIN.value:
        return
    message.msg_id, message.sent_at, message.state, message.reason = msg_id, occurred_at, State.SENT.value, None
    _apply_receipt(message, error_code, occurred_at)
    message.updated_at = now
    grants.end(session, message.member_id, message.template, GrantEnd.SPEND, message_id=message.id, attempt=message.attempts, now=now)


def _apply_receipt(row: NotificationMessage, error_code: str, occurred_at: datetime) -> None:
    if error_code == _RECEIPT_GOOD:
        row.state, row.reason, row.delivered_at = State.DELIVERED.value, None, occurred_at
    else:
        row.state, row.reason = State.FAILED.value, f"receipt_{error_code}"[:40]


def _locked(session: Session, message_id: UUID) -> NotificationMessage | None:
    statement = sa.select(NotificationMessage).where(NotificationMessage.id == message_id)
    return session.scalar(statement.with_for_update().execution_options(populate_existing=True))
