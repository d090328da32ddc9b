"""Ordering off without logging in: the signed link of an e-mail, and the answer to a text message.

A link names a member and a topic and is good for as long as the mail lies in somebody's box. It can only switch off.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from server.audit import service as audit
from server.kernel.actors import MemberActor
from server.members import queries as members
from server.notifications import queries, service
from server.notifications.errors import UnsubscribeLinkError
from server.notifications.rules import Channel
from server.notifications.templates import Topic

_PURPOSE = b"huiban unsubscribe v1"
_MAC_BYTES = 16
_ID_BYTES = 16
# What people answer to end text messages, in the words that providers and carriers know.
_STOP_WORDS = frozenset({"t", "td", "n", "r", "0000", "退订", "退", "取消", "stop", "unsubscribe"})


@dataclass(frozen=True, slots=True)
class Link:
    """What a link is about."""

    member_id: UUID
    topic: Topic


def token_of(secret: str, member_id: UUID, topic: Topic) -> str:
    """Return the signed part of a link.

    Arguments:
        secret: of this deployment.
        member_id: who would order off.
        topic: what.
    """
    said = member_id.bytes + topic.value.encode()
    return base64.urlsafe_b64encode(_mac(secret, said) + said).rstrip(b"=").decode()


def read(secret: str, token: str) -> Link:
    """Return what a link is about.

    Raises:
        UnsubscribeLinkError: it was not made by us.
    """
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise UnsubscribeLinkError from None
    given, said = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(given, _mac(secret, said)):
        raise UnsubscribeLinkError
    try:
        return Link(UUID(bytes=said[:_ID_BYTES]), Topic(said[_ID_BYTES:].decode()))
    except ValueError:
        raise UnsubscribeLinkError from None


def _mac(secret: str, said: bytes) -> bytes:
    key = hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)
    return hmac.digest(key, said, hashlib.sha256)[:_MAC_BYTES]


def from_email(session: Session, link: Link, *, every_topic: bool, now: datetime) -> None:
    """Switch e-mails off, for the topic of a link or for all; again is fine, and whoever has left has nothing to switch off.

    Arguments:
        session: of an open transaction.
        link: verified.
        every_topic: whether the reader wants no more e-mails at all.
        now: present instant.
    """
    member_id = members.resolve(session, link.member_id)
    if member_id is not None:
        _switch_off(session, member_id, Channel.EMAIL, tuple(Topic) if every_topic else (link.topic,), now)


def from_text(session: Session, phone: str, text: str, *, now: datetime) -> bool:
    """Switch text messages off when somebody answered one with a word that asks for it.

    Arguments:
        session: of an open transaction.
        phone: of the sender, in E.164.
        text: what was answered.
        now: present instant.

    Returns:
        Whether it was such a word from a member's phone.
    """
    if text.strip().strip("。.!！ ").lower() not in _STOP_WORDS:
        return False
    member_id = members.by_phone(session, phone)
    if member_id is None:
        return False
    # The sender sees one number of ours, whatever it wrote about: the wish is for silence.
    _switch_off(session, member_id, Channel.SMS, tuple(Topic), now)
    return True


def _switch_off(session: Session, member_id: UUID, channel: Channel, topics: tuple[Topic, ...], now: datetime) -> None:
    changed = [topic for topic in topics if queries.allowed(session, member_id, topic, channel)]
    for topic in changed:
        service.choose(session, member_id, topic, channel, allowed=False, now=now)
    if changed:
        audit.record(
            session,
            actor=MemberActor(member_id),
            action="member.unsubscribed",
            subject_type="member",
            subject_id=member_id,
            after={"channel": channel.value, "topics": [topic.value for topic in changed]},
            now=now,
        )
