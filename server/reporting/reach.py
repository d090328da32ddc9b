"""Whom a message would reach if it were sent to every member now, and why not the others; and how allowances come and go by day.

Definitions, in the order in which sending asks (``server/notifications/delivery``), so that every member is in exactly one count:

- **members**: active or frozen; nobody else is sent anything.
- **muted**: switched the topic off for the push.
- **capped**: had as many offers within the window as the contact cap allows; service messages know no cap.
- **no WeChat**: never logged in through the mini-program, so there is no openid.
- **no allowance**: could be reached, and holds no acceptance of this message.
- **reachable**: the rest; ``reachable_n`` of them hold at least *n* acceptances, so *n* messages can follow each other.

Quiet hours only put off. The counts are made by a job and kept by tier; tables of other domains are named by text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.clock import business_date, start_of_day
from server.kernel.column_types import UtcDateTime, UuidType
from server.kernel.db import insert_rows, zone_of
from server.kernel.ids import uuid7
from server.notifications.rules import CAP_MESSAGES, CAP_WINDOW
from server.notifications.templates import REGISTRY, Topic
from server.reporting.messages import hold_mark
from server.reporting.models import AllowanceDay, MessageReach, RollUpMark

AFTER = (2, 3, 5, 10)
_REACH_MARK, _DAYS_MARK = "message_reach", "allowance_days"
_OVERLAP = timedelta(minutes=5)

_members = sa.table("members", sa.column("id", UuidType()), sa.column("status", sa.String()))
_identities = sa.table("member_identities", sa.column("member_id", UuidType()), sa.column("channel", sa.String()))
_choices = sa.table(
    "notification_preferences",
    sa.column("member_id", UuidType()),
    sa.column("topic", sa.String()),
    sa.column("channel", sa.String()),
    sa.column("allowed", sa.Boolean()),
)
_messages = sa.table(
    "notification_messages",
    sa.column("member_id", UuidType()),
    sa.column("template", sa.String()),
    sa.column("state", sa.String()),
    sa.column("sent_at", UtcDateTime()),
    sa.column("updated_at", UtcDateTime()),
)
_grants = sa.table(
    "notification_grants",
    sa.column("member_id", UuidType()),
    sa.column("template", sa.String()),
    sa.column("available", sa.BigInteger()),
)
_entries = sa.table(
    "notification_grant_entries",
    sa.column("template", sa.String()),
    sa.column("kind", sa.String()),
    sa.column("occurred_at", UtcDateTime()),
)
_held = sa.table("member_tiers", sa.column("member_id", UuidType()), sa.column("tier_id", UuidType()))
_tiers = sa.table("tiers", sa.column("id", UuidType()), sa.column("code", sa.String()), sa.column("tier_rank", sa.BigInteger()))

_KINDS = {"credit": "credited", "spend": "spent", "empty": "lost"}


@dataclass(frozen=True, slots=True)
class Forecast:
    """Whom one message would reach, of all members or of a tier (``tier`` is then its code). Counts are of members."""

    template: str
    tier: str | None
    members: int
    muted: int
    capped: int
    no_wechat: int
    no_grant: int
    reachable: int
    after: dict[int, int]


@dataclass(frozen=True, slots=True)
class Allowances:
    """What came in and went on one day: accepted, used by a message sent, and lost because the member switched off or WeChat had none."""

    day: date
    credited: int
    spent: int
    lost: int


# --- Making the counts ------------------------------------------------------------------------------------------------


def build(session: Session, *, appid: str, now: datetime) -> int:
    """Count anew whom each message would reach and replace what was there.

    Arguments:
        session: of a transaction of its own.
        appid: the app whose openids are used.
        now: present instant.

    Returns:
        How many rows there are.
    """
    mark = hold_mark(session, _REACH_MARK)
    lowest = session.scalar(sa.select(_tiers.c.code).order_by(_tiers.c.tier_rank).limit(1)) or ""
    rows: list[dict[str, Any]] = []
    for topic in Topic:
        codes = [code for code, template in REGISTRY.items() if template.topic is topic]
        if codes:
            rows += _of_topic(session, topic, codes, lowest, appid, now)
    session.execute(sa.delete(MessageReach).execution_options(synchronize_session=False))
    insert_rows(session, MessageReach, rows)
    mark.until = now
    session.flush()
    return len(rows)


def _of_topic(session: Session, topic: Topic, codes: Sequence[str], lowest: str, appid: str, now: datetime) -> list[dict[str, Any]]:
    people = _people(topic, lowest, appid, now)
    flags = (people.c.tier, people.c.muted, people.c.capped, people.c.wechat)
    everybody = [(*row[:-1], int(row[-1])) for row in session.execute(sa.select(*flags, sa.func.count()).group_by(*flags))]
    holds = [sa.func.sum(sa.case((_grants.c.available >= least, 1), else_=0)) for least in AFTER]
    held = session.execute(
        sa.select(_grants.c.template, people.c.tier, people.c.capped, sa.func.count(), *holds)
        .join(people, people.c.id == _grants.c.member_id)
        .where(_grants.c.template.in_(codes), _grants.c.available > 0, people.c.muted == 0, people.c.wechat == 1)
        .group_by(_grants.c.template, people.c.tier, people.c.capped)
    ).all()
    found = []
    for code in codes:
        cap = topic is Topic.OFFERS and not REGISTRY[code].exempt
        reached: dict[str, list[int]] = defaultdict(lambda: [0] * (len(AFTER) + 1))
        for template, tier, capped, *numbers in held:
            if template == code and not (cap and capped):
                reached[tier] = [before + int(more) for before, more in zip(reached[tier], numbers, strict=True)]
        found += [_row(code, tier, everybody, reached[tier], cap=cap) for tier in sorted({row[0] for row in everybody})]
    return found


def _row(code: str, tier: str, everybody: Sequence[tuple[Any, ...]], reached: Sequence[int], *, cap: bool) -> dict[str, Any]:
    counts: dict[str, int] = defaultdict(int)
    for of, muted, capped, wechat, number in everybody:
        if of == tier:
            why = "muted" if muted else "capped" if capped and cap else "no_wechat" if not wechat else "within"
            counts[why] += number
    # Both statements read at their own instant; who accepted in between is not more than there are.
    reachable = min(reached[0], counts["within"])
    more = {f"reachable_{least}": min(number, reachable) for least, number in zip(AFTER, reached[1:], strict=True)}
    return {
        "id": uuid7(),
        "template": code,
        "tier": tier,
        "members": sum(counts.values()),
        "muted": counts["muted"],
        "capped": counts["capped"],
        "no_wechat": counts["no_wechat"],
        "no_grant": counts["within"] - reachable,
        "reachable": reachable,
        **more,
    }


def _people(topic: Topic, lowest: str, appid: str, now: datetime) -> sa.Subquery:
    """Return every member who may be sent something, with their tier and, as 0 or 1, what stands against a message of a topic."""
    # Joined, not asked of each member: an engine may look through the whole list for each otherwise.
    muted = (
        sa.select(_choices.c.member_id)
        .where(_choices.c.topic == topic.value, _choices.c.channel == "subscribe", _choices.c.allowed.is_(sa.false()))
        .distinct()
        .subquery()
    )
    wechat = sa.select(_identities.c.member_id).where(_identities.c.channel == f"wechat:{appid}").distinct().subquery()
    sources = _members.outerjoin(wechat, wechat.c.member_id == _members.c.id).outerjoin(muted, muted.c.member_id == _members.c.id)
    sources = sources.outerjoin(_held, _held.c.member_id == _members.c.id).outerjoin(_tiers, _tiers.c.id == _held.c.tier_id)
    capped: sa.ColumnElement[Any] = sa.literal_column("0")
    if topic is Topic.OFFERS:
        had = _capped(now).subquery()
        sources = sources.outerjoin(had, had.c.member_id == _members.c.id)
        capped = sa.case((had.c.member_id.is_not(None), 1), else_=0)
    return (
        sa.select(
            _members.c.id,
            sa.func.coalesce(_tiers.c.code, lowest).label("tier"),
            sa.case((muted.c.member_id.is_not(None), 1), else_=0).label("muted"),
            capped.label("capped"),
            sa.case((wechat.c.member_id.is_not(None), 1), else_=0).label("wechat"),
        )
        .select_from(sources)
        .where(_members.c.status.in_(("active", "frozen")))
        .subquery()
    )


def _capped(now: datetime) -> sa.Select[Any]:
    of, since = _messages.c, now - CAP_WINDOW
    offers = [code for code, template in REGISTRY.items() if template.topic is Topic.OFFERS]
    made = sa.or_(of.sent_at >= since, of.state.in_(("sending", "uncertain")))
    return (
        sa.select(of.member_id)
        .where(of.updated_at >= since, of.template.in_(offers), made)
        .group_by(of.member_id)
        .having(sa.func.count() >= CAP_MESSAGES)
    )


def sum_up_allowances(session: Session, *, now: datetime, first: date | None = None) -> int:
    """Count anew the entries of the days since the last time, today among them, and return how many days had any.

    Arguments:
        session: of a transaction of its own.
        now: present instant.
        first: the earliest day to count; without it, and the first time ever, that of the oldest entry.
    """
    mark, zone = hold_mark(session, _DAYS_MARK), zone_of(session)
    oldest = session.scalar(sa.select(sa.func.min(_entries.c.occurred_at))) if mark.until is None else mark.until - _OVERLAP
    day, today, days = business_date(oldest or now, zone), business_date(now, zone), 0
    day = max(day, first) if first is not None else day
    while day <= today:
        since, until = start_of_day(day, zone), start_of_day(day + timedelta(days=1), zone)
        of = _entries.c
        counted: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_KINDS.values(), 0))
        statement = sa.select(of.template, of.kind, sa.func.count()).where(of.occurred_at >= since, of.occurred_at < until)
        for template, kind, number in session.execute(statement.where(of.kind.in_(_KINDS)).group_by(of.template, of.kind)):
            counted[template][_KINDS[kind]] = int(number)
        session.execute(sa.delete(AllowanceDay).where(AllowanceDay.day == day).execution_options(synchronize_session=False))
        insert_rows(session, AllowanceDay, [{"id": uuid7(), "day": day, "template": code, **numbers} for code, numbers in counted.items()])
        day, days = day + timedelta(days=1), days + bool(counted)
    mark.until = now
    session.flush()
    return days


# --- Reading ----------------------------------------------------------------------------------------------------------


def counted_at(session: Session) -> datetime | None:
    """Return when the counts were made, or None when they never were."""
    return session.scalar(sa.select(RollUpMark.until).where(RollUpMark.name == _REACH_MARK))


def forecasts(session: Session) -> list[Forecast]:
    """Return the forecast of every message over all members, the one that reaches most first."""
    columns = [getattr(MessageReach, name) for name in _COUNTS]
    rows = session.execute(sa.select(MessageReach.template, *(sa.func.sum(column) for column in columns)).group_by(MessageReach.template))
    found = [_forecast(row[0], None, [int(number) for number in row[1:]]) for row in rows if row[0] in REGISTRY]
    return sorted(found, key=lambda one: (-one.reachable, one.template))


def by_tier(session: Session, template: str) -> list[Forecast]:
    """Return the forecast of one message for each tier that has members."""
    rows = session.scalars(sa.select(MessageReach).where(MessageReach.template == template).order_by(MessageReach.tier))
    return [_forecast(row.template, row.tier, [getattr(row, name) for name in _COUNTS]) for row in rows]


_COUNTS = ("members", "muted", "capped", "no_wechat", "no_grant", "reachable", *(f"reachable_{least}" for least in AFTER))


def _forecast(template: str, tier: str | None, numbers: Sequence[int]) -> Forecast:
    members, muted, capped, no_wechat, no_grant, reachable, *after = numbers
    return Forecast(template, tier, members, muted, capped, no_wechat, no_grant, reachable, dict(zip(AFTER, after, strict=True)))


def allowances(session: Session, *, first: date, last: date, template: str | None = None) -> list[Allowances]:
    """Return what came in and went on each of some business days, of one message or of all."""
    of = AllowanceDay
    statement = sa.select(of.day, sa.func.sum(of.credited), sa.func.sum(of.spent), sa.func.sum(of.lost)).where(
        of.day >= first, of.day <= last
    )
    if template is not None:
        statement = statement.where(of.template == template)
    found = {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in session.execute(statement.group_by(of.day))}
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [Allowances(day, *found.get(day, (0, 0, 0))) for day in days]
