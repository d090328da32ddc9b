"""Commands of notifications. What goes over the network is in ``delivery`` and done by ``tasks.jobs.notifications``."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.audit import service as audit
from server.kernel.actors import Actor
from server.kernel.db import insert_if_absent, update_where, zone_of
from server.kernel.ids import uuid7
from server.kernel.outbox import publish
from server.notifications import attempts, events, grants, queries, rules
from server.notifications.errors import (
    MessageNotFoundError,
    MessageNotUncertainError,
    PreferenceRequiredError,
    PreferenceUnknownError,
    TemplateFieldsError,
)
from server.notifications.models import (
    NotificationMessage,
    NotificationPreference,
    NotificationQuietHours,
    NotificationTemplate,
)
from server.notifications.rules import Channel, Decision, State
from server.notifications.templates import MessageTemplate, Topic, carries

_HOUR_MINUTES = 60
_KEY_CHARS = 191


def request(
    session: Session, member_id: UUID, message: MessageTemplate, *, key: str, now: datetime, occurred_at: datetime | None = None
) -> UUID:
    """Ask for one message to one member. It is pushed after the transaction has committed.

    Arguments:
        session: of the transaction that holds the fact the message tells.
        member_id: to whom.
        message: what to say.
        key: the fact; asked for again under the same key, nothing is added.
        now: present instant.
        occurred_at: when the fact happened, where that is not now; old news is not pushed (``rules.STALE_AFTER``).

    Returns:
        The message's id, of the first request when it is a repetition.

    Raises:
        ValueError: a text cannot be made to fit its field, or the key has more than 191 characters.
    """
    if not 1 <= len(key) <= _KEY_CHARS:
        problem = f"a message's key has 1 to {_KEY_CHARS} characters"
        raise ValueError(problem)
    known = queries.of_key(session, key)
    if known is not None:
        return known
    texts = message.checked(zone_of(session))
    created_at = min(occurred_at or now, now)
    obstacle = None
    if now - created_at > rules.STALE_AFTER:
        obstacle = "stale"
    elif not any(queries.allowed(session, member_id, message.topic, channel) for channel in message.channels):
        obstacle = "preference"
    message_id = uuid7()
    values = {
        "id": message_id,
        "key": key,
        "member_id": member_id,
        "template": message.code,
        "topic": message.topic.value,
        "texts": texts,
        "in_inbox": queries.allowed(session, member_id, message.topic, Channel.INBOX),
        "read_at": None,
        "channel": message.channels[0].value,
        "tried": "",
        "tries": 0,
        "state": (State.SKIPPED if obstacle else State.QUEUED).value,
        "reason": obstacle,
        "attempts": 0,
        "available_at": now,
        "lease_until": None,
        "created_at": created_at,
        "updated_at": now,
    }
    if not insert_if_absent(session, NotificationMessage, values):
        return queries.of_key(session, key) or message_id
    if obstacle is None:
        publish(
            session,
            events.QUEUED,
            key=f"{events.QUEUED}:{message_id}",
            aggregate_type="notification",
            aggregate_id=message_id,
            payload={"message_id": str(message_id), "member_id": str(member_id)},
            now=now,
        )
    return message_id


def credit_grant(session: Session, member_id: UUID, template: str, *, event_key: str, now: datetime) -> bool:
    """Credit one acceptance of the subscribe dialog.

    Arguments:
        session: of an open transaction.
        member_id: who accepted.
        template: code of the message.
        event_key: the acceptance, unique.
        now: present instant.

    Returns:
        False when it was credited before.

    Raises:
        TemplateUnknownError: there is no such message.
    """
    queries.template_class(template)
    return grants.credit(session, member_id, template, event_key=event_key, now=now)


def mark_read(session: Session, member_id: UUID, message_id: UUID, *, now: datetime) -> None:
    """Mark a message of a member's inbox as read; again is fine.

    Raises:
        MessageNotFoundError: it is not in this member's inbox.
    """
    mine = sa.and_(NotificationMessage.id == message_id, NotificationMessage.member_id == member_id, NotificationMessage.in_inbox.is_(True))
    unread = sa.update(NotificationMessage).where(mine, NotificationMessage.read_at.is_(None)).values(read_at=now)
    if update_where(session, unread) == 0 and session.scalar(sa.select(NotificationMessage.id).where(mine)) is None:
        raise MessageNotFoundError


def mark_all_read(session: Session, member_id: UUID, *, now: datetime) -> int:
    """Mark everything in a member's inbox as read and return how much that was."""
    statement = (
        sa.update(NotificationMessage)
        .where(NotificationMessage.member_id == member_id, NotificationMessage.in_inbox.is_(True), NotificationMessage.read_at.is_(None))
        .values(read_at=now)
    )
    return update_where(session, statement)


def choose(session: Session, member_id: UUID, topic: str, channel: str, *, allowed: bool, now: datetime) -> None:
    """Set one of a member's preferences.

    Raises:
        PreferenceUnknownError: there is no such topic or channel.
        PreferenceRequiredError: it cannot be switched off.
    """
    try:
        of, over = Topic(topic), Channel(channel)
    except ValueError:
        raise PreferenceUnknownError(fields={"topics": f"{topic}/{channel}"}) from None
    if not allowed and queries.required(of, over):
        raise PreferenceRequiredError(fields={"topics": f"{topic}/{channel}"})
    values = {"id": uuid7(), "member_id": member_id, "topic": of.value, "channel": over.value, "allowed": allowed, "updated_at": now}
    if insert_if_absent(session, NotificationPreference, values):
        return
    update_where(
        session,
        sa.update(NotificationPreference)
        .where(
            NotificationPreference.member_id == member_id,
            NotificationPreference.topic == of.value,
            NotificationPreference.channel == over.value,
        )
        .values(allowed=allowed, updated_at=now),
    )


def choose_quiet_hours(session: Session, member_id: UUID, hours: tuple[time, time] | None, *, now: datetime) -> None:
    """Set a member's own quiet hours (equal times mean none), or go back to the default with None."""
    if hours is None:
        session.execute(sa.delete(NotificationQuietHours).where(NotificationQuietHours.member_id == member_id))
        return
    minutes = {name: at.hour * _HOUR_MINUTES + at.minute for name, at in zip(("from_minute", "until_minute"), hours, strict=True)}
    values = {"id": uuid7(), "member_id": member_id, **minutes, "updated_at": now}
    if not insert_if_absent(session, NotificationQuietHours, values):
        update_where(
            session,
            sa.update(NotificationQuietHours).where(NotificationQuietHours.member_id == member_id).values(**minutes, updated_at=now),
        )


def set_template(
    session: Session,
    code: str,
    *,
    wechat_template_id: str,
    field_keys: dict[str, str] | None = None,
    enabled: bool = True,
    actor: Actor,
    now: datetime,
) -> None:
    """Say which of WeChat's templates carries a message.

    Arguments:
        session: of an open transaction.
        code: of the message.
        wechat_template_id: of the template the brand applied for.
        field_keys: our field → WeChat's field; the demonstration's when left out.
        enabled: False stops the push and leaves the inbox.
        actor: who says so.
        now: present instant.

    Raises:
        TemplateUnknownError: there is no such message.
        TemplateFieldsError: a field is missing, used twice or of a type that cannot carry the text.
        TemplateIdTakenError: another message uses that template.
    """
    template = queries.template_class(code)
    keys = dict(field_keys) if field_keys is not None else {spec.name: spec.default_key for spec in template.specs}
    wrong = {spec.name: keys.get(spec.name, "") for spec in template.specs if not carries(spec, keys.get(spec.name, ""))}
    if wrong or len(set(keys.values())) != len(template.specs) or not wechat_template_id.strip():
        raise TemplateFieldsError(fields={name: key or "?" for name, key in wrong.items()})
    row = session.scalar(sa.select(NotificationTemplate).where(NotificationTemplate.code == code).with_for_update())
    before = None
    if row is None:
        row = NotificationTemplate(id=uuid7(), code=code, wechat_template_id="", field_keys={}, enabled=enabled, updated_at=now)
        session.add(row)
    else:
        before = {"wechat_template_id": row.wechat_template_id, "field_keys": row.field_keys, "enabled": row.enabled}
    after = {"wechat_template_id": wechat_template_id.strip(), "field_keys": keys, "enabled": enabled}
    if before == after:
        return
    row.wechat_template_id, row.field_keys, row.enabled, row.updated_at = wechat_template_id.strip(), keys, enabled, now
    session.flush()
    audit.record(
        session,
        actor=actor,
        action="message_template.set",
        subject_type="message_template",
        subject_id=code,
        before=before,
        after=after,
        now=now,
    )


def decide(session: Session, message_id: UUID, decision: Decision, *, reason: str | None, actor: Actor, now: datetime) -> None:
    """Settle a message whose outcome is unknown, after a person looked into it. Nothing but a person sends it again.

    Arguments:
        session: of an open transaction.
        message_id: an uncertain message.
        decision: what the person found, or wants.
        reason: why, for the trail.
        actor: who decides.
        now: present instant.

    Raises:
        MessageNotFoundError: there is none.
        MessageNotUncertainError: its outcome is known.
    """
    row = session.scalar(
        sa.select(NotificationMessage)
        .where(NotificationMessage.id == message_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise MessageNotFoundError
    if row.state != State.UNCERTAIN:
        raise MessageNotUncertainError
    before = {"state": row.state, "reason": row.reason}
    settled = rules.decided(decision)
    row.state, row.reason, row.updated_at = settled.state.value, settled.reason, now
    row.sent_at = now if settled.state is State.SENT else None
    row.available_at = now
    if row.channel == Channel.SUBSCRIBE.value:
        grants.end(session, row.member_id, row.template, settled.grant, message_id=row.id, attempt=row.attempts, now=now)
    attempts.note(session, row, row.provider or row.channel, "decided", settled.reason, now)
    audit.record(
        session,
        actor=actor,
        action="message.decide",
        subject_type="message",
        subject_id=message_id,
        before=before,
        after={"state": row.state, "reason": row.reason},
        reason=reason,
        now=now,
    )


def merge_members(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> int:
    """Move a member's messages, allowances and choices to another record; the other's own choices win.

    Returns:
        How many messages were moved.
    """
    moved = update_where(session, sa.update(NotificationMessage).where(NotificationMessage.member_id == from_id).values(member_id=into_id))
    grants.merge(session, from_id, into_id, now=now)
    for preference in session.scalars(sa.select(NotificationPreference).where(NotificationPreference.member_id == from_id)).all():
        values = {
            "id": uuid7(),
            "member_id": into_id,
            "topic": preference.topic,
            "channel": preference.channel,
            "allowed": preference.allowed,
            "updated_at": now,
        }
        insert_if_absent(session, NotificationPreference, values)
        session.delete(preference)
    hours = session.scalar(sa.select(NotificationQuietHours).where(NotificationQuietHours.member_id == from_id))
    if hours is not None:
        kept = {"id": uuid7(), "member_id": into_id, "from_minute": hours.from_minute, "until_minute": hours.until_minute}
        insert_if_absent(session, NotificationQuietHours, kept | {"updated_at": now})
        session.delete(hours)
    session.flush()
    return moved


def forget_member(session: Session, member_id: UUID, *, actor: Actor, now: datetime) -> int:  # noqa: ARG001 - the agreed signature
    """Delete the messages and choices of a member who leaves, and end their allowances; return how many messages went."""
    grants.end_all(session, member_id, now=now)
    for model in (NotificationPreference, NotificationQuietHours):
        session.execute(sa.delete(model).where(model.member_id == member_id).execution_options(synchronize_session=False))
    messages = sa.delete(NotificationMessage).where(NotificationMessage.member_id == member_id)
    result: Any = session.execute(messages.execution_options(synchronize_session=False))
    return int(result.rowcount)
