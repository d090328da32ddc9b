from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.campaigns import queries, service
from server.campaigns.errors import PolicyInvalidError
from server.campaigns.rules import BirthdayPolicy, LeapDayRule, celebrated_on
from server.coupons import queries as coupons
from server.coupons import service as coupon_service
from server.coupons.rules.terms import Kind, Limits, TemplateDraft, Terms, Validity
from server.kernel.pagination import PageRequest
from server.members.models import Member
from server.notifications import queries as notifications
from server.points import queries as points
from tasks.jobs import birthdays
from tests.factories.members import SYSTEM, a_member

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.clock import MovableClock

pytestmark = [pytest.mark.committing, pytest.mark.requirement("NTF5")]
NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
ALL = PageRequest.of(100, None)


def with_policy(core: Core, *, stock: int | None = None, coupon: bool = True, **changes) -> None:
    def work(session):
        if coupon:
            terms = Terms("生日券 立减30元", Kind.AMOUNT_OFF, amount_off_fen=3000)
            draft = TemplateDraft("birthday", terms, Validity(days=30), Limits(stock=stock, per_member=None), claim_centre=False)
            template_id = coupon_service.create_template(session, draft, actor=SYSTEM, now=core.clock.now())
            coupon_service.publish_template(session, template_id, actor=SYSTEM, now=core.clock.now())
        policy = BirthdayPolicy(**({"enabled": True, "points": 100, "coupon_code": "birthday" if coupon else None} | changes))
        service.set_birthday_policy(session, policy, actor=SYSTEM, now=core.clock.now())

    core.db.run(work)


def born(core: Core, month: int, day: int, calendar: str = "solar") -> UUID:
    def work(session):
        member_id = a_member(session, now=core.clock.now())
        values = {"birthday_calendar": calendar, "birthday_month": month, "birthday_day": day, "nickname": "小满"}
        session.execute(sa.update(Member).where(Member.id == member_id).values(**values))
        return member_id

    return core.db.run(work)


def gifts(core: Core, member_id: UUID) -> list[queries.GiftView]:
    with core.db.reading() as session:
        return list(queries.gifts(session, ALL, member_id=member_id).items)


def available(core: Core, member_id: UUID) -> int:
    with core.db.reading() as session:
        return points.balance(session, member_id).available


def run(core: Core) -> int:
    return birthdays.celebrate(core, core.clock.now())


def test_a_birthday_brings_points_coupon_and_greeting_once(core: Core, clock: MovableClock) -> None:
    with_policy(core)
    member_id, other_id = born(core, 6, 15), born(core, 6, 16)
    assert run(core) == 1
    assert run(core) == 0
    clock.move(timedelta(hours=3))
    assert run(core) == 0
    assert (available(core, member_id), available(core, other_id)) == (100, 0)
    with core.db.reading() as session:
        assert [coupon.name for coupon in coupons.wallet(session, member_id, None, ALL, now=clock.now()).items] == ["生日券 立减30元"]
        greeting = notifications.inbox(session, member_id, ALL).items[0]
    assert greeting.code == "birthday_greeting"
    assert greeting.texts["gift"] == "100积分 + 生日券 立减30元"
    clock.move(timedelta(days=1))
    assert run(core) == 1
    clock.set(NOW + timedelta(days=365))
    assert run(core) == 1
    assert [gift.year for gift in gifts(core, member_id)] == [2027, 2026]


def test_days_the_product_was_down_are_made_up_for(core: Core, clock: MovableClock) -> None:
    with_policy(core)
    run(core)
    member_id = born(core, 6, 18)
    clock.set(NOW + timedelta(days=9))
    assert run(core) == 1
    assert gifts(core, member_id)[0].celebrated_on == date(2026, 6, 18)
    assert run(core) == 0


def test_a_leap_day_birthday_is_celebrated_in_a_common_year(core: Core, clock: MovableClock) -> None:
    with_policy(core, leap_day=LeapDayRule.DAY_AFTER)
    member_id = born(core, 2, 29)
    clock.set(datetime(2027, 2, 28, 4, tzinfo=UTC))
    assert run(core) == 0
    clock.set(datetime(2027, 3, 1, 4, tzinfo=UTC))
    assert run(core) == 1
    clock.set(datetime(2028, 2, 29, 4, tzinfo=UTC))
    assert run(core) == 1
    assert [gift.year for gift in gifts(core, member_id)] == [2028, 2027]


def test_a_lunar_birthday_is_celebrated_on_its_day(core: Core, clock: MovableClock) -> None:
    with_policy(core)
    member_id = born(core, 5, 1, "lunar")
    assert run(core) == 1
    assert gifts(core, member_id)[0].calendar == "lunar"


def test_changing_the_birthday_brings_no_second_gift(core: Core, clock: MovableClock) -> None:
    with_policy(core)
    member_id = born(core, 6, 15)
    run(core)
    changed = {"birthday_calendar": "lunar", "birthday_month": 6, "birthday_day": 10}
    core.db.run(lambda s: s.execute(sa.update(Member).where(Member.id == member_id).values(**changed)))
    for _ in range(60):
        clock.move(timedelta(days=1))
        run(core)
    assert len(gifts(core, member_id)) == 1
    assert available(core, member_id) == 100


def test_a_change_of_calendar_loses_no_gift(core: Core, clock: MovableClock) -> None:
    with_policy(core)
    member_id = born(core, 1, 5)
    clock.set(datetime(2027, 1, 5, 4, tzinfo=UTC))
    run(core)
    # The twelfth month of the lunar year 2027 lies in 2028: another birthday than that of January 2027, with the same number.
    changed = {"birthday_calendar": "lunar", "birthday_month": 12, "birthday_day": 20}
    core.db.run(lambda s: s.execute(sa.update(Member).where(Member.id == member_id).values(**changed)))
    for day in (datetime(2027, 1, 27, 4, tzinfo=UTC), datetime(2028, 1, 16, 4, tzinfo=UTC)):
        clock.set(day)
        run(core)
    found = gifts(core, member_id)
    assert [(gift.calendar, gift.year, gift.celebrated_on) for gift in found] == [
        ("lunar", 2027, date(2028, 1, 16)),
        ("solar", 2027, date(2027, 1, 5)),
    ]
    assert len({gift.coupon_id for gift in found}) == 2


def test_both_calendars_at_the_same_time_give_once(core: Core, clock: MovableClock) -> None:
    with_policy(core)
    member_id = born(core, 6, 15)
    policy = BirthdayPolicy(enabled=True, points=100, coupon_code="birthday")
    both = celebrated_on(date(2026, 6, 15))
    assert {what.calendar for what in both} == {"solar", "lunar"}
    barrier = Barrier(2)

    def give(number: int) -> bool:
        barrier.wait()
        return core.db.run(
            lambda s: service.give_birthday_gift(
                s, member_id, both[number], celebrated_on=date(2026, 6, 15), policy=policy, actor=SYSTEM, now=NOW
            )
        )

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(give, range(2))) == 1
    assert available(core, member_id) == 100


def test_a_sold_out_coupon_holds_up_nothing_else(core: Core, clock: MovableClock) -> None:
    with_policy(core, stock=1)
    first, second = sorted([born(core, 6, 15), born(core, 6, 15)])
    assert run(core) == 2
    assert gifts(core, first)[0].coupon_problem is None
    late = gifts(core, second)[0]
    assert (late.coupon_id, late.coupon_problem) == (None, "sold_out")
    assert available(core, second) == 100


def test_processes_at_the_same_time_give_once(core: Core, clock: MovableClock) -> None:
    with_policy(core)
    member_id = born(core, 6, 15)
    celebration = celebrated_on(date(2026, 6, 15))[0]
    policy = BirthdayPolicy(enabled=True, points=100, coupon_code="birthday")

    def give(_: int) -> bool:
        return core.db.run(
            lambda s: service.give_birthday_gift(
                s, member_id, celebration, celebrated_on=date(2026, 6, 15), policy=policy, actor=SYSTEM, now=NOW
            )
        )

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(give, range(12))) == 1
    assert available(core, member_id) == 100
    assert len(gifts(core, member_id)) == 1


def test_nothing_is_given_until_staff_say_what(core: Core, clock: MovableClock) -> None:
    member_id = born(core, 6, 15)
    assert run(core) == 0
    with_policy(core, enabled=False)
    assert run(core) == 0
    assert gifts(core, member_id) == []


def test_frozen_members_get_nothing(core: Core, clock: MovableClock) -> None:
    with_policy(core)
    member_id = born(core, 6, 15)
    core.db.run(lambda s: s.execute(sa.update(Member).where(Member.id == member_id).values(status="frozen")))
    assert run(core) == 0


def test_a_policy_out_of_range_is_refused_and_nothing_changes(core: Core) -> None:
    with_policy(core, coupon=False)
    for wrong in (
        BirthdayPolicy(points=-1),
        BirthdayPolicy(valid_days=0),
        BirthdayPolicy(coupon_code="nothing"),
        BirthdayPolicy(points_by_tier={"a": -1}),
    ):
        with pytest.raises(PolicyInvalidError):
            core.db.run(lambda s, wrong=wrong: service.set_birthday_policy(s, wrong, actor=SYSTEM, now=NOW))
    with core.db.reading() as session:
        kept = queries.birthday_policy(session)
    assert kept == BirthdayPolicy(enabled=True, points=100)
    assert core.db.run(lambda s: service.set_birthday_policy(s, kept, actor=SYSTEM, now=NOW)) == 1


def test_a_merge_keeps_the_years_gift_given(core: Core, clock: MovableClock) -> None:
    with_policy(core)
    from_id, into_id = born(core, 6, 15), born(core, 9, 1)
    run(core)
    assert core.db.run(lambda s: service.merge_members(s, from_id, into_id, now=NOW)) == 1
    clock.set(datetime(2026, 9, 1, 4, tzinfo=UTC))
    assert run(core) == 0
    assert len(gifts(core, into_id)) == 1
