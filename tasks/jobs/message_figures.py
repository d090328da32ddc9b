"""The figures of messages: sums by hour, whom each message can reach, and the alarms that follow."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from server.kernel.actors import SystemActor
from server.operations import queries as operation_queries
from server.operations import service as operations
from server.reporting import message_rules, messages, reach
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core

_ACTOR = SystemActor("messages.watch")


def roll_up(core: Core, period: datetime) -> int:  # noqa: ARG001 - goes on from its mark, whatever period asks
    """Count the hours anew whose messages changed. Broken off, the next run begins at the same mark.

    Returns:
        How many hours were counted.
    """
    # Read before the hours are: what changes meanwhile is after the mark, and counted by the next run.
    now = core.clock.now()
    with core.db.reading() as session:
        hours = messages.changed_hours(session, now=now)
    for hour in hours:
        core.db.run(lambda session, hour=hour: messages.sum_up_hour(session, hour))  # type: ignore[misc]
    core.db.run(lambda session: messages.move_mark(session, now))
    in_batches(core, lambda session, at, limit: messages.forget_hours(session, at - messages.FORGOTTEN_AFTER, limit=limit))
    return len(hours)


def watch(core: Core, period: datetime) -> int:  # noqa: ARG001 - looks at the present
    """Open an incident for each trouble of the messages, once, and close those that are over.

    Returns:
        How many were opened or closed.
    """

    def work(session: Session) -> int:
        now = core.clock.now()
        holding = {(each.kind, each.subject): each for each in message_rules.troubles(messages.watched(session, now=now))}
        open_ones = set(operation_queries.open_subjects(session, message_rules.KINDS))
        for kind, subject in holding.keys() - open_ones:
            operations.open_incident(session, kind, subject, details=dict(holding[kind, subject].details), now=now)
        for kind, subject in open_ones - holding.keys():
            operations.resolve_incident(session, kind, subject, actor=_ACTOR, now=now)
        return len(holding.keys() ^ open_ones)

    return core.db.run(work)


def build_reach(core: Core, period: datetime) -> int:  # noqa: ARG001 - counts the present
    """Count anew whom each message would reach; return how many rows that makes."""
    return core.db.run(lambda session: reach.build(session, appid=core.wechat.appid, now=core.clock.now()))


def sum_up_allowances(core: Core, period: datetime) -> int:  # noqa: ARG001 - goes on from its mark
    """Count anew the allowances of the days since the last run; return how many days."""
    return core.db.run(lambda session: reach.sum_up_allowances(session, now=core.clock.now()))
