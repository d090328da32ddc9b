"""Control of the demonstration's points: closed months, points that expire soon, adjustments and a file of balances for a second person."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from server.cards import queries as cards
from server.flows import adjustments, approvals, month_close, opening
from server.kernel.actors import StaffActor
from server.kernel.amounts import Points
from server.kernel.clock import business_date, end_of_day
from server.kernel.ids import uuid7
from server.kernel.source import Source
from server.points import months, reminders, service

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

_EXPIRING = 24
_BALANCES = 12


def load(session: Session, demo: DemoContext) -> None:
    """Give some members points that end soon, tell them, let two members of staff share a decision, and close the months that are over."""
    if not demo.members:
        return
    _expiring(session, demo)
    clerk, manager = demo.staff("service"), demo.staff("operations")
    first, second = demo.rng.sample(demo.members, 2)
    decided = _ask(session, demo, first, 1500, "门店系统故障漏积分，已核对小票", clerk)
    if decided is not None:
        approvals.approve(session, decided, reason="小票已核对", actor=manager, now=demo.now)
    _ask(session, demo, second, 2000, "直播间承诺的赠送积分未到账", clerk)
    _opening(session, demo, clerk)
    for month in month_close.due(session, demo.now):
        closing = months.work_out(session, month, cutoff=uuid7())
        month_close.close(session, closing, actor=demo.actor, now=demo.now)


def _expiring(session: Session, demo: DemoContext) -> None:
    zone, till = demo.core.settings.zone, demo.facts["partners.till"]
    for number, member_id in enumerate(demo.rng.sample(demo.members, min(_EXPIRING, len(demo.members)))):
        day = business_date(demo.now, zone) + timedelta(days=5 if number % 3 == 0 else 26)
        service.accrue(
            session,
            member_id,
            Points(20 * demo.rng.randrange(1, 12)),
            source=Source(f"partner:{till.partner_id}", f"member-day:{member_id.hex}"),
            reason="会员日赠送积分",
            actor=till,
            now=demo.now,
            expires_at=end_of_day(day, zone),
        )
    reminders.remind_expiring(session, demo.now)


def _opening(session: Session, demo: DemoContext, actor: StaffActor) -> None:
    """Bring balances of an older system, one of them of nobody; they wait for a second person."""
    numbers = sorted(cards.numbers_of(session, demo.members).values())[:_BALANCES]
    rows = [f"{number},{50 * demo.rng.randrange(1, 30)},旧收银系统余额" for number in numbers]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "balances.csv"
        path.write_text("\n".join(["卡号,积分,备注", *rows, "000000,300,旧收银系统余额", ""]), encoding="utf-8")
        opening_id = opening.stage(session, path, name="旧收银系统积分余额.csv", actor=actor, now=demo.now)
    if numbers:
        opening.ask(session, opening_id, reason="旧收银系统停用，余额转入", actor=actor, now=demo.now)


def _ask(session: Session, demo: DemoContext, member_id: UUID, points: int, reason: str, actor: StaffActor) -> UUID | None:
    once = f"demo-{points}"
    return adjustments.adjust(session, member_id, Points(points), once=once, reason=reason, actor=actor, now=demo.now).approval_id
