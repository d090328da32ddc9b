"""A message's way over its channels: claim before the call, settle after it, and on to the next channel when one is out of the question.

Only what certainly did not reach the member lets a message go on: a channel that was skipped, a refusal, tries that are over, a report
that it did not arrive. An unknown outcome ends it as ``uncertain``, whatever channels are left; nobody but a person sends it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.db import insert_if_absent, lock_skipping, one_of
from server.kernel.ids import uuid7
from server.members import emails
from server.members import queries as members
from server.notifications import attempts, fields, obstacles, rules
from server.notifications.models import NotificationMessage, NotificationReceipt
from server.notifications.routes import OFFICIAL_ACCOUNT, Carrier, Plan
from server.notifications.rules import Channel, Lines, Outcome, State
from server.notifications.templates import REGISTRY, MessageTemplate, Topic, page_for, spoken, wechat_data
from server.wechat import followers
from server.wechat.gateway.official_account import NOT_FOLLOWING

_FAILED_MARK = "!"
_PARAM_CHARS = 35
_MSG_ID_CHARS = 64
_CLIENT_ID_CHARS = 32
_REASON_CHARS = 40
_RECEIPT_GOOD = "0"
# What the log calls the provider of a channel that has only one.
PROVIDER_OF: dict[Channel, str] = {
    Channel.SUBSCRIBE: "wechat",
    Channel.OFFICIAL_ACCOUNT: OFFICIAL_ACCOUNT,
    Channel.SMS: "sms",
    Channel.EMAIL: "email",
}


@dataclass(frozen=True, slots=True)
class Send:
    """One provider's part of a claim: its template, and its names → texts in the order of its places."""

    provider: str
    template_id: str
    values: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChannelClaim:
    """Calls to make now, one provider after the other as long as each certainly did nothing.

    Arguments:
        message_id: the message.
        member_id: whose it is.
        attempt: tells this claim from earlier ones of the same message.
        channel: which.
        topic: what the message is about, which a reader may order off.
        to: openid, phone or address.
        sends: the providers in their order.
        title: what it is, said in Chinese.
        text: the whole of it, said in Chinese.
        page: path in the mini-program that it opens.
    """

    message_id: UUID
    member_id: UUID
    attempt: int
    channel: Channel
    topic: Topic
    to: str = field(repr=False)
    sends: tuple[Send, ...]
    title: str
    text: str = field(repr=False)
    page: str

    @property
    def reference(self) -> str:
        """Return our own number of this claim, of 32 characters, the same however often it is called for."""
        return hashlib.sha256(f"{self.message_id}:{self.attempt}".encode()).hexdigest()[:_CLIENT_ID_CHARS]


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How one call ended, and how long it took."""

    provider: str
    outcome: Outcome
    milliseconds: int
    segments: int | None = None


# --- On to the next channel ---


def begin(row: NotificationMessage, plan: Plan) -> bool:
    """Put a message that was not tried yet on the first channel of the brand's order; False when the brand has switched all off."""
    if row.tried or row.attempts:
        return True
    route = plan.route(row.template)
    if not route:
        row.state, row.reason = State.SKIPPED.value, "switched_off"
        return False
    row.channel = route[0].value
    return True


def go_on(session: Session, row: NotificationMessage, ended: State, reason: str | None, *, plan: Plan, now: datetime) -> None:
    """End a message's present channel, and put it on the next one if there is one.

    Arguments:
        session: of the transaction that holds the message's lock.
        row: the message.
        ended: ``skipped`` or ``failed``: how the present channel ended.
        reason: why.
        plan: the brand's routes.
        now: present instant.
    """
    over = reason in rules.ENDS_ALL or now - row.created_at > rules.STALE_AFTER
    tried = _tried(row) | {Channel(row.channel)}
    following = None if over else rules.next_channel(plan.route(row.template), tried, plan.usable(row.template))
    if ended is State.SKIPPED and (following is not None or row.tried):
        attempts.note(session, row, PROVIDER_OF[Channel(row.channel)], "skipped", reason, now)
    failed = ended is State.FAILED or _FAILED_MARK in row.tried
    row.updated_at = now
    # What staff want to know first is why the first channel was not the last: a later one's lack of an address does not say it.
    if ended is State.FAILED or not row.tried or row.reason in {None, "quiet_hours"} or reason in rules.ENDS_ALL:
        row.reason = reason[:_REASON_CHARS] if reason else None
    if following is None:
        row.state = (State.FAILED if failed else State.SKIPPED).value
        return
    mark = _FAILED_MARK if ended is State.FAILED else ""
    row.tried = ",".join(part for part in (row.tried, f"{row.channel}{mark}") if part)
    row.channel, row.tries, row.provider = following.value, 0, None
    row.state, row.available_at, row.sent_at = State.QUEUED.value, now, None


def begin_all(session: Session, ids: Sequence[UUID], *, plan: Plan, now: datetime) -> None:
    """``begin`` for many messages whose locks the transaction holds."""
    for row in _rows(session, ids):
        row.updated_at = now
        begin(row, plan)
    session.flush()


def go_on_all(session: Session, stopped: Sequence[tuple[UUID, State, str | None]], *, plan: Plan, now: datetime) -> None:
    """``go_on`` for many messages whose locks the transaction holds: each with how its channel ended, and why."""
    ends = {message_id: (ended, reason) for message_id, ended, reason in stopped}
    for row in _rows(session, list(ends)):
        ended, reason = ends[row.id]
        go_on(session, row, ended, reason, plan=plan, now=now)
    session.flush()


def _rows(session: Session, ids: Sequence[UUID]) -> Sequence[NotificationMessage]:
    if not ids:
        return ()
    statement = sa.select(NotificationMessage).where(one_of(session, NotificationMessage.id, ids)).order_by(NotificationMessage.id)
    return session.scalars(statement.execution_options(populate_existing=True)).all()


def _tried(row: NotificationMessage) -> frozenset[Channel]:
    return frozenset(Channel(part.rstrip(_FAILED_MARK)) for part in row.tried.split(",") if part)


# --- Claim ---


def claim(session: Session, ids: Sequence[UUID], *, lines: Lines, now: datetime, say: Callable[[str], str]) -> list[ChannelClaim]:
    """Claim messages that wait on another channel than the subscribe message's.

    Arguments:
        session: of a transaction that must be committed before the calls are made.
        ids: of messages; those not due, in other hands or on the subscribe channel are left.
        lines: what is connected.
        now: present instant.
        say: says our own words in the language of messages.

    Returns:
        The calls to make.
    """
    statement = (
        sa.select(NotificationMessage)
        .where(
            NotificationMessage.id.in_(ids),
            NotificationMessage.state == State.QUEUED.value,
            NotificationMessage.channel != Channel.SUBSCRIBE.value,
            NotificationMessage.available_at <= now,
        )
        .order_by(NotificationMessage.member_id, NotificationMessage.id)
        .execution_options(populate_existing=True)
    )
    rows = session.scalars(lock_skipping(statement)).all()
    plan = Plan(session, lines)
    found = [_claim_one(session, row, plan, say, now) for row in rows]
    session.flush()
    return [one for one in found if one is not None]


def _claim_one(session: Session, row: NotificationMessage, plan: Plan, say: Callable[[str], str], now: datetime) -> ChannelClaim | None:
    template = REGISTRY[row.template]
    row.updated_at = now
    if not begin(row, plan):
        return None
    while row.state == State.QUEUED.value and row.channel != Channel.SUBSCRIBE.value:
        channel = Channel(row.channel)
        reason = None if channel in plan.usable(row.template) else "not_connected"
        reason = reason or obstacles.obstacle(session, row, template, channel, now)
        to = _address(session, row, channel, plan.lines) if reason is None else None
        sends: tuple[Send, ...] = ()
        if reason is None and to is None:
            reason = _MISSING[channel]
        said = spoken(template, row.texts, say)
        if reason is None:
            try:
                sends = _sends(template, channel, plan, said)
            except (ValueError, KeyError):
                reason = "does_not_fit"
        if reason is not None or to is None:
            go_on(session, row, State.SKIPPED, reason, plan=plan, now=now)
            continue
        until = obstacles.quiet(session, row, template, now)
        if until is not None:
            row.available_at, row.reason = until, "quiet_hours"
            return None
        row.state, row.reason, row.lease_until = State.SENDING.value, None, now + rules.LEASE
        row.attempts, row.tries = row.attempts + 1, row.tries + 1
        # The next message to this member is counted against the cap together with this one.
        session.flush()
        title, text, opens = say(template.title), say(template.body) % said, page_for(template, row.texts)
        return ChannelClaim(row.id, row.member_id, row.attempts, channel, template.topic, to, sends, title, text, opens)
    return None


_MISSING = {Channel.OFFICIAL_ACCOUNT: "no_follower", Channel.SMS: "no_phone", Channel.EMAIL: "no_email"}


def _address(session: Session, row: NotificationMessage, channel: Channel, lines: Lines) -> str | None:
    if channel is Channel.SMS:
        return members.phone_of(session, row.member_id)
    if channel is Channel.EMAIL:
        return emails.address_of(session, row.member_id)
    indexes = members.union_indexes(session, [row.member_id])
    return followers.openid_by_union(session, lines.official_account, indexes) if lines.official_account else None


def _sends(template: type[MessageTemplate], channel: Channel, plan: Plan, said: dict[str, str]) -> tuple[Send, ...]:
    if channel is Channel.EMAIL:
        return (Send(plan.lines.email or "", "", {}),)
    if channel is Channel.SMS:
        return tuple(Send(one.provider, one.template_id, text_values(template, one, said)) for one in plan.text_carriers(template.code))
    carrier = plan.carrier(template.code, OFFICIAL_ACCOUNT)
    if carrier is None:
        raise KeyError(template.code)
    return (Send(OFFICIAL_ACCOUNT, carrier.template_id, wechat_data(template, dict(carrier.fields), said)),)


def text_values(template: type[MessageTemplate], carrier: Carrier, said: dict[str, str]) -> dict[str, str]:
    """Return what is put into a text message's template: the provider's name → text of at most 35 characters, never empty."""
    specs = {spec.name: spec for spec in template.specs}
    return {
        theirs: fields.shorten(fields.clean(said[ours]), _PARAM_CHARS) or specs[ours].otherwise or "-" for ours, theirs in carrier.fields
    }


# --- Settle ---


def settle(session: Session, claimed: ChannelClaim, ends: Sequence[CallEnd], *, lines: Lines, now: datetime) -> str | None:
    """Write down how a claim's calls ended, and send the message on when the channel is out of the question.

    Arguments:
        session: of a transaction of its own.
        claimed: the claim.
        ends: of its calls, in their order; the last one decides.
        lines: what is connected.
        now: present instant.

    Returns:
        The message's new state, or None when it was settled before.
    """
    row = _locked(session, claimed.message_id)
    if row is None or row.attempts != claimed.attempt or row.state not in {State.SENDING.value, State.UNCERTAIN.value}:
        return None
    for one in ends:
        attempts.note(
            session, row, one.provider, one.outcome.kind, one.outcome.reason or None, now,
            milliseconds=one.milliseconds, segments=one.segments,
        )  # fmt: skip
    last = ends[-1]
    verdict = rules.judge_channel(last.outcome, row.tries)
    row.state, row.lease_until, row.updated_at, row.provider = verdict.state.value, None, now, last.provider
    row.reason = verdict.reason[:_REASON_CHARS] if verdict.reason else None
    if claimed.channel is Channel.OFFICIAL_ACCOUNT and last.outcome.errcode == NOT_FOLLOWING and lines.official_account:
        followers.note_not_following(session, lines.official_account, claimed.to, now=now)
    if verdict.state is State.FAILED:
        go_on(session, row, State.FAILED, verdict.reason, plan=Plan(session, lines), now=now)
        session.flush()
        return row.state
    if verdict.retry_after is not None:
        row.available_at = now + verdict.retry_after
    if verdict.state is State.SENT:
        row.sent_at, row.segments = now, last.segments
        row.msg_id = receipt_id(last.provider, last.outcome.msg_id) if last.outcome.msg_id else None
        receipt = session.scalar(sa.select(NotificationReceipt).where(NotificationReceipt.msg_id == row.msg_id)) if row.msg_id else None
        if receipt is not None:
            report(session, row, receipt.error_code, receipt.occurred_at, plan=Plan(session, lines), now=now)
    session.flush()
    return row.state


# --- What providers report ---


def receipt_id(provider: str, message_id: str) -> str:
    """Return under which number a provider's message is known to us; numbers of different providers may be the same."""
    known = f"{provider}:{message_id}"
    return known if len(known) <= _MSG_ID_CHARS else hashlib.sha256(known.encode()).hexdigest()


def receive(
    session: Session, provider: str, message_id: str, error_code: str, *, occurred_at: datetime, lines: Lines, now: datetime
) -> None:
    """Take in a provider's word on the delivery of a message, once; it may come before our own call has returned.

    Arguments:
        session: of an open transaction.
        provider: whose word it is.
        message_id: the provider's number of the message.
        error_code: ``0`` when it arrived.
        occurred_at: when.
        lines: what is connected.
        now: present instant.
    """
    known = receipt_id(provider, message_id)
    values = {"id": uuid7(), "msg_id": known, "error_code": error_code[:16], "occurred_at": occurred_at}
    insert_if_absent(session, NotificationReceipt, values)
    found = session.scalar(sa.select(NotificationMessage.id).where(NotificationMessage.msg_id == known))
    row = _locked(session, found) if found is not None else None
    if row is not None and row.msg_id == known and row.state == State.SENT.value:
        report(session, row, error_code[:16], occurred_at, plan=Plan(session, lines), now=now)
        session.flush()


def report(session: Session, row: NotificationMessage, error_code: str, occurred_at: datetime, *, plan: Plan, now: datetime) -> None:
    """Apply a word on delivery to a message that was sent: it arrived, or it goes on to the next channel."""
    good = error_code == _RECEIPT_GOOD
    if row.channel != Channel.SUBSCRIBE.value:
        attempts.note(session, row, row.provider or "", "delivered" if good else "undelivered", None if good else error_code, now)
    if good:
        row.state, row.reason, row.delivered_at, row.updated_at = State.DELIVERED.value, None, occurred_at, now
        return
    go_on(session, row, State.FAILED, f"receipt_{error_code}", plan=plan, now=now)


def _locked(session: Session, message_id: UUID) -> NotificationMessage | None:
    statement = sa.select(NotificationMessage).where(NotificationMessage.id == message_id)
    return session.scalar(statement.with_for_update().execution_options(populate_existing=True))
