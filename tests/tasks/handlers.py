"""Handlers and jobs that tests subscribe; each leaves a row in ``task_effects`` for every time it took effect.

The table has no unique key on purpose: an effect that happens twice shows as two rows.
"""

from __future__ import annotations

import sqlalchemy as sa

from server.kernel.errors import ConflictError

METADATA = sa.MetaData()
EFFECTS = sa.Table(
    "task_effects",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("event_key", sa.String(191), nullable=False),
    mysql_engine="InnoDB",
)
FACTS = sa.Table(
    "task_facts",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    mysql_engine="InnoDB",
)


class NotTodayError(ConflictError):
    code = "not_today"
    message = "Not today."


def count(session, event, core):
    session.execute(EFFECTS.insert().values(event_key=event.key))


def count_then_fail(session, event, core):
    count(session, event, core)
    if event.payload.get("fails"):
        raise NotTodayError
    if event.payload.get("breaks"):
        raise RuntimeError("a phone 13800138000 in the text")


def count_alone(core, event):
    core.db.run(lambda session: count(session, event, core))


def count_period(core, period):
    core.db.run(lambda session: session.execute(EFFECTS.insert().values(event_key=period.isoformat())))
    return 1


def count_many(core, events):
    if any(event.payload.get("breaks") for event in events):
        raise RuntimeError
    for event in events:
        count_alone(core, event)
