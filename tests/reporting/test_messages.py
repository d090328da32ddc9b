"""The sums of messages say what a plain count says, whatever changes late; and what is in trouble is told once."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from server.kernel.db import Base
from server.kernel.ids import uuid7
from server.operations import queries as operations
from server.reporting import message_rules, messages
from server.reporting.message_rules import Watched, troubles
from tasks.jobs import message_figures as job
from tests.factories.members import a_member

if TYPE_CHECKING:
    from server.bootstrap import Core
    from server.kernel.clock import MovableClock

pytestmark = pytest.mark.requirement("NTF4")
NOW = datetime(2026, 6, 15, 4, 20, tzinfo=UTC)
DAY = timedelta(days=1)
ENDS = (("queued", None), ("queued", "quiet_hours"), ("sent", None), ("delivered", None), ("failed", "rejected_40037"),
        ("failed", "refused_or_no_grant"), ("skipped", "no_grant"), ("uncertain", "timeout"))  # fmt: skip


def make(session, member_id, at, state="sent", reason=None, template="ticket_answered", due=None):
    row_id = uuid7()
    session.execute(
        sa.insert(Base.metadata.tables["notification_messages"]).values(
            id=row_id, key=str(row_id), member_id=member_id, template=template, topic="service", texts={}, in_inbox=True,
            state=state, reason=reason, attempts=0, available_at=due or at, created_at=at, updated_at=at,
        )
    )  # fmt: skip
    return row_id


def change(session, row_id, at, state, reason=None):
    of = Base.metadata.tables["notification_messages"]
    session.execute(sa.update(of).where(of.c.id == row_id).values(state=state, reason=reason, updated_at=at))


def plain(core: Core, since: datetime):
    of = Base.metadata.tables["notification_messages"]
    with core.db.reading() as session:
        return Counter(
            (messages.hour_of(row.created_at), row.template, row.state, row.reason or "")
            for row in session.execute(sa.select(of).where(of.c.created_at >= since))
        )


def summed(core: Core):
    of = Base.metadata.tables["message_hours"]
    with core.db.reading() as session:
        return Counter({(row.hour, row.template, row.state, row.reason): row.messages for row in session.execute(sa.select(of))})


def flow(core: Core, window=DAY):
    with core.db.reading() as session:
        return messages.flow(session, window, now=core.clock.now())


@pytest.mark.committing
def test_the_sums_follow_whatever_changes_however_late(core: Core, clock: MovableClock) -> None:
    die = random.Random(5)
    clock.set(NOW)
    member_id = core.db.run(lambda session: a_member(session, now=NOW))
    ids: list = []
    for _ in range(12):
        clock.move(timedelta(minutes=die.randrange(1, 300)))
        now = clock.now()

        def work(session, now=now):
            for _ in range(die.randrange(6)):
                state, reason = die.choice(ENDS)
                # What a fact says that is told late is made in its own hour.
                ids.append(
                    make(session, member_id, now - timedelta(hours=die.choice((0, 0, 1, 40))), state, reason, die.choice(("a", "b")))
                )
                change(session, ids[-1], now, state, reason)
            for row_id in die.sample(ids, min(len(ids), 3)):
                change(session, row_id, now, *die.choice(ENDS))

        core.db.run(work)
        job.roll_up(core, now)
        assert summed(core) == plain(core, NOW - timedelta(days=30))
    assert job.roll_up(core, clock.now()) >= 1  # within the overlap it is looked at again, and comes to the same
    assert summed(core) == plain(core, NOW - timedelta(days=30))
    clock.move(timedelta(minutes=10))
    job.roll_up(core, clock.now())
    clock.move(timedelta(minutes=10))
    assert job.roll_up(core, clock.now()) == 0  # nothing changed, nothing is counted


@pytest.mark.committing
def test_two_who_sum_up_at_once_come_to_the_same_sums(core: Core, clock: MovableClock) -> None:
    clock.set(NOW)

    def work(session):
        member_id = a_member(session, now=NOW)
        for number in range(40):
            make(session, member_id, NOW - timedelta(hours=number % 4), *ENDS[number % len(ENDS)])

    core.db.run(work)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: job.roll_up(core, NOW), range(4)))
    assert summed(core) == plain(core, NOW - DAY)


@pytest.mark.committing
def test_a_window_holds_whole_hours_and_says_up_to_when_it_is_summed(core: Core, clock: MovableClock) -> None:
    clock.set(NOW)

    def work(session):
        member_id = a_member(session, now=NOW)
        make(session, member_id, NOW - timedelta(hours=23, minutes=20))  # 05:00 the day before: the first of 24 hours
        make(session, member_id, NOW - timedelta(hours=23, minutes=21))
        make(session, member_id, NOW, "failed", "rejected_40037")

    core.db.run(work)
    assert flow(core).summed_until is None
    job.roll_up(core, NOW)
    found = flow(core)
    assert (found.since, found.until) == (datetime(2026, 6, 14, 5, tzinfo=UTC), datetime(2026, 6, 15, 5, tzinfo=UTC))
    assert (found.states, found.summed_until) == ({"sent": 1, "failed": 1}, NOW)
    assert found.reasons == {("failed", "rejected_40037"): 1}
    assert found.templates == {"ticket_answered": {"sent": 1, "failed": 1}}
    assert found.hours[messages.hour_of(NOW)] == {"failed": 1}
    assert sum(flow(core, timedelta(days=7)).states.values()) == 3


def test_hours_past_their_time_are_forgotten(session) -> None:
    member_id = a_member(session, now=NOW)
    make(session, member_id, NOW)
    assert messages.sum_up_hour(session, messages.hour_of(NOW)) == 1
    assert messages.forget_hours(session, messages.hour_of(NOW)) == 0
    assert messages.forget_hours(session, NOW) == 1


def test_what_waits_is_told_apart_by_whether_its_time_has_come(session) -> None:
    member_id = a_member(session, now=NOW)
    make(session, member_id, NOW - DAY, "queued", due=NOW - timedelta(minutes=30))
    make(session, member_id, NOW - DAY, "queued", "quiet_hours", due=NOW + timedelta(hours=1))
    make(session, member_id, NOW - DAY, "uncertain", "timeout")
    found = messages.waiting(session, now=NOW)
    assert (found.due, found.later, found.sending, found.uncertain) == (1, 1, 0, 1)
    assert found.oldest_due_at == NOW - timedelta(minutes=30)


@pytest.mark.parametrize(
    ("seen", "kinds"),
    [
        (Watched(), []),
        (Watched(oldest_seconds=899), []),
        (Watched(oldest_seconds=900), ["messages.waiting"]),
        (Watched(uncertain=19), []),
        (Watched(uncertain=20), ["messages.uncertain"]),
        (Watched(failed=19, tried=19), []),
        (Watched(failed=20, tried=201), []),
        (Watched(failed=20, tried=200), ["messages.failing"]),
        (Watched(refused={"a": (2, 0)}), []),
        (Watched(refused={"a": (3, 3)}), []),
        (Watched(refused={"a": (3, 2), "b": (5, 0)}), ["messages.template_refused"] * 2),
    ],
)
def test_trouble_begins_at_its_limit(seen: Watched, kinds: list[str]) -> None:
    assert [trouble.kind for trouble in troubles(seen)] == kinds


@pytest.mark.parametrize(
    ("state", "reason", "blames"),
    [
        ("failed", "rejected_40037", True), ("failed", "rejected_47003", True), ("failed", "does_not_fit", True),
        ("failed", "refused_or_no_grant", False), ("failed", "quota", False), ("failed", "receipt_1", False),
        ("skipped", "no_grant", False), ("failed", "", False),
    ],
)  # fmt: skip
def test_only_a_refusal_of_the_template_speaks_against_it(state: str, reason: str, *, blames: bool) -> None:
    assert message_rules.blames_template(state, reason) is blames


@pytest.mark.committing
def test_a_trouble_is_told_once_and_ends_by_itself(core: Core, clock: MovableClock) -> None:
    clock.set(NOW)

    def begin(session):
        member_id = a_member(session, now=NOW)
        refused = [make(session, member_id, NOW, "failed", "rejected_40037", "order_shipped") for _ in range(3)]
        return [*refused, make(session, member_id, NOW, "queued", due=NOW)]

    ids = core.db.run(begin)
    job.roll_up(core, NOW)
    assert job.watch(core, NOW) == 1
    clock.move(timedelta(minutes=20))
    assert job.watch(core, NOW) == 1
    assert job.watch(core, NOW) == 0
    with core.db.reading() as session:
        found = {(each.kind, each.subject): each for each in operations.incidents(session)}
    assert set(found) == {("messages.waiting", "all"), ("messages.template_refused", "order_shipped")}
    assert [each.occurrences for each in found.values()] == [1, 1]
    assert found["messages.waiting", "all"].details == {"oldest_minutes": 20, "due": 1}

    def end(session):
        change(session, ids[-1], clock.now(), "sent")

    core.db.run(end)
    clock.move(timedelta(hours=3))
    job.roll_up(core, clock.now())
    assert job.watch(core, clock.now()) == 2
    with core.db.reading() as session:
        assert operations.incidents(session) == []
        assert len(operations.incidents(session, include_closed=True)) == 2
