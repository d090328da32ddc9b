"""Notifications for tests."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from server.kernel.actors import SystemActor
from server.notifications import service
from server.notifications.templates import REGISTRY, TicketAnswered

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SYSTEM = SystemActor("tests")
ANSWERED = "ticket_answered"


def all_templates(session: Session, *, now: datetime) -> None:
    """Choose the demonstration's WeChat template for every message."""
    for code, template in REGISTRY.items():
        service.set_template(session, code, wechat_template_id=template.demo_template_id, actor=SYSTEM, now=now)


def an_answer(session: Session, member_id: UUID, *, key: str, now: datetime, excerpt: str = "您好，已为您补发") -> UUID:
    """Queue one message that needs no quiet hours."""
    return service.request(session, member_id, TicketAnswered("T1", excerpt, now), key=key, now=now)


def a_grant(session: Session, member_id: UUID, *, key: str, now: datetime, template: str = ANSWERED) -> None:
    """Credit one acceptance."""
    service.credit_grant(session, member_id, template, event_key=key, now=now)
