"""Rules and tiers of the demonstration, there before its members are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.points import service as points
from server.points.rulebook import RuleDraft
from server.points.rules import PER_AMOUNT
from server.tiers import service as tiers

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext


def load(session: Session, demo: DemoContext) -> None:
    """Write the default rules, a rule that the shop has switched off, and the default tiers."""
    tiers.ensure_default_tiers(session)
    if points.ensure_default_rules(session, actor=demo.actor, now=demo.now):
        document = {"fen_per_point": 50, "max_points_per_day": 2000, "expiry": {"kind": "month_end", "count": 6}}
        draft = RuleDraft("double-weekend", PER_AMOUNT, "周末双倍积分", document, enabled=False)
        points.save_rule(session, draft, actor=demo.actor, now=demo.now)
