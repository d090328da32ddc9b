"""The demonstration's messages."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from server.kernel.actors import SystemActor
from server.notifications import service
from server.notifications.models import NotificationMessage
from server.notifications.templates import CouponExpiring
from tasks.demo import DemoContext, notifications
from tests.factories.members import a_member
from tests.factories.notifications import a_grant

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from server.bootstrap import Core
    from server.kernel.clock import MovableClock


def told_at_night(session: Session, demo: DemoContext, member_id: UUID) -> None:
    at = demo.now - timedelta(hours=7)
    a_grant(session, member_id, key="night", now=at, template="coupon_expiring")
    service.request(session, member_id, CouponExpiring("新人礼", at + timedelta(days=3)), key="night", now=at)
    notifications.send_waiting(session, demo, member_id, at)


def test_no_message_was_sent_or_read_after_the_present(core: Core, clock: MovableClock) -> None:
    clock.set(datetime(2026, 6, 15, 0, 30, tzinfo=UTC))  # half past eight in the shop's morning
    people = core.db.run(lambda session: [a_member(session, now=clock.now(), openid=f"o{number}") for number in range(30)])
    demo = DemoContext(
        now=clock.now(), rng=random.Random(7), actor=SystemActor("demo"), sample_dir=Path(), core=core, members=people, facts={}
    )
    core.db.run(lambda session: notifications.load(session, demo))
    core.db.run(lambda session: told_at_night(session, demo, people[0]))
    with core.db.reading() as session:
        rows = session.scalars(sa.select(NotificationMessage)).all()
    assert {"sent", "delivered"} & {row.state for row in rows}
    times = [at for row in rows for at in (row.created_at, row.sent_at, row.delivered_at, row.read_at) if at is not None]
    assert any(row.read_at for row in rows)
    assert max(times) <= demo.now
