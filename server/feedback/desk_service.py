"""Verbs of the service desk itself: canned replies and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.audit import service as audit
from server.feedback import desk_queries, queries
from server.feedback.desk_queries import CannedReplyView
from server.feedback.errors import CannedReplyTitleTakenError, TicketInvalidError
from server.feedback.models import CannedReply, DeskSetting
from server.feedback.rules import MAX_CONTENT_CHARS, SETTING_BOUNDS, Category
from server.kernel.db import insert_if_absent, update_where
from server.kernel.ids import uuid7

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

_MAX_TITLE_CHARS = 80


def add_canned_reply(
    session: Session, *, title: str, content: str, category: str | None = None, actor: Actor, now: datetime
) -> CannedReplyView:
    """Keep a text that staff send often.

    Arguments:
        session: of an open transaction.
        title: what staff choose it by, at most 80 characters, unlike all others.
        content: what is sent, at most 2000 characters.
        category: offered first for tickets of this category; None for all.
        actor: who writes it.
        now: present instant.

    Raises:
        TicketInvalidError: empty or overlong, or an unknown category.
        CannedReplyTitleTakenError: the title is another's.
    """
    title, content = _checked(title, content, category)
    reply_id = uuid7()
    values = {"id": reply_id, "title": title, "category": category, "content": content, "active": True, "updated_at": now}
    if not insert_if_absent(session, CannedReply, values):
        raise CannedReplyTitleTakenError
    audit.record(
        session, actor=actor, action="canned_reply.add", subject_type="canned_reply", subject_id=reply_id, after={"title": title}, now=now
    )
    return desk_queries.canned_reply(session, reply_id)


def change_canned_reply(
    session: Session,
    reply_id: UUID,
    *,
    title: str,
    content: str,
    category: str | None,
    active: bool,
    actor: Actor,
    now: datetime,
) -> CannedReplyView:
    """Write a canned reply anew, or put it away with ``active=False``.

    Raises:
        CannedReplyNotFoundError: there is none of that key.
        TicketInvalidError: empty or overlong, or an unknown category.
        CannedReplyTitleTakenError: the title is another's (found at the commit).
    """
    before = desk_queries.canned_reply(session, reply_id)
    title, content = _checked(title, content, category)
    update_where(
        session,
        sa.update(CannedReply)
        .where(CannedReply.id == reply_id)
        .values(title=title, content=content, category=category, active=active, updated_at=now),
    )
    audit.record(
        session,
        actor=actor,
        action="canned_reply.change",
        subject_type="canned_reply",
        subject_id=reply_id,
        before={"title": before.title, "content": before.content, "category": before.category, "active": before.active},
        after={"title": title, "content": content, "category": category, "active": active},
        now=now,
    )
    return desk_queries.canned_reply(session, reply_id)


def change_settings(session: Session, numbers: dict[str, int], *, actor: Actor, now: datetime) -> None:
    """Set what the brand decides; deadlines that run keep their instants, new ones follow the new hours.

    Arguments:
        session: of an open transaction.
        numbers: name → whole number, names and bounds of ``rules.SETTING_BOUNDS``.
        actor: who decides.
        now: present instant.

    Raises:
        TicketInvalidError: an unknown name, or a number out of bounds.
    """
    wrong = {name: _bounds(name) for name, number in numbers.items() if not _fits(name, number)}
    if wrong:
        raise TicketInvalidError(fields=wrong)
    stored = queries.stored_settings(session)
    before = {name: stored.get(name, SETTING_BOUNDS[name][0]) for name in numbers}
    for name, number in numbers.items():
        if before[name] == number:
            continue
        if not insert_if_absent(session, DeskSetting, {"id": uuid7(), "name": name, "number": number, "updated_at": now}):
            update_where(session, sa.update(DeskSetting).where(DeskSetting.name == name).values(number=number, updated_at=now))
    changed = [name for name in numbers if before[name] != numbers[name]]
    if changed:
        audit.record(
            session,
            actor=actor,
            action="service_desk.configure",
            subject_type="service_desk",
            subject_id="settings",
            before={name: before[name] for name in changed},
            after={name: numbers[name] for name in changed},
            now=now,
        )


def _checked(title: str, content: str, category: str | None) -> tuple[str, str]:
    title, content = title.strip(), content.strip()
    wrong = {}
    if not 1 <= len(title) <= _MAX_TITLE_CHARS:
        wrong["title"] = f"1–{_MAX_TITLE_CHARS}"
    if not 1 <= len(content) <= MAX_CONTENT_CHARS:
        wrong["content"] = f"1–{MAX_CONTENT_CHARS}"
    if category is not None and category not in set(Category):
        wrong["category"] = " | ".join(Category)
    if wrong:
        raise TicketInvalidError(fields=wrong)
    return title, content


def _fits(name: str, number: int) -> bool:
    return name in SETTING_BOUNDS and SETTING_BOUNDS[name][1] <= number <= SETTING_BOUNDS[name][2]


def _bounds(name: str) -> str:
    return f"{SETTING_BOUNDS[name][1]}–{SETTING_BOUNDS[name][2]}" if name in SETTING_BOUNDS else "unknown"
