"""Sums of what the demonstration made, so that whoever opens a page at once sees it as it is from the first hour on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.reporting import messages, reach

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext


def load(session: Session, demo: DemoContext) -> None:
    """Sum up the messages by hour, whom each message can reach, and the allowances by day."""
    session.flush()
    for hour in messages.changed_hours(session, now=demo.now):
        messages.sum_up_hour(session, hour)
    messages.move_mark(session, demo.now)
    reach.build(session, appid=demo.core.wechat.appid, now=demo.now)
    reach.sum_up_allowances(session, now=demo.now)
