"""Rules and tiers of the demonstration, there before its members are."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from server.flows.rule_lab import last_month
from server.kernel.clock import business_date
from server.points import drafts, dry_runs
from server.points import service as points
from server.points.rulebook import RuleDraft
from server.points.rules import EVENT, MULTIPLIER, PER_AMOUNT
from server.tiers import service as tiers

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

_SINCE = timedelta(days=365)


_RULES = (
    RuleDraft("member-day", MULTIPLIER, "每月8日会员日双倍积分", {"percent": 200, "month_days": [8]}),
    RuleDraft(
        "online-bonus",
        PER_AMOUNT,
        "网店加赠",
        {
            "fen_per_point": 1000,
            "channels": ["mall"],
            "stacks": True,
            "max_points_in_all": 20000,
            "expiry": {"kind": "month_end", "count": 3},
        },
    ),
    RuleDraft("welcome", EVENT, "入会有礼", {"event": "sign_up", "points": 20, "expiry": {"kind": "days", "count": 365}}),
    RuleDraft(
        "thanks",
        EVENT,
        "评价有礼",
        {"event": "ticket_rated", "points": 5, "max_times_per_day": 3, "expiry": {"kind": "days", "count": 365}},
    ),
    RuleDraft(
        "double-weekend",
        PER_AMOUNT,
        "周末双倍积分",
        {"fen_per_point": 50, "max_points_per_day": 2000, "expiry": {"kind": "month_end", "count": 6}},
        enabled=False,
    ),
)
# What the shop has in mind, tried out on the last month.
_DRAFTS = (
    RuleDraft("weekend", MULTIPLIER, "周末积分1.5倍", {"percent": 150, "weekdays": [6, 7]}),
    RuleDraft(
        "purchase", PER_AMOUNT, "Purchase points", {"fen_per_point": 120, "rounding": "half_up", "expiry": {"kind": "year_end", "count": 1}}
    ),
)


def load(session: Session, demo: DemoContext) -> None:
    """Write the default rules with some of every kind, one of them switched off, drafts with a dry run, and the default tiers."""
    tiers.ensure_default_tiers(session)
    # There before the first sale: what is told or claimed late earns by the rules of its own day.
    if points.ensure_default_rules(session, actor=demo.actor, now=demo.now - _SINCE):
        for rule in _RULES:
            points.save_rule(session, rule, actor=demo.staff("operations"), now=demo.now)
        for draft in _DRAFTS:
            drafts.save(session, draft, actor=demo.staff("operations"), now=demo.now)
        # The job does it as soon as it runs, and then the orders are there.
        since, until = last_month(business_date(demo.now, demo.core.settings.zone))
        dry_runs.ask(session, since, until, actor=demo.staff("operations"), now=demo.now)
