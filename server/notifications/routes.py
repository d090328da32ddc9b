"""Which channels a message is tried over in which order, and which provider's template carries it on each.

A message declares its order (``MessageTemplate.channels``); the brand may choose another. A channel is usable when something is
connected to it and, where a provider sends templates of its own only, such a template was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.audit import service as audit
from server.kernel.actors import Actor
from server.kernel.ids import uuid7
from server.notifications import rules
from server.notifications.errors import ChannelsInvalidError, TemplateFieldsError
from server.notifications.models import NotificationCarrier, NotificationRoute
from server.notifications.rules import Channel, Lines
from server.notifications.templates import REGISTRY, MessageTemplate, carries

OFFICIAL_ACCOUNT = "official_account"
TEXT_PROVIDERS = ("aliyun", "tencent", "local")
# Names of parameters in Aliyun's templates; Tencent Cloud's have places instead.
_NAME_CHARS = 30


@dataclass(frozen=True, slots=True)
class Carrier:
    """A provider's template for a message: our field → its name for it, in the order of its places."""

    provider: str
    template_id: str
    fields: tuple[tuple[str, str], ...]


class Plan:
    """The brand's routes and carriers as they are now, read once for many messages.

    Arguments:
        session: of an open transaction.
        lines: what is connected.
    """

    def __init__(self, session: Session, lines: Lines) -> None:
        self._session = session
        self.lines = lines

    @cached_property
    def _routes(self) -> dict[str, tuple[Channel, ...]]:
        rows = self._session.execute(sa.select(NotificationRoute.code, NotificationRoute.channels))
        return {code: tuple(Channel(name) for name in channels.split(",") if name) for code, channels in rows}

    @cached_property
    def _carriers(self) -> dict[tuple[str, str], Carrier]:
        return {(row.code, row.provider): _view(row) for row in self._session.scalars(sa.select(NotificationCarrier))}

    def route(self, code: str) -> tuple[Channel, ...]:
        """Return a message's order of channels."""
        return self._routes.get(code, REGISTRY[code].channels)

    def carrier(self, code: str, provider: str) -> Carrier | None:
        """Return a provider's template for a message, or None."""
        return self._carriers.get((code, provider))

    def text_carriers(self, code: str) -> list[Carrier]:
        """Return the templates of the connected providers of text messages, in the order in which they are tried."""
        found = (self.carrier(code, provider) for provider in self.lines.sms)
        return [carrier for carrier in found if carrier is not None]

    def usable(self, code: str) -> frozenset[Channel]:
        """Return the channels that a message can be sent over at all."""
        found = {Channel.SUBSCRIBE}
        if self.lines.official_account is not None and self.carrier(code, OFFICIAL_ACCOUNT) is not None:
            found.add(Channel.OFFICIAL_ACCOUNT)
        if self.text_carriers(code):
            found.add(Channel.SMS)
        if self.lines.email is not None:
            found.add(Channel.EMAIL)
        return frozenset(found)


def _view(row: NotificationCarrier) -> Carrier:
    return Carrier(row.provider, row.template_id, tuple((str(ours), str(theirs)) for ours, theirs in row.fields))


def set_route(session: Session, template: type[MessageTemplate], channels: Sequence[Channel], *, actor: Actor, now: datetime) -> None:
    """Choose a message's order of channels; an empty one leaves it to the inbox.

    Arguments:
        session: of an open transaction.
        template: the message.
        channels: in the order in which they are tried.
        actor: who chooses.
        now: present instant.

    Raises:
        ChannelsInvalidError: a channel comes twice, or is none that messages are sent over.
    """
    if len(set(channels)) != len(channels) or not set(channels) <= set(rules.SENT_OVER):
        raise ChannelsInvalidError(fields={"channels": ", ".join(channels)})
    row = session.scalar(sa.select(NotificationRoute).where(NotificationRoute.code == template.code).with_for_update())
    before = row.channels if row is not None else ",".join(template.channels)
    after = ",".join(channels)
    if before == after:
        return
    if row is None:
        session.add(NotificationRoute(id=uuid7(), code=template.code, channels=after, updated_at=now))
    else:
        row.channels, row.updated_at = after, now
    session.flush()
    _record(session, "message_template.route", template.code, {"channels": before}, {"channels": after}, actor, now)


def set_carrier(
    session: Session,
    template: type[MessageTemplate],
    provider: str,
    template_id: str,
    fields: Sequence[tuple[str, str]],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Choose the template of a provider that carries a message; an empty number takes it away.

    Arguments:
        session: of an open transaction.
        template: the message.
        provider: ``official_account`` or a provider of text messages.
        template_id: the provider's number of it.
        fields: our field and the provider's name for it, in the order of its places. The Official Account's names are WeChat's typed
            fields; a text may leave some of ours out.
        actor: who chooses.
        now: present instant.

    Raises:
        TemplateFieldsError: a field that is none of ours, comes twice, or cannot carry the text.
    """
    chosen = template_id.strip()
    row = session.scalar(
        sa.select(NotificationCarrier)
        .where(NotificationCarrier.code == template.code, NotificationCarrier.provider == provider)
        .with_for_update()
    )
    before = {"template_id": row.template_id, "fields": row.fields} if row is not None else None
    pairs: list[Any] = [list(pair) for pair in fields]
    after = {"template_id": chosen, "fields": pairs} if chosen else None
    if before == after:
        return
    if after is None:
        session.delete(row)
    else:
        _check_fields(template, provider, fields)
        if row is None:
            row = NotificationCarrier(id=uuid7(), code=template.code, provider=provider, template_id="", fields=[], updated_at=now)
            session.add(row)
        row.template_id, row.fields, row.updated_at = chosen, pairs, now
    session.flush()
    _record(session, "message_template.carrier", template.code, before, after, actor, now, provider)


def _check_fields(template: type[MessageTemplate], provider: str, fields: Sequence[tuple[str, str]]) -> None:
    specs = {spec.name: spec for spec in template.specs}
    ours, theirs = [pair[0] for pair in fields], [pair[1] for pair in fields]
    wrong = {name: key or "?" for name, key in fields if name not in specs or not key or len(key) > _NAME_CHARS}
    if provider == OFFICIAL_ACCOUNT:
        wrong |= {name: key or "?" for name, key in fields if name in specs and not carries(specs[name], key)}
        wrong |= {name: "?" for name in specs if name not in ours}
    if wrong or len(set(ours)) != len(ours) or len(set(theirs)) != len(theirs):
        raise TemplateFieldsError(fields=wrong)


def _record(
    session: Session,
    action: str,
    code: str,
    before: object,
    after: object,
    actor: Actor,
    now: datetime,
    provider: str | None = None,
) -> None:
    audit.record(
        session,
        actor=actor,
        action=action,
        subject_type="message_template",
        subject_id=code,
        before={"provider": provider, "chosen": before} if provider else before,  # type: ignore[arg-type]
        after={"provider": provider, "chosen": after} if provider else after,  # type: ignore[arg-type]
        now=now,
    )
