"""Reads of notifications: a member's inbox, staff's lists, who can be reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.db import one_of
from server.kernel.pagination import Page, PageRequest, keyset, page_of
from server.members import queries as members
from server.notifications.errors import TemplateUnknownError
from server.notifications.models import (
    NotificationGrant,
    NotificationMessage,
    NotificationPreference,
    NotificationQuietHours,
    NotificationTemplate,
)
from server.notifications.rules import NEEDS_CONSENT, Channel
from server.notifications.templates import REGISTRY, TOPIC_NAMES, MessageTemplate, Topic

_MOST_ASKED = 3
# Once so many acceptances are in hand, the member is not asked again for this message.
ENOUGH_GRANTS = 3
_HOUR_MINUTES = 60


@dataclass(frozen=True, slots=True)
class InboxMessage:
    """A message in a member's inbox; ``title`` and ``body`` are gettext msgids, ``texts`` their parameters."""

    id: UUID
    code: str
    topic: str
    title: str
    body: str
    texts: dict[str, str]
    page: str
    read_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message as staff see it."""

    id: UUID
    key: str
    member_id: UUID
    template: str
    topic: str
    title: str
    body: str
    texts: dict[str, str]
    state: str
    reason: str | None
    channel: str
    tried: str
    provider: str | None
    segments: int | None
    attempts: int
    msg_id: str | None
    available_at: datetime
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class TemplateView:
    """A message template and which of WeChat's carries it (None when staff have not chosen one)."""

    code: str
    label: str
    topic: str
    wechat_template_id: str | None
    field_keys: dict[str, str]
    enabled: bool


@dataclass(frozen=True, slots=True)
class AskedTemplate:
    """A template the mini-program may ask the member for now."""

    template_id: str
    code: str
    title: str
    available: int


@dataclass(frozen=True, slots=True)
class Preference:
    """Whether a member gets a topic over a channel, and whether that is theirs to choose."""

    topic: str
    topic_name: str
    channel: str
    allowed: bool
    required: bool


@dataclass(frozen=True, slots=True)
class Preferences:
    """A member's choices; ``quiet`` is None while the default hours hold."""

    items: Sequence[Preference]
    quiet: tuple[time, time] | None


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """What staff look for; empty parts do not narrow."""

    state: str | None = None
    template: str | None = None
    member_id: UUID | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def template_class(code: str) -> type[MessageTemplate]:
    """Return a message's class.

    Raises:
        TemplateUnknownError: there is none of this code.
    """
    found = REGISTRY.get(code)
    if found is None:
        raise TemplateUnknownError
    return found


# --- The member's side ---


def inbox(session: Session, member_id: UUID, request: PageRequest, *, unread_only: bool = False) -> Page[InboxMessage]:
    """Return a page of a member's inbox, newest first."""
    statement = sa.select(NotificationMessage).where(NotificationMessage.member_id == member_id, NotificationMessage.in_inbox.is_(True))
    if unread_only:
        statement = statement.where(NotificationMessage.read_at.is_(None))
    rows = session.scalars(keyset(statement, NotificationMessage.created_at, NotificationMessage.id, request)).all()
    return page_of(rows, request, lambda row: (row.created_at, row.id)).map(_inbox_message)


def _inbox_message(row: NotificationMessage) -> InboxMessage:
    template = template_class(row.template)
    page = template.page.format_map(row.texts)
    return InboxMessage(row.id, row.template, row.topic, template.title, template.body, row.texts, page, row.read_at, row.created_at)


def unread(session: Session, member_id: UUID) -> int:
    """Return how many messages of a member's inbox were not read."""
    statement = (
        sa.select(sa.func.count())
        .select_from(NotificationMessage)
        .where(
            NotificationMessage.member_id == member_id,
            NotificationMessage.in_inbox.is_(True),
            NotificationMessage.read_at.is_(None),
        )
    )
    return int(session.scalar(statement) or 0)


def asked_templates(session: Session, member_id: UUID, moment: str | None = None) -> list[AskedTemplate]:
    """Return which templates to ask a member for now, the scarcest first, at most the three WeChat allows.

    Arguments:
        session: of an open transaction.
        member_id: who is using the mini-program.
        moment: where in it (``order_paid``, ``check_in``…); None for anywhere.
    """
    grant = sa.and_(NotificationGrant.template == NotificationTemplate.code, NotificationGrant.member_id == member_id)
    statement = (
        sa.select(NotificationTemplate.code, NotificationTemplate.wechat_template_id, NotificationGrant.available)
        .outerjoin(NotificationGrant, grant)
        .where(NotificationTemplate.enabled.is_(True))
    )
    refused = {item.topic for item in preferences(session, member_id).items if item.channel == Channel.SUBSCRIBE and not item.allowed}
    found = []
    for code, template_id, available in session.execute(statement):
        template = REGISTRY.get(code)
        if template is None or template.topic in refused or (available or 0) >= ENOUGH_GRANTS:
            continue
        # One without moments of its own is not worth one of the three: it goes to the inbox, and by what was granted before.
        if moment in template.moments or (moment is None and template.moments and not template.own_moments_only):
            found.append(AskedTemplate(template_id, code, template.title, available or 0))
    return sorted(found, key=lambda item: (item.available, item.code))[:_MOST_ASKED]


def required(topic: Topic, channel: Channel) -> bool:
    """Tell whether a member cannot switch this off: the inbox keeps what answers their own acts."""
    return channel is Channel.INBOX and topic in {Topic.ORDERS, Topic.SERVICE}


def preferences(session: Session, member_id: UUID) -> Preferences:
    """Return a member's choices for every topic and channel."""
    rows = session.execute(
        sa.select(NotificationPreference.topic, NotificationPreference.channel, NotificationPreference.allowed).where(
            NotificationPreference.member_id == member_id
        )
    )
    chosen = {(topic, channel): allowed for topic, channel, allowed in rows}
    items = [
        Preference(
            topic.value,
            TOPIC_NAMES[topic],
            channel.value,
            required(topic, channel) or chosen.get((topic.value, channel.value), _by_default(session, member_id, topic, channel)),
            required(topic, channel),
        )
        for topic in Topic
        for channel in Channel
    ]
    return Preferences(items, quiet_hours(session, member_id))


def quiet_hours(session: Session, member_id: UUID) -> tuple[time, time] | None:
    """Return the quiet hours a member set, or None for the default."""
    row = session.execute(
        sa.select(NotificationQuietHours.from_minute, NotificationQuietHours.until_minute).where(
            NotificationQuietHours.member_id == member_id
        )
    ).one_or_none()
    if row is None:
        return None
    return time(*divmod(row.from_minute, _HOUR_MINUTES)), time(*divmod(row.until_minute, _HOUR_MINUTES))


def quiet_hours_of(session: Session, member_ids: Sequence[UUID]) -> dict[UUID, tuple[time, time]]:
    """Return the quiet hours that members set themselves."""
    of = NotificationQuietHours
    rows = session.execute(sa.select(of.member_id, of.from_minute, of.until_minute).where(one_of(session, of.member_id, member_ids)))
    return {member_id: (time(*divmod(begin, _HOUR_MINUTES)), time(*divmod(end, _HOUR_MINUTES))) for member_id, begin, end in rows}


def refusals(session: Session, member_ids: Sequence[UUID], channel: Channel) -> frozenset[tuple[UUID, str]]:
    """Return which topics members do not take over a channel, of those that can be refused there."""
    of = NotificationPreference
    rows = session.execute(
        sa.select(of.member_id, of.topic).where(
            one_of(session, of.member_id, member_ids), of.channel == channel.value, of.allowed.is_(False)
        )
    )
    return frozenset((member_id, topic) for member_id, topic in rows if not required(Topic(topic), channel))


def allowed(session: Session, member_id: UUID, topic: Topic, channel: Channel) -> bool:
    """Tell whether a member takes a topic over a channel."""
    if required(topic, channel):
        return True
    statement = sa.select(NotificationPreference.allowed).where(
        NotificationPreference.member_id == member_id,
        NotificationPreference.topic == topic.value,
        NotificationPreference.channel == channel.value,
    )
    chosen = session.scalar(statement)
    return _by_default(session, member_id, topic, channel) if chosen is None else bool(chosen)


def _by_default(session: Session, member_id: UUID, topic: Topic, channel: Channel) -> bool:
    if topic is not Topic.OFFERS or channel not in NEEDS_CONSENT:
        return True
    return members.has_consented(session, member_id, "marketing")


# --- Staff's side ---


def _view(row: NotificationMessage) -> MessageView:
    template = template_class(row.template)
    return MessageView(
        id=row.id,
        key=row.key,
        member_id=row.member_id,
        template=row.template,
        topic=row.topic,
        title=template.title,
        body=template.body,
        texts=row.texts,
        state=row.state,
        reason=row.reason,
        channel=row.channel,
        tried=row.tried,
        provider=row.provider,
        segments=row.segments,
        attempts=row.attempts,
        msg_id=row.msg_id,
        available_at=row.available_at,
        created_at=row.created_at,
        sent_at=row.sent_at,
        delivered_at=row.delivered_at,
        read_at=row.read_at,
    )


def _filtered(statement: sa.Select[Any], wanted: MessageFilter) -> sa.Select[Any]:
    columns = {
        NotificationMessage.state: wanted.state,
        NotificationMessage.template: wanted.template,
        NotificationMessage.member_id: wanted.member_id,
        NotificationMessage.reason: wanted.reason,
    }
    for column, value in columns.items():
        if value is not None:
            statement = statement.where(column == value)
    if wanted.since is not None:
        statement = statement.where(NotificationMessage.created_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(NotificationMessage.created_at < wanted.until)
    return statement


def messages(session: Session, wanted: MessageFilter, request: PageRequest) -> Page[MessageView]:
    """Return a page of messages for staff, newest first."""
    statement = _filtered(sa.select(NotificationMessage), wanted)
    rows = session.scalars(keyset(statement, NotificationMessage.created_at, NotificationMessage.id, request)).all()
    return page_of(rows, request, lambda row: (row.created_at, row.id)).map(_view)


def count(session: Session, wanted: MessageFilter) -> int:
    """Return how many messages a filter finds."""
    return int(session.scalar(_filtered(sa.select(sa.func.count()).select_from(NotificationMessage), wanted)) or 0)


def find(session: Session, message_id: UUID) -> MessageView | None:
    """Return one message for staff, or None."""
    row = session.get(NotificationMessage, message_id)
    return _view(row) if row is not None else None


def of_key(session: Session, key: str) -> UUID | None:
    """Return the message of a business key, or None."""
    return session.scalar(sa.select(NotificationMessage.id).where(NotificationMessage.key == key))


def due(session: Session, now: datetime, limit: int, *, skip: int = 0) -> list[UUID]:
    """Return queued messages whose time has come, the oldest first, after so many others."""
    statement = (
        sa.select(NotificationMessage.id)
        .where(NotificationMessage.state == "queued", NotificationMessage.available_at <= now)
        .order_by(NotificationMessage.available_at)
        .limit(limit)
        .offset(skip)
    )
    return list(session.scalars(statement))


def due_count(session: Session, now: datetime, *, most: int) -> int:
    """Return how many queued messages' time has come, counted no further than ``most``."""
    waiting = (
        sa.select(NotificationMessage.id)
        .where(NotificationMessage.state == "queued", NotificationMessage.available_at <= now)
        .limit(most)
        .subquery()
    )
    return int(session.scalar(sa.select(sa.func.count()).select_from(waiting)) or 0)


def templates(session: Session) -> list[TemplateView]:
    """Return every message template, with or without a WeChat template chosen for it."""
    chosen = {row.code: row for row in session.scalars(sa.select(NotificationTemplate))}
    views = []
    for code, template in sorted(REGISTRY.items()):
        row = chosen.get(code)
        keys = {spec.name: spec.default_key for spec in template.specs} | (row.field_keys if row else {})
        views.append(
            TemplateView(
                code, template.label, template.topic, row.wechat_template_id if row else None, keys, enabled=bool(row and row.enabled)
            )
        )
    return views


def code_of(session: Session, wechat_template_id: str) -> str | None:
    """Return the message that one of WeChat's templates carries, or None."""
    return session.scalar(sa.select(NotificationTemplate.code).where(NotificationTemplate.wechat_template_id == wechat_template_id))


def grants_of(session: Session, member_id: UUID) -> dict[str, int]:
    """Return template code → allowances a member has left."""
    statement = sa.select(NotificationGrant.template, NotificationGrant.available).where(NotificationGrant.member_id == member_id)
    return {template: int(available) for template, available in session.execute(statement)}
