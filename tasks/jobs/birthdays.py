"""Birthdays: every hour today's, and after a standstill those of the days that were missed."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from server.campaigns import queries, rules, service
from server.campaigns.rules import BirthdayPolicy, Celebration
from server.kernel.actors import SystemActor
from server.kernel.clock import business_date
from server.kernel.errors import DomainError
from server.members import queries as members

if TYPE_CHECKING:
    from server.bootstrap import Core

_log = structlog.get_logger("huiban.birthdays")
_ACTOR = SystemActor("birthdays")
_PAGE = 500


def celebrate(core: Core, period: datetime) -> int:  # noqa: ARG001 - catches up by itself, whatever period asks
    """Give the gifts that are due and were not given.

    A day is noted as done once it is over and none of its members failed; until then it is looked through again, so somebody
    who enters a birthday on the very day has the gift within the hour.

    Returns:
        How many gifts were given.
    """
    today = business_date(core.clock.now(), core.db.zone)
    with core.db.reading() as session:
        policy = queries.birthday_policy(session)
        last = queries.last_done_day(session)
    if last is None:
        # The first run ever: nothing before today is made up for, and from here on no day is passed over.
        yesterday = today - timedelta(days=1)
        core.db.run(lambda session: service.finish_day(session, yesterday, now=core.clock.now()))
    given = 0
    for day in rules.days_to_do(last, today):
        found, failed = _celebrate_day(core, day, policy) if policy.enabled else (0, 0)
        given += found
        if failed:
            # Later days wait no longer than this run: they are done below, but the mark stays behind the failure.
            _log.warning("birthdays.failed", day=str(day), members=failed)
            given += sum(_celebrate_day(core, later, policy)[0] for later in rules.days_to_do(day, today))
            break
        if day < today:
            core.db.run(lambda session, day=day: service.finish_day(session, day, now=core.clock.now()))  # type: ignore[misc]
    return given


def _celebrate_day(core: Core, day: date, policy: BirthdayPolicy) -> tuple[int, int]:
    given = failed = 0
    for celebration in rules.celebrated_on(day, policy.leap_day):
        after: UUID | None = None
        while True:
            with core.db.reading() as session:
                ids = members.born_on(
                    session, calendar=celebration.calendar, month=celebration.month, day=celebration.day, after=after, limit=_PAGE
                )
                had = queries.given(session, ids, celebration.calendar, celebration.year)
            for member_id in ids:
                if member_id in had:
                    continue
                try:
                    given += _give(core, member_id, celebration, day, policy)
                except DomainError as refusal:
                    # One member's trouble is nobody else's.
                    _log.warning("birthdays.refused", member_id=str(member_id), code=refusal.code)
                    failed += 1
            if len(ids) < _PAGE:
                break
            after = ids[-1]
    return given, failed


def _give(core: Core, member_id: UUID, celebration: Celebration, day: date, policy: BirthdayPolicy) -> int:
    now = core.clock.now()
    done = core.db.run(
        lambda session: service.give_birthday_gift(session, member_id, celebration, celebrated_on=day, policy=policy, actor=_ACTOR, now=now)
    )
    return int(done)
