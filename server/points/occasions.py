"""Fixed points for events: joining, a complete profile, the first order, a rating.

A grant row is what makes each of them once only: by the event's own business key, and for what happens once in a lifetime by the
member's slot, which moves with a merge. The entry's source is ``points/event:<event>:<business key>``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa

from server.kernel.actors import SystemActor
from server.kernel.amounts import Points
from server.kernel.clock import business_date
from server.kernel.db import update_where, zone_of
from server.kernel.ids import uuid7
from server.kernel.source import Source
from server.kernel.text import N_
from server.points import books, queries, service
from server.points.accruals import accrue
from server.points.models import PointsEventGrant
from server.points.rules import DebtPolicy, EarningEvent

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.points.books import Account, EntryView
    from server.points.rules import EventRule

ACTOR = SystemActor("points.events")
ONCE = "once"
REASONS = {
    EarningEvent.SIGN_UP: N_("Points for joining"),
    EarningEvent.PROFILE_COMPLETED: N_("Points for a complete profile"),
    EarningEvent.FIRST_ORDER: N_("Points for your first order"),
    EarningEvent.TICKET_RATED: N_("Points for rating an answer"),
}
FIRST_ORDER_GONE = N_("The first order was called off or refunded")
GIVEN_TWICE = N_("Given once for each person")


@dataclass(frozen=True, slots=True)
class Grant:
    """Points that were given for an event; ``taken_back`` tells whether they are still given."""

    id: UUID
    business_key: str
    entry_id: UUID
    taken_back: bool


def give(
    session: Session, member_id: UUID, event: EarningEvent, business_key: str, *, occurred_at: datetime, now: datetime
) -> EntryView | None:
    """Give a member the points of an event, once for each business key and as often as the rule allows.

    Arguments:
        session: of an open transaction.
        member_id: whose event it is.
        event: what happened.
        business_key: names this one happening, whoever tells it and however often.
        occurred_at: when; the rule that held then gives, and its day counts.
        now: present instant.

    Returns:
        The entry, or None when nothing is given: no rule, given before, or enough for the day.
    """
    rule = queries.rulebook(session).event_rule(event, occurred_at)
    if rule is None:
        return None
    account = books.lock_account(session, member_id, now)
    day = business_date(occurred_at, zone_of(session))
    if not _may(session, account, rule, business_key, day):
        return None
    entry = accrue(
        session,
        account.member_id,
        Points(rule.points),
        source=_source(event, business_key),
        reason=REASONS[event],
        actor=ACTOR,
        now=now,
        available_at=now + timedelta(days=rule.pending_days) if rule.pending_days else None,
        rule=rule.ref,
        details={"why": [{"rule": rule.ref.code, "version": rule.ref.version, "event": str(event), "points": rule.points}]},
    )
    session.execute(
        sa.insert(PointsEventGrant).values(
            id=uuid7(),
            member_id=account.member_id,
            event=str(event),
            business_key=business_key,
            slot=ONCE if event.once else business_key,
            day=day,
            entry_id=entry.id,
            given_at=now,
        )
    )
    return entry


def _may(session: Session, account: Account, rule: EventRule, business_key: str, day: object) -> bool:
    grants = PointsEventGrant
    known = sa.select(grants.id).where(grants.event == str(rule.event), grants.business_key == business_key)
    if session.scalar(known) is not None:
        return False
    own = (grants.member_id == account.member_id, grants.event == str(rule.event))
    if rule.event.once:
        return session.scalar(sa.select(grants.id).where(*own, grants.slot == ONCE)) is None
    if rule.max_times_per_day is None:
        return True
    times = session.scalar(sa.select(sa.func.count()).select_from(grants).where(*own, grants.day == day))
    return int(times or 0) < rule.max_times_per_day


def _source(event: str, business_key: str, prefix: str = "event") -> Source:
    return Source("points", f"{prefix}:{event}:{business_key}")


def offered(session: Session, event: EarningEvent) -> bool:
    """Tell whether a rule for an event is enabled, inside its window or not."""
    return queries.rulebook(session).offers(event)


def has(session: Session, member_id: UUID) -> bool:
    """Tell whether a member was given points for any event."""
    return session.scalar(sa.select(PointsEventGrant.id).where(PointsEventGrant.member_id == member_id).limit(1)) is not None


def hold_grants(session: Session, member_id: UUID, event: EarningEvent, *, now: datetime) -> list[Grant]:
    """Lock a member's account and return what was given for an event, the oldest first."""
    account = books.lock_account(session, member_id, now)
    rows = session.execute(
        sa.select(PointsEventGrant.id, PointsEventGrant.business_key, PointsEventGrant.entry_id, PointsEventGrant.taken_back_at)
        .where(PointsEventGrant.member_id == account.member_id, PointsEventGrant.event == str(event))
        .order_by(PointsEventGrant.given_at, PointsEventGrant.id)
    )
    return [Grant(row.id, row.business_key, row.entry_id, row.taken_back_at is not None) for row in rows]


def take_back(session: Session, grant: Grant, event: EarningEvent, *, reason: str, now: datetime) -> None:
    """Take back the points of an event, as far as they are there; its slot is free again. The account is locked."""
    statement = sa.update(PointsEventGrant).where(PointsEventGrant.id == grant.id, PointsEventGrant.taken_back_at.is_(None))
    if update_where(session, statement.values(slot=None, taken_back_at=now)):
        _reverse(session, grant.entry_id, event, grant.business_key, reason, None, now)


def merge(session: Session, from_id: UUID, into_id: UUID, *, now: datetime) -> int:
    """Move one member's grants to another after their points were merged; what both had once in a lifetime is taken back once.

    What is taken back never becomes debt: nobody did anything wrong.

    Returns:
        How many grants were taken back.
    """
    owner = queries.homes(session, (into_id,))[into_id]
    held = set(session.scalars(sa.select(PointsEventGrant.event).where(PointsEventGrant.member_id == owner, PointsEventGrant.slot == ONCE)))
    twice = session.execute(
        sa.select(PointsEventGrant.id, PointsEventGrant.event, PointsEventGrant.business_key, PointsEventGrant.entry_id).where(
            PointsEventGrant.member_id == from_id, PointsEventGrant.slot == ONCE, PointsEventGrant.event.in_(held)
        )
    ).all()
    for row in twice:
        update_where(session, sa.update(PointsEventGrant).where(PointsEventGrant.id == row.id).values(slot=None, taken_back_at=now))
        _reverse(session, row.entry_id, row.event, row.business_key, GIVEN_TWICE, DebtPolicy.WITHIN_BALANCE, now)
    update_where(session, sa.update(PointsEventGrant).where(PointsEventGrant.member_id == from_id).values(member_id=owner))
    return len(twice)


def _reverse(session: Session, entry_id: UUID, event: str, key: str, reason: str, policy: DebtPolicy | None, now: datetime) -> None:
    entry = books.entry_by_id(session, entry_id)
    # Staff may have taken some of it back by hand.
    if entry is not None and entry.points > books.taken_back(session, entry_id):
        source = _source(event, key, "event-back")
        service.reverse(session, entry_id, None, source=source, reason=reason, actor=ACTOR, now=now, policy=policy)
