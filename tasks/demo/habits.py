"""What the demonstration's members do with points: check in for some days, redeem some; staff put one balance right."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from server.flows import adjustments
from server.kernel.actors import MemberActor
from server.kernel.amounts import Points
from server.kernel.pagination import PageRequest
from server.kernel.source import Source
from server.points import queries, service
from server.points.errors import AlreadyCheckedInError, InsufficientPointsError

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

_MEMBERS = 40
_DAYS = 12
_MISSED = 0.2


def load(session: Session, demo: DemoContext) -> None:
    """Let a third of the members check in; each begins after their last entry, so that statements stay in order."""
    chosen = demo.rng.sample(demo.members, min(_MEMBERS, len(demo.members)))
    service.unlock_due(session, demo.now, limit=5000)
    for number, member_id in enumerate(chosen):
        instant = _begin(session, demo, member_id)
        while instant <= demo.now:
            if demo.rng.random() > _MISSED:
                _check_in(session, member_id, instant)
            instant += timedelta(days=1)
        if number % 4 == 0:
            _redeem(session, demo, member_id)
    if chosen:
        clerk = demo.staff("service")
        adjustments.adjust(session, chosen[0], Points(88), once="demo-88", reason="活动漏发积分补偿", actor=clerk, now=demo.now)


def _begin(session: Session, demo: DemoContext, member_id: UUID) -> datetime:
    last = queries.entries(session, member_id, PageRequest(limit=1)).items
    earliest = demo.now - timedelta(days=demo.rng.randrange(1, _DAYS), minutes=demo.rng.randrange(600))
    return max(earliest, last[0].occurred_at + timedelta(minutes=demo.rng.randrange(1, 600))) if last else earliest


def _check_in(session: Session, member_id: UUID, instant: datetime) -> None:
    try:
        service.check_in(session, member_id, actor=MemberActor(member_id), now=instant)
    except AlreadyCheckedInError:
        return


def _redeem(session: Session, demo: DemoContext, member_id: UUID) -> None:
    available = queries.balance(session, member_id, now=demo.now).available
    if available < 2:  # noqa: PLR2004 - nothing worth redeeming
        return
    source = Source("demo", f"reward:{member_id.hex}")
    try:
        service.redeem(
            session,
            member_id,
            Points(max(1, available // 2)),
            source=source,
            reason="积分兑换礼品",
            actor=MemberActor(member_id),
            now=demo.now,
        )
    except InsufficientPointsError:  # what is left expired in the meantime
        return
