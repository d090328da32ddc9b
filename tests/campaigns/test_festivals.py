"""Festivals are celebrated once with each member, whatever breaks off, races or stands still."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.campaigns import festival_queries as queries
from server.campaigns import festivals
from server.campaigns import service as campaigns
from server.campaigns.errors import FestivalChangedError, FestivalInvalidError, FestivalNotRunningError, FestivalUnknownError
from server.campaigns.festival_rules import PRESETS, SOLAR, FestivalDay, FestivalPlan
from server.coupons import queries as coupons
from server.coupons import service as coupon_service
from server.coupons.rules.terms import Kind, Limits, TemplateDraft, Terms, Validity
from server.kernel.db import Base
from server.kernel.ids import uuid7
from server.kernel.pagination import PageRequest
from server.notifications import queries as notifications
from server.notifications.queries import MessageFilter
from server.points import queries as points
from tasks.jobs import festivals as job
from tests.factories.members import SYSTEM, a_member

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.clock import MovableClock

pytestmark = [pytest.mark.committing, pytest.mark.requirement("NTF5")]
EVE = datetime(2026, 9, 30, 4, 0, tzinfo=UTC)  # noon in Shanghai, the day before National Day
TEN = datetime(2026, 10, 1, 2, 0, tzinfo=UTC)  # its ten o'clock
ALL = PageRequest.of(100, None)
CODE = "national_day"


def people(core: Core, number: int, *, willing: bool = True) -> list[UUID]:
    def work(session):
        found = []
        for _ in range(number):
            member_id = a_member(session, now=core.clock.now() - timedelta(days=1))
            found.append(member_id)
            say(session, member_id, core.clock.now() - timedelta(days=1), granted=willing)
        return found

    return core.db.run(work)


def say(session, member_id, at, *, granted: bool) -> None:
    values = {"id": uuid7(), "member_id": member_id, "purpose": "marketing", "policy_version": "1", "granted": granted, "source": "tests"}
    session.execute(sa.insert(Base.metadata.tables["member_consents"]).values(**values, occurred_at=at))


def begin(core: Core, clock: MovableClock, plan: FestivalPlan | None = None, code: str = CODE, at: datetime = EVE) -> None:
    clock.set(at)

    def work(session):
        festivals.set_festival(session, code, plan or replace(PRESETS[CODE], points=66), actor=SYSTEM, now=at)
        festivals.switch(session, code, on=True, actor=SYSTEM, reason="开始", now=at)

    core.db.run(work)


def run(core: Core) -> int:
    return job.celebrate(core, core.clock.now())


def available(core: Core, member_id: UUID) -> int:
    with core.db.reading() as session:
        return points.balance(session, member_id).available


def read(core: Core, work):
    with core.db.reading() as session:
        return work(session)


def only_run(core: Core) -> queries.RunView:
    return read(core, lambda session: queries.runs(session))[0]


def greetings(core: Core) -> list[UUID]:
    found = read(core, lambda session: notifications.messages(session, MessageFilter(template="festival_greeting"), ALL).items)
    return sorted(message.member_id for message in found)


def test_a_festival_brings_greeting_points_and_coupon_once_at_its_hour(core: Core, clock: MovableClock) -> None:
    clock.set(EVE)

    def offer(session):
        terms = Terms("国庆券", Kind.AMOUNT_OFF, amount_off_fen=1000)
        draft = TemplateDraft("guoqing", terms, Validity(days=30), Limits(stock=1, per_member=None), claim_centre=False)
        coupon_service.publish_template(
            session, coupon_service.create_template(session, draft, actor=SYSTEM, now=EVE), actor=SYSTEM, now=EVE
        )

    core.db.run(offer)
    ids = people(core, 2)
    begin(core, clock, replace(PRESETS[CODE], points=66, coupon_code="guoqing"))
    assert run(core) == 0
    clock.set(TEN - timedelta(minutes=1))
    assert run(core) == 0
    clock.set(TEN)
    assert run(core) == 2
    assert run(core) == 0
    assert [available(core, member_id) for member_id in ids] == [66, 66]
    assert greetings(core) == sorted(ids)
    found = only_run(core)
    assert (found.state, found.given, found.refused, found.year) == ("done", 2, 0, 2026)
    gifts = read(core, lambda session: queries.gifts(session, found.id, ALL)).items
    # The second coupon was sold out: points and greeting came all the same, and the row tells it.
    assert sorted((gift.coupon_id is not None, gift.problem) for gift in gifts) == [(False, "sold_out"), (True, None)]
    wallets = [read(core, lambda session, of=of: coupons.wallet(session, of, None, ALL, now=TEN)).items for of in ids]
    assert sorted(len(wallet) for wallet in wallets) == [0, 1]
    clock.set(TEN + timedelta(days=365))
    assert run(core) == 2
    assert [available(core, member_id) for member_id in ids] == [132, 132]


def test_only_active_members_who_agreed_are_addressed(core: Core, clock: MovableClock) -> None:
    clock.set(EVE)
    willing, frozen, withdrawn = people(core, 3)
    people(core, 2, willing=False)

    def work(session):
        a_member(session, now=EVE - timedelta(days=1))
        members = Base.metadata.tables["members"]
        session.execute(sa.update(members).where(members.c.id == frozen).values(status="frozen"))
        say(session, withdrawn, EVE, granted=False)

    core.db.run(work)
    begin(core, clock)
    clock.set(TEN)
    run(core)
    assert greetings(core) == [willing]


def test_what_breaks_off_in_the_middle_goes_on_without_doubling_or_leaving_out(core: Core, clock: MovableClock, monkeypatch) -> None:
    clock.set(EVE)
    ids = people(core, 25)
    begin(core, clock)
    clock.set(TEN)
    monkeypatch.setattr(job, "_PIECE", 7)
    give, seen = festivals._give, [0]

    def breaks(*args):
        seen[0] += 1
        if seen[0] in {4, 15, 16, 30}:
            raise KeyboardInterrupt  # as when the process is killed: nothing of the piece is committed
        return give(*args)

    monkeypatch.setattr(festivals, "_give", breaks)
    broken = 0
    for _ in range(10):
        try:
            run(core)
        except KeyboardInterrupt:
            broken += 1
    assert broken == 4
    assert greetings(core) == sorted(ids)
    assert {available(core, member_id) for member_id in ids} == {66}
    assert (only_run(core).state, only_run(core).given) == ("done", 25)


def test_workers_at_once_give_each_member_once(core: Core, clock: MovableClock, monkeypatch) -> None:
    clock.set(EVE)
    ids = people(core, 16)
    begin(core, clock)
    clock.set(TEN)
    monkeypatch.setattr(job, "_PIECE", 3)
    gate = Barrier(3)

    def one(_):
        gate.wait()
        return run(core)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, range(3)))
    assert greetings(core) == sorted(ids)
    assert {available(core, member_id) for member_id in ids} == {66}
    assert len(read(core, lambda session: queries.runs(session))) == 1
    assert only_run(core).given == 16


def test_a_standstill_is_made_up_for_and_too_long_a_one_is_listed(core: Core, clock: MovableClock) -> None:
    clock.set(EVE)
    ids = people(core, 1)
    begin(core, clock)
    clock.set(TEN + timedelta(days=7))
    assert run(core) == 1
    assert only_run(core).celebrated_on == date(2026, 10, 1)
    message = read(core, lambda session: notifications.messages(session, MessageFilter(member_id=ids[0]), ALL)).items[0]
    assert (message.state, message.reason) == ("skipped", "stale")  # in the inbox; a week late nobody is disturbed
    clock.set(datetime(2027, 10, 20, 4, tzinfo=UTC))
    assert run(core) == 0
    assert [(one.year, one.state) for one in read(core, lambda session: queries.runs(session))] == [(2027, "given_up"), (2026, "done")]


def test_what_was_off_is_not_made_up_for(core: Core, clock: MovableClock) -> None:
    clock.set(EVE)
    people(core, 1)
    begin(core, clock)
    core.db.run(lambda session: festivals.switch(session, CODE, on=False, actor=SYSTEM, now=EVE))
    clock.set(TEN + timedelta(days=1))
    assert run(core) == 0
    core.db.run(lambda session: festivals.switch(session, CODE, on=True, actor=SYSTEM, now=clock.now()))
    assert run(core) == 0
    assert read(core, lambda session: queries.runs(session)) == []


def test_a_celebration_keeps_its_plan_and_can_be_stopped(core: Core, clock: MovableClock, monkeypatch) -> None:
    clock.set(EVE)
    people(core, 6)
    begin(core, clock)
    clock.set(TEN)
    monkeypatch.setattr(job, "_PIECE", 2)
    monkeypatch.setattr(job, "_MOST_PIECES", 1)
    run(core)
    core.db.run(lambda session: festivals.set_festival(session, CODE, replace(PRESETS[CODE], points=99), actor=SYSTEM, now=TEN))
    run(core)
    found = only_run(core)
    gifts = read(core, lambda session: queries.gifts(session, found.id, ALL)).items
    assert [gift.points for gift in gifts] == [66] * 4
    core.db.run(lambda session: festivals.stop_run(session, found.id, actor=SYSTEM, reason="内容有误", now=TEN))
    assert run(core) == 0
    assert (only_run(core).state, only_run(core).given) == ("stopped", 4)
    with pytest.raises(FestivalNotRunningError):
        core.db.run(lambda session: festivals.stop_run(session, found.id, actor=SYSTEM, now=TEN))


def test_moving_the_day_brings_no_second_celebration_that_year(core: Core, clock: MovableClock) -> None:
    clock.set(EVE)
    people(core, 1)
    begin(core, clock)
    clock.set(TEN)
    assert run(core) == 1
    later = replace(PRESETS[CODE], points=66, day=FestivalDay(SOLAR, month=10, day=9))
    core.db.run(lambda session: festivals.set_festival(session, CODE, later, actor=SYSTEM, now=TEN))
    clock.set(TEN + timedelta(days=8))
    assert run(core) == 0


def test_a_plan_that_cannot_be_is_refused_and_leaves_nothing(core: Core, clock: MovableClock) -> None:
    clock.set(EVE)
    good = FestivalPlan("店庆", FestivalDay(SOLAR, month=11, day=26), "店庆快乐")
    wrong = [
        (replace(good, name=" "), "name"), (replace(good, greeting=""), "greeting"), (replace(good, points=-1), "points"),
        (replace(good, points_by_tier={"gold": 100_001}), "points"), (replace(good, valid_days=0), "valid_days"),
        (replace(good, send_from=24), "send_from"), (replace(good, coupon_code="none"), "coupon_code"),
        (replace(good, day=FestivalDay(SOLAR, month=2, day=31)), "day"),
    ]  # fmt: skip
    for plan, field in wrong:
        with pytest.raises(FestivalInvalidError) as refused:
            core.db.run(lambda session, plan=plan: festivals.set_festival(session, "anniversary", plan, actor=SYSTEM, now=EVE))
        assert set(refused.value.fields) == {field}
    with pytest.raises(FestivalUnknownError):
        core.db.run(lambda session: festivals.switch(session, "anniversary", on=True, actor=SYSTEM, now=EVE))
    assert len(read(core, lambda session: queries.festivals(session))) == len(PRESETS)


def test_each_change_is_a_version_and_nobody_overwrites_another(core: Core, clock: MovableClock) -> None:
    clock.set(EVE)
    good = FestivalPlan("店庆", FestivalDay(SOLAR, month=11, day=26), "店庆快乐")

    def set_it(plan, expected):
        return core.db.run(lambda session: festivals.set_festival(session, "anniversary", plan, actor=SYSTEM, expected=expected, now=EVE))

    assert set_it(good, 0) == 1
    assert set_it(good, 1) == 1
    assert set_it(replace(good, points=5), 1) == 2
    with pytest.raises(FestivalChangedError):
        set_it(replace(good, points=6), 1)
    found = read(core, lambda session: queries.versions(session, "anniversary"))
    assert [(one.version, one.plan.points) for one in found] == [(2, 5), (1, 0)]


def test_a_joined_record_is_not_given_again_and_a_leaver_leaves_nothing(core: Core, clock: MovableClock, monkeypatch) -> None:
    clock.set(EVE)
    first, second = sorted(people(core, 2))
    begin(core, clock)
    clock.set(TEN)
    monkeypatch.setattr(job, "_PIECE", 1)
    monkeypatch.setattr(job, "_MOST_PIECES", 1)
    run(core)
    core.db.run(lambda session: campaigns.merge_members(session, first, second, now=TEN))
    run(core)
    assert available(core, second) == 0
    found = only_run(core)
    assert [gift.member_id for gift in read(core, lambda session: queries.gifts(session, found.id, ALL)).items] == [second]
    core.db.run(lambda session: campaigns.forget_member(session, second, actor=SYSTEM, now=TEN))
    assert read(core, lambda session: queries.gifts(session, found.id, ALL)).items == []


def test_the_next_days_are_those_of_the_calendar() -> None:
    days = festivals.next_days(PRESETS["new_years_eve"], date(2026, 2, 16), 3)
    assert days == [date(2026, 2, 16), date(2027, 2, 5), date(2028, 1, 25)]
    assert festivals.next_days(PRESETS["qixi"], date(2099, 1, 1), 3) == [PRESETS["qixi"].day.in_year(2099)]
