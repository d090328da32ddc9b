"""What members are told about their tier: reached, about to be lost, lost."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID

from server.members import queries as members
from server.notifications import service
from server.notifications.tier_templates import TierAtRisk, TierDowngraded, TierUpgraded
from server.tiers import queries as tiers

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.kernel.outbox import Event

# Orders of long ago and the joining of two records are no news; what staff give by hand they tell themselves.
_TOLD = frozenset({"upgrade", "downgrade"})


def on_tier_changed(session: Session, event: Event, core: Core) -> None:
    """Tell the member that growth reached a tier, or did not keep one. Each change once."""
    if event.payload.get("cause") not in _TOLD:
        return
    member_id = members.resolve(session, UUID(event.payload["member_id"]))
    if member_id is None:
        return
    names = {tier.code: tier.name for tier in tiers.definitions(session)}
    before, after = (names.get(event.payload[key], event.payload[key]) for key in ("from", "to"))
    kind = TierUpgraded if event.payload["upgrade"] else TierDowngraded
    message = kind(after, before, event.occurred_at)
    key = f"tier_changed:{event.payload['change_id']}"
    service.request(session, member_id, message, key=key, now=core.clock.now(), occurred_at=event.occurred_at)


def on_tier_at_risk(session: Session, event: Event, core: Core) -> None:
    """Warn the member that the tier ends soon, unless growth was earned or the tier changed meanwhile."""
    member_id = members.resolve(session, UUID(event.payload["member_id"]))
    if member_id is None:
        return
    now = core.clock.now()
    standing = tiers.progress(session, member_id, now=now)
    held = tiers.of_member(session, member_id)
    ends_on = date.fromisoformat(event.payload["ends_on"])
    if not standing.at_risk or held.code != event.payload["tier"] or standing.period_ends_on != ends_on or not standing.keep_missing:
        return
    message = TierAtRisk(held.name, standing.keep_missing, ends_on)
    service.request(session, member_id, message, key=f"tier_at_risk:{member_id}:{ends_on}", now=now, occurred_at=event.occurred_at)
