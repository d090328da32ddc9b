"""The flow of messages: summed up by the hour they were made in, and read from those sums.

Definitions: a message counts in the hour it was made, in the state and for the reason it has now. A change of a message moves its
``updated_at``, and the hours of whatever changed since the last time are counted anew as a whole, so a late receipt or a person's
decision corrects its hour however old. Hours older than ``KEPT`` stay as they are: their messages may be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from server.kernel.column_types import UtcDateTime, UuidType
from server.kernel.db import insert_if_absent, insert_rows
from server.kernel.ids import uuid7
from server.reporting.message_rules import WATCHED_DAY, WATCHED_HOURS, Watched, blames_template
from server.reporting.models import MessageHour, RollUpMark

KEPT = timedelta(days=31)
FORGOTTEN_AFTER = timedelta(days=400)
HOUR = timedelta(hours=1)
# A transaction may commit later than the instant it wrote; what is looked at twice is only counted anew.
_OVERLAP = timedelta(minutes=5)
_MARK = "message_hours"
# Beyond this a number of waiting messages says nothing more, and counting them would cost more the worse things are.
MOST_COUNTED = 10_000

_messages = sa.table(
    "notification_messages",
    sa.column("id", UuidType()),
    sa.column("template", sa.String()),
    sa.column("state", sa.String()),
    sa.column("reason", sa.String()),
    sa.column("available_at", UtcDateTime()),
    sa.column("created_at", UtcDateTime()),
    sa.column("updated_at", UtcDateTime()),
)
_of = _messages.c


@dataclass(slots=True)
class Flow:
    """What became of the messages made within a time.

    Arguments:
        since, until: the whole hours it covers.
        states: state → messages.
        reasons: ``(state, reason)`` → messages that were not sent.
        templates: template → state → messages.
        hours: hour → state → messages.
        summed_until: up to which instant changes are in the sums, or None before the first time.
    """

    since: datetime
    until: datetime
    states: dict[str, int] = field(default_factory=dict)
    reasons: dict[tuple[str, str], int] = field(default_factory=dict)
    templates: dict[str, dict[str, int]] = field(default_factory=dict)
    hours: dict[datetime, dict[str, int]] = field(default_factory=dict)
    summed_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits at this moment, read from the messages themselves; numbers stop at ``MOST_COUNTED``.

    Arguments:
        due: messages whose time has come.
        later: messages that wait for the end of quiet hours or for their next try.
        sending: calls under way.
        uncertain: messages a person has to decide.
        oldest_due_at: since when the oldest due one could have been sent.
    """

    due: int
    later: int
    sending: int
    uncertain: int
    oldest_due_at: datetime | None


def hour_of(instant: datetime) -> datetime:
    """Return the beginning of an instant's hour."""
    return instant.replace(minute=0, second=0, microsecond=0)


# --- Summing up -------------------------------------------------------------------------------------------------------


def hold_mark(session: Session, name: str) -> RollUpMark:
    """Return a roll-up's mark, locked until the transaction ends."""
    statement = sa.select(RollUpMark).where(RollUpMark.name == name).with_for_update().execution_options(populate_existing=True)
    row = session.scalar(statement)
    if row is None:
        insert_if_absent(session, RollUpMark, {"name": name, "until": None})
        row = session.scalars(statement).one()
    return row


def changed_hours(session: Session, *, now: datetime) -> list[datetime]:
    """Return the hours of messages that changed since the last time, the oldest first.

    The first time ever it is every hour of the days that are kept that has messages.
    """
    mark = session.scalar(sa.select(RollUpMark.until).where(RollUpMark.name == _MARK))
    changed = [] if mark is None else [_of.updated_at >= mark - _OVERLAP]
    parts = [sa.extract(part, _of.created_at).label(f"of_{part}") for part in ("year", "month", "day", "hour")]
    kept = _of.created_at >= hour_of(now - KEPT) + HOUR
    rows = session.execute(sa.select(*parts).where(kept, *changed).group_by(*(part.name for part in parts)))
    return sorted(datetime(int(row[0]), int(row[1]), int(row[2]), int(row[3]), tzinfo=UTC) for row in rows)


def sum_up_hour(session: Session, hour: datetime) -> int:
    """Count the messages of one hour anew and return how many there are."""
    hold_mark(session, _MARK)
    counted = session.execute(
        sa.select(_of.template, _of.state, sa.func.coalesce(_of.reason, "").label("why"), sa.func.count())
        .where(_of.created_at >= hour, _of.created_at < hour + HOUR)
        .group_by(_of.template, _of.state, "why")
    ).all()
    session.execute(sa.delete(MessageHour).where(MessageHour.hour == hour).execution_options(synchronize_session=False))
    rows = [
        {"id": uuid7(), "hour": hour, "template": template, "state": state, "reason": why, "messages": int(number)}
        for template, state, why, number in counted
    ]
    insert_rows(session, MessageHour, rows)
    return sum(int(row[-1]) for row in counted)


def move_mark(session: Session, until: datetime) -> None:
    """Note that everything that changed before an instant is in the sums; a mark never goes back."""
    mark = hold_mark(session, _MARK)
    if mark.until is None or mark.until < until:
        mark.until = until
        session.flush()


def forget_hours(session: Session, before: datetime, *, limit: int = 2000) -> int:
    """Delete up to ``limit`` sums of hours before an instant and return how many."""
    ids = session.scalars(sa.select(MessageHour.id).where(MessageHour.hour < before).limit(limit)).all()
    if ids:
        session.execute(sa.delete(MessageHour).where(MessageHour.id.in_(ids)).execution_options(synchronize_session=False))
    return len(ids)


# --- Reading ----------------------------------------------------------------------------------------------------------


def flow(session: Session, window: timedelta, *, now: datetime) -> Flow:
    """Return what became of the messages of the last hours, the present one among them.

    Arguments:
        session: only reads.
        window: whole hours, at most ``KEPT``.
        now: present instant.
    """
    until = hour_of(now) + HOUR
    found = Flow(until - window, until, summed_until=session.scalar(sa.select(RollUpMark.until).where(RollUpMark.name == _MARK)))
    within = (MessageHour.hour >= found.since, MessageHour.hour < until)
    total = sa.func.sum(MessageHour.messages)
    keys = (MessageHour.template, MessageHour.state, MessageHour.reason)
    for template, state, reason, summed in session.execute(sa.select(*keys, total).where(*within).group_by(*keys)):
        number = int(summed)
        _add(found.states, state, number)
        _add(found.templates.setdefault(template, {}), state, number)
        if reason and state not in {"sent", "delivered"}:
            found.reasons[state, reason] = found.reasons.get((state, reason), 0) + number
    by_hour = sa.select(MessageHour.hour, MessageHour.state, total).where(*within).group_by(MessageHour.hour, MessageHour.state)
    for hour, state, summed in session.execute(by_hour):
        _add(found.hours.setdefault(hour, {}), state, int(summed))
    return found


def _add(counts: dict[str, int], key: str, number: int) -> None:
    counts[key] = counts.get(key, 0) + number


def waiting(session: Session, *, now: datetime) -> Waiting:
    """Return what waits now; each number is one short range of an index."""
    queued = _of.state == "queued"
    return Waiting(
        due=_counted(session, queued, _of.available_at <= now),
        later=_counted(session, queued, _of.available_at > now),
        sending=_counted(session, _of.state == "sending"),
        uncertain=_counted(session, _of.state == "uncertain"),
        oldest_due_at=session.scalar(sa.select(sa.func.min(_of.available_at)).where(queued, _of.available_at <= now)),
    )


def _counted(session: Session, *conditions: sa.ColumnElement[bool]) -> int:
    bounded = sa.select(_of.state).select_from(_messages).where(*conditions).limit(MOST_COUNTED).subquery()
    return int(session.scalar(sa.select(sa.func.count()).select_from(bounded)) or 0)


def watched(session: Session, *, now: datetime) -> Watched:
    """Return what the alarms look at."""
    standing = waiting(session, now=now)
    since, lately = hour_of(now - WATCHED_DAY) + HOUR, hour_of(now - WATCHED_HOURS) + HOUR
    failed = tried = 0
    refused: dict[str, tuple[int, int]] = {}
    for hour, template, state, reason, number in _hours_since(session, since):
        tried += number if state in {"sent", "delivered", "failed", "uncertain"} else 0
        failed += number if state == "failed" else 0
        if hour >= lately:
            no, yes = refused.get(template, (0, 0))
            no += number if blames_template(state, reason) else 0
            yes += number if state in {"sent", "delivered"} else 0
            refused[template] = (no, yes)
    age = (now - standing.oldest_due_at).total_seconds() if standing.oldest_due_at is not None else 0.0
    return Watched(age, standing.due, standing.uncertain, failed, tried, {key: both for key, both in refused.items() if both[0]})


def _hours_since(session: Session, since: datetime) -> Iterator[tuple[datetime, str, str, str, int]]:
    of = MessageHour
    for row in session.execute(sa.select(of.hour, of.template, of.state, of.reason, of.messages).where(of.hour >= since)):
        yield row.hour, row.template, row.state, row.reason, int(row.messages)
