"""Coupons that are issued by themselves: what the news of other domains gives, and the daily look at who stayed away."""

from __future__ import annotations

from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from server.kernel.clock import end_of_day, start_of_day
from server.kernel.errors import DomainError
from server.orders import purchases
from server.triggers import queries, service
from server.triggers.rules import TriggerKind, began_at, lapse_days_to_do, open_at

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.kernel.outbox import Event
    from server.triggers.queries import RuleView

_log = structlog.get_logger("huiban.triggers")
_PAGE = 500
# A backlog beyond this is left to the next day, so that the job does not outlive its time limit.
MOST_IN_A_RUN = 20_000


# --- News ---


def on_member_enrolled(session: Session, event: Event, core: Core) -> None:
    """Give what there is for joining."""
    service.welcome(session, UUID(event.payload["member_id"]), occurred_at=event.occurred_at, now=core.clock.now())


def on_tier_changed(session: Session, event: Event, core: Core) -> None:
    """Give what there is for a tier that was reached; older news, without the change's id, gives nothing."""
    if event.payload.get("upgrade") and "change_id" in event.payload:
        service.reach_tier(session, UUID(event.payload["change_id"]), now=core.clock.now())


def on_order_changed(session: Session, event: Event, core: Core) -> None:
    """Give what a paid order earns, or take it back."""
    service.settle_order(session, UUID(event.payload["order_id"]), now=core.clock.now())


# --- Care ---


def win_back(core: Core, period: datetime) -> int:  # noqa: ARG001 - catches up by itself, whatever period asks
    """Give coupons to members who have not bought for as long as a rule says.

    A rule goes through the days of last purchases, the oldest first, and notes each that is done: broken off, it goes on there, and
    who had theirs is passed over. Who bought meanwhile is not among them.

    Returns:
        How many coupons were given.
    """
    with core.db.reading() as session:
        rules = queries.newest(session, kind=TriggerKind.WIN_BACK)
    room, given = MOST_IN_A_RUN, 0
    for rule in rules:
        if room > 0 and open_at(rule, core.clock.now()):
            tried, coupons = _run_rule(core, rule, room)
            room -= tried
            given += coupons
    return given


def _run_rule(core: Core, rule: RuleView, room: int) -> tuple[int, int]:
    with core.db.reading() as session:
        began = began_at(queries.versions(session, code=rule.code)) or rule.created_at
        done = queries.done_until(session, rule.code)
    began = max(began, rule.valid_from or began)
    tried = given = 0
    clean = True
    for day in lapse_days_to_do(rule.terms, began, done, core.clock.now(), core.db.zone):
        tried_now, coupons, finished = _run_day(core, rule, day, room - tried)
        tried, given = tried + tried_now, given + coupons
        # A day with a failure is looked through again by the next run; later days wait no longer than this one for it.
        clean = clean and finished
        if clean:
            core.db.run(partial(service.finish_day, code=rule.code, day=day, now=core.clock.now()))
        if tried >= room:
            break
    return tried, given


def _run_day(core: Core, rule: RuleView, day: date, room: int) -> tuple[int, int, bool]:
    """Return how many members were tried, how many coupons were given, and whether the day is done."""
    tried = given = 0
    failed = False
    after: UUID | None = None
    since, until = start_of_day(day, core.db.zone), end_of_day(day, core.db.zone)
    while True:
        with core.db.reading() as session:
            found = purchases.last_bought(session, since, until, after=after, limit=_PAGE)
            had = queries.had_for(session, rule.code, [last.order_id.hex for last in found])
        for last in found:
            if last.order_id.hex in had:
                continue
            if tried >= room:
                return tried, given, False
            tried += 1
            try:
                given += core.db.run(partial(service.win_back, rule=rule, last=last, now=core.clock.now()))
            except DomainError as refusal:
                # One member's trouble is nobody else's.
                _log.warning("triggers.refused", member_id=str(last.member_id), code=refusal.code)
                failed = True
        if len(found) < _PAGE:
            return tried, given, not failed
        after = found[-1].member_id
