"""Growth of the demonstration: a rule, the growth of all its orders, members at risk, one tier held by hand, and a draft to look at."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from server.flows import growth
from server.kernel.clock import business_date
from server.tiers import queries, service
from server.tiers.qualifying import Formula

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

# The sample's baskets are small.
RULE = Formula(thresholds={"silver": 300, "gold": 1_200, "black": 4_000})
_BATCH = 500
_AT_RISK, _LOCKED = 6, 1


def load(session: Session, demo: DemoContext) -> None:
    """Publish the rule, work out the growth of the orders, and let time and staff have done their part."""
    if not queries.definitions(session) or queries.rule_holds(session):
        return
    service.save_draft(session, RULE, edits=None, actor=demo.actor, now=demo.now)
    service.publish(session, edits=0, reason="开业规则", actor=demo.actor, now=demo.now)
    plain = [member_id for member_id in demo.members if queries.of_member(session, member_id).code == "standard"]
    chosen = demo.rng.sample(plain, min(_AT_RISK + _LOCKED, len(plain)))
    for member_id in chosen[_LOCKED:]:
        # A year ago less a few weeks: the period ends soon.
        since = demo.now - timedelta(days=365 - demo.rng.randrange(3, 28))
        service.assign(session, member_id, "gold", reason="老会员等级迁移", actor=demo.actor, now=since)
    while growth.build(session, demo.now, _BATCH):
        pass
    for member_id in chosen[:_LOCKED]:
        until = business_date(demo.now, demo.core.settings.zone) + timedelta(days=180)
        service.lock(session, member_id, until, reason="企业客户协议", tier_code="gold", actor=demo.actor, now=demo.now)
    while service.reassess_due(session, demo.now, _BATCH):
        pass
    draft = replace(RULE, per_order=20, thresholds={**RULE.thresholds, "gold": 900})
    service.save_draft(session, draft, edits=None, actor=demo.actor, now=demo.now)
