"""Why a message must not be sent over a channel now: the same rules for every channel."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.db import zone_of
from server.members import queries as members
from server.notifications import grants, queries, rules
from server.notifications.models import NotificationMessage
from server.notifications.rules import Channel, State
from server.notifications.templates import REGISTRY, MessageTemplate, Topic

_REACHABLE = frozenset({"active", "frozen"})


def obstacle(session: Session, row: NotificationMessage, template: type[MessageTemplate], channel: Channel, now: datetime) -> str | None:
    """Return why a message must not be sent over a channel, or None.

    The contact cap comes last, for it takes locks.
    """
    member = members.find(session, row.member_id)
    if member is None or (member.status not in _REACHABLE and not (template.to_leavers and member.status == "deleting")):
        return "member_gone"
    if not queries.allowed(session, row.member_id, template.topic, channel):
        return "preference"
    return "contact_cap" if capped(session, row, template, now) else None


def capped(session: Session, row: NotificationMessage, template: type[MessageTemplate], now: datetime) -> bool:
    """Tell whether a member has had as many offers as the cap allows, over whatever channels.

    Only what was, or may have been, sent counts.
    """
    if template.exempt or template.topic != Topic.OFFERS:
        return False
    offers = [code for code, other in REGISTRY.items() if other.topic == Topic.OFFERS]
    # Under the locks nobody else claims an offer to this member before what is claimed here can be counted. Whoever has no allowances
    # has no row of them to lock, and is reached over other channels: there the member's own row is.
    if row.channel != Channel.SUBSCRIBE:
        members.resolve(session, row.member_id, hold=True)
    grants.lock_all(session, [row.member_id], sorted(offers))
    session.flush()
    made = sa.or_(
        NotificationMessage.sent_at >= now - rules.CAP_WINDOW,
        NotificationMessage.state == State.SENDING.value,
        sa.and_(NotificationMessage.state == State.UNCERTAIN.value, NotificationMessage.updated_at >= now - rules.CAP_WINDOW),
    )
    count = (
        sa.select(sa.func.count())
        .select_from(NotificationMessage)
        .where(NotificationMessage.member_id == row.member_id, NotificationMessage.template.in_(offers), made)
    )
    return int(session.scalar(count) or 0) >= rules.CAP_MESSAGES


def quiet(session: Session, row: NotificationMessage, template: type[MessageTemplate], now: datetime) -> datetime | None:
    """Return when the quiet hours end that hold for a message now, or None."""
    if template.exempt:
        return None
    hours = queries.quiet_hours(session, row.member_id) or rules.DEFAULT_QUIET
    return rules.quiet_until(now, hours, zone_of(session))
