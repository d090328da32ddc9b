"""What members are told about their points before they are gone."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID

from server.kernel.clock import business_date
from server.members import queries as members
from server.notifications import service
from server.notifications.points_templates import PointsExpiring
from server.points import queries as points
from server.points import reminders

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.kernel.outbox import Event


def on_points_expiring(session: Session, event: Event, core: Core) -> None:
    """Tell the member what goes on a day, unless it was redeemed or has gone meanwhile. Each day and horizon once."""
    member_id = members.resolve(session, UUID(event.payload["member_id"]))
    now, day = core.clock.now(), date.fromisoformat(event.payload["day"])
    if member_id is None or business_date(now, core.settings.zone) > day:
        return
    count = reminders.expiring_on(session, member_id, day, now=now)
    if not count:
        return
    message = PointsExpiring(count, day, points.balance(session, member_id, now=now).available)
    # By the member who is told: of two records that were merged, both with a notice of the day, one message is left.
    key = f"points_expiring:{member_id}:{day}:{event.payload['horizon_days']}"
    service.request(session, member_id, message, key=key, now=now, occurred_at=event.occurred_at)
