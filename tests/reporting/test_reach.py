"""The forecast puts every member into the count that sending itself would."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from server.kernel.db import Base
from server.kernel.ids import uuid7
from server.notifications import service
from server.notifications.templates import REGISTRY, BirthdayGreeting, OrderShipped, Topic
from server.reporting import reach
from tasks.jobs import message_figures as job
from tasks.jobs import notifications as sending
from tests.factories.members import a_member
from tests.factories.notifications import a_grant, all_templates
from tests.reporting.test_messages import make

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.clock import MovableClock

pytestmark = [pytest.mark.committing, pytest.mark.requirement("NTF2")]
NOW = datetime(2026, 6, 15, 4, 20, tzinfo=UTC)
GREETING, SHIPPED = "birthday_greeting", "order_shipped"


def wechat(session, member_id, appid) -> None:
    values = {"id": uuid7(), "member_id": member_id, "channel": f"wechat:{appid}", "external_index": str(uuid7())}
    session.execute(sa.insert(Base.metadata.tables["member_identities"]).values(**values, external_sealed="x", created_at=NOW))


def forecast(core: Core, template: str) -> reach.Forecast:
    with core.db.reading() as session:
        return next(one for one in reach.forecasts(session) if one.template == template)


def people(core: Core, clock: MovableClock, number: int = 60):
    """Make members of every sort; return their ids."""
    die = random.Random(7)

    def work(session):
        all_templates(session, now=NOW)
        found = []
        for place in range(number):
            member_id = a_member(session, now=NOW)
            found.append(member_id)
            of = Base.metadata.tables["members"]
            status = die.choice(("active", "active", "active", "frozen", "deleting"))
            session.execute(sa.update(of).where(of.c.id == member_id).values(status=status))
            for code in (GREETING, SHIPPED):
                for grant in range(die.randrange(4)):
                    a_grant(session, member_id, key=f"{place}:{code}:{grant}", template=code, now=NOW)
            if die.random() < 0.2:
                service.choose(session, member_id, die.choice(("offers", "orders")), "subscribe", allowed=False, now=NOW)
            for _ in range(die.choice((0, 0, 2, 3))):
                row_id = make(session, member_id, NOW - timedelta(days=2), "sent", template="tier_upgraded")
                table = Base.metadata.tables["notification_messages"]
                session.execute(sa.update(table).where(table.c.id == row_id).values(sent_at=NOW - timedelta(days=2)))
        return found

    clock.set(NOW)
    return core.db.run(work)


def test_the_forecast_agrees_with_what_sending_does(core: Core, clock: MovableClock) -> None:
    ids = people(core, clock)
    # A quarter never used the mini-program.
    of = Base.metadata.tables["member_identities"]
    core.db.run(lambda session: session.execute(sa.delete(of).where(of.c.member_id.in_(ids[::4]))))
    table = Base.metadata.tables["members"]
    with core.db.reading() as session:
        here = session.scalars(sa.select(table.c.id).where(table.c.status.in_(("active", "frozen")))).all()
    job.build_reach(core, NOW)
    before = {code: forecast(core, code) for code in (GREETING, SHIPPED)}
    for code, message in ((SHIPPED, OrderShipped("1", "顺丰", "SF1", NOW)), (GREETING, BirthdayGreeting("小满", "礼", date(2026, 7, 1)))):

        def ask(session, code=code, message=message):
            return [service.request(session, member_id, message, key=f"{code}:{member_id}", now=NOW) for member_id in here]

        sending.deliver_batch(core, core.db.run(ask))
        table = Base.metadata.tables["notification_messages"]
        with core.db.reading() as session:
            rows = session.execute(sa.select(table.c.state, table.c.reason).where(table.c.key.startswith(f"{code}:"))).all()
        became = Counter(reason or state for state, reason in rows)
        told = before[code]
        assert (told.reachable, told.muted, told.no_wechat, told.no_grant, told.capped) == tuple(
            became[name] for name in ("sent", "preference", "no_wechat", "no_grant", "contact_cap")
        )
        assert told.reachable > 0
        assert told.members == len(here) < len(ids)
    assert before[GREETING].capped > 0
    assert before[SHIPPED].capped == 0


def test_how_many_messages_can_follow_each_other(core: Core, clock: MovableClock) -> None:
    clock.set(NOW)

    def work(session):
        for count in (0, 1, 2, 5, 12):
            member_id = a_member(session, now=NOW)
            for number in range(count):
                a_grant(session, member_id, key=f"{member_id}:{number}", template=SHIPPED, now=NOW)

    core.db.run(work)
    job.build_reach(core, NOW)
    found = forecast(core, SHIPPED)
    assert (found.reachable, found.after, found.no_grant) == (4, {2: 3, 3: 2, 5: 2, 10: 1}, 1)
    job.build_reach(core, NOW)
    assert forecast(core, SHIPPED) == found
    with core.db.reading() as session:
        assert reach.counted_at(session) == NOW
        assert {one.template for one in reach.forecasts(session)} == set(REGISTRY)
        assert sum(one.members for one in reach.by_tier(session, SHIPPED)) == 5
        assert Topic.ORDERS in {REGISTRY[one.template].topic for one in reach.forecasts(session)}


def test_a_second_openid_counts_a_member_once(core: Core, clock: MovableClock) -> None:
    clock.set(NOW)

    def work(session):
        member_id = a_member(session, now=NOW)
        wechat(session, member_id, core.wechat.appid)
        a_grant(session, member_id, key="one", template=SHIPPED, now=NOW)

    core.db.run(work)
    job.build_reach(core, NOW)
    assert (forecast(core, SHIPPED).members, forecast(core, SHIPPED).reachable) == (1, 1)


def test_allowances_are_summed_by_the_shops_day(core: Core, clock: MovableClock) -> None:
    late = datetime(2026, 6, 14, 15, 59, tzinfo=UTC)  # a minute to midnight in Shanghai

    def work(session):
        member_id = a_member(session, now=late)
        a_grant(session, member_id, key="a", template=SHIPPED, now=late)
        a_grant(session, member_id, key="b", template=SHIPPED, now=late + timedelta(minutes=1))
        a_grant(session, member_id, key="c", template=GREETING, now=NOW)

    core.db.run(work)
    clock.set(NOW)
    assert job.sum_up_allowances(core, NOW) == 2
    core.db.run(lambda session: a_grant(session, a_member(session, now=NOW), key="d", template=SHIPPED, now=NOW))
    assert job.sum_up_allowances(core, NOW) == 1
    with core.db.reading() as session:
        found = reach.allowances(session, first=date(2026, 6, 13), last=date(2026, 6, 15))
        assert [(one.credited, one.spent, one.lost) for one in found] == [(0, 0, 0), (1, 0, 0), (3, 0, 0)]
        one = reach.allowances(session, first=date(2026, 6, 15), last=date(2026, 6, 15), template=SHIPPED)
        assert [(each.day, each.credited) for each in one] == [(date(2026, 6, 15), 2)]
