"""The web and everything behind it get kill -9, Redis forgets: nothing that was reported is lost, and nothing takes effect twice."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.kernel.actors import SystemActor
from server.kernel.outbox import OutboxEvent
from server.notifications.models import NotificationMessage
from server.operations import queries as operations
from server.partners import service as partners
from server.points import queries as points
from server.points.models import PointsAccount, PointsEntry, PointsLot
from tests.chaos.actor import TOPIC
from tests.chaos.pushes import REASON, check_pushes, followers
from tests.chaos.tills import Tills
from tests.races.callers import ask_all, partner_call
from tests.tasks.handlers import EFFECTS

pytestmark = pytest.mark.committing
MEMBERS = 40


@dataclass(frozen=True, slots=True)
class Plan:
    """A run: how many events, how fast, how many faults at least, and of those on the whole web.

    Arguments:
        web_kill_every: so many answers from one kill of the web to the next, at least and at most.
    """

    events: int
    tills: int
    till_pause: float
    fault_pause: tuple[float, float]
    least_faults: int
    least_web_kills: int
    web_kill_every: tuple[int, int]
    patience: float
    names: tuple[str, ...]


def points_of(number: int) -> int:
    return 1 + number % 97


def commands(core, members, events):
    """Return the accruals 1…events as a partner's signed commands."""
    with core.db.transaction() as session:
        key = partners.create(session, "Till", ["points:write"], actor=SystemActor("test"), now=core.clock.now())

    def command(number):
        body = {
            "member_id": str(members[number % MEMBERS]),
            "points": points_of(number),
            "source": f"{number}",
            "reason": f"{REASON}{number}",
        }
        return partner_call(key.key_id, key.secret, "/partner/v1/points/accruals", f"receipt-{number}", body)

    return [command(number) for number in range(1, events + 1)]


def numbers(core):
    """Return the number of the event that each entry was made for."""
    with core.db.reading() as session:
        return {row.id: int(row.source_key) for row in session.execute(sa.select(PointsEntry.id, PointsEntry.source_key))}


def entry_of(key):
    return UUID(key.removeprefix("points_accrued:"))


def tally(core):
    """Count by event: entries in the books, effects behind the relay, messages to the member."""
    number_of = numbers(core)
    with core.db.reading() as session:
        told = {row.key: UUID(row.payload["entry_id"]) for row in session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == TOPIC))}
        effects = Counter(number_of[told[key]] for key in session.scalars(sa.select(EFFECTS.c.event_key)))
        keys = session.scalars(sa.select(NotificationMessage.key)).all()
        messages = Counter(number_of[entry_of(key)] for key in keys)
    return Counter(number_of.values()), effects, messages


def health(core):
    with core.db.reading() as session:
        found = operations.queue_health(session, core.clock.now())
    return found.pending, found.dispatched, found.dead, found.uncertain


def check_books(core, members, events):
    """Balances, lots and entries are what the events add up to, member by member."""
    expected = Counter()
    for number in range(1, events + 1):
        expected[members[number % MEMBERS]] += points_of(number)
    with core.db.reading() as session:
        assert points.prove(session) == []
        for owner, amount in (
            (PointsAccount.member_id, sa.func.sum(PointsAccount.available)),
            (PointsLot.member_id, sa.func.sum(PointsLot.left_)),
            (PointsEntry.member_id, sa.func.sum(PointsEntry.points)),
        ):
            assert {row[0]: int(row[1]) for row in session.execute(sa.select(owner, amount).group_by(owner))} == expected


def nemesis(crew, redis, names, seed):
    """Do one fault; one that finds its victim ended already does not count."""
    # Redis twice, since its end costs no time: the run is made of what happens to the others meanwhile.
    victim = seed.choice([*names, "one of the web's processes", "flush", "redis", "flush", "redis"])
    if victim == "flush":
        redis.forget()
        crew.kills["flush"] += 1
    elif victim == "redis":
        redis.kill()
        crew.kills["redis"] += 1
    elif victim in names:
        crew.kill(victim, seed.choice([signal.SIGKILL] * 4 + [signal.SIGTERM]))
    elif crew.web.kill_a_worker(seed):
        crew.kills[victim] += 1


def run_under_faults(core, crew, redis, platform, plan):
    seed = random.Random(20260615)
    members = followers(core, platform, MEMBERS, allowances=plan.events // MEMBERS + 1)
    calls = commands(core, members, plan.events)
    crew.web.start()
    for name in plan.names:
        role = name.rstrip("0123456789")
        crew.start(name, *(["relay"] if role == "relay" else ["worker", role]))
    crew.web.wait()
    strikes = random.Random(11)
    strike_at = strikes.randint(*plan.web_kill_every)

    def strike(answered):
        # By what was answered, not by the clock: the web is killed at work, however slow the machine is.
        nonlocal strike_at
        if strike_at <= answered < plan.events:
            crew.web.kill()
            crew.kills["web"] += 1
            strike_at = answered + strikes.randint(*plan.web_kill_every)

    tills = Tills(crew.web.port, calls, tills=plan.tills, pause=plan.till_pause, seed=random.Random(7), on_answer=strike)
    tills.start()
    deadline = time.monotonic() + plan.patience
    while time.monotonic() < deadline:
        time.sleep(seed.uniform(*plan.fault_pause))
        # Faults must really have happened before the end counts, and they go on while commands come in.
        faults = sum(crew.kills.values())
        if tills.finished() and faults >= plan.least_faults and health(core) == (0, 0, 0, 0):
            break
        if not crew.web.serves():
            pass  # it loads its modules; more processes that start meanwhile would only make the run longer
        elif faults < plan.least_faults or not tills.finished():
            nemesis(crew, redis, plan.names, seed)
        crew.tend()
    assert tills.finished(), f"{len(tills.answers)} answered after {crew.kills}"
    time.sleep(1.5)  # whatever still runs twice gets the time to show it
    everything = Counter(range(1, plan.events + 1))
    entries, effects, messages = tally(core)
    assert entries - everything == everything - entries == Counter(), f"entries after {crew.kills}"
    assert effects - everything == everything - effects == Counter(), f"effects after {crew.kills}"
    assert messages - everything == everything - messages == Counter(), f"messages after {crew.kills}"
    assert health(core) == (0, 0, 0, 0)
    assert sum(crew.kills.values()) >= plan.least_faults
    assert crew.kills["web"] >= plan.least_web_kills
    check_books(core, members, plan.events)
    # Nothing but success ever came back, however often a command was sent; and the answer to its key stays the same, byte for byte.
    answers = [tills.answers[place] for place in range(plan.events)]
    assert Counter(answer.status for answer in answers) == {201: plan.events}
    assert tills.cut["on purpose"] > 0
    crew.web.wait()
    again = ask_all(crew.web.port, calls, connections=8)
    assert [(answer.status, answer.replayed, answer.body) for answer in again] == [(201, True, answer.body) for answer in answers]
    assert tally(core) == (everything, everything, everything)
    check_books(core, members, plan.events)
    number_of = numbers(core)
    states = check_pushes(core, platform, lambda key: number_of[entry_of(key)], worker_kills=crew.kills["messages1"])
    print(
        f"pushes: {dict(states)}; faults: {dict(crew.kills)}; broken connections: {dict(tills.cut)}; answered as repetitions: {sum(each.replayed for each in answers)}"
    )
    return crew.kills


# Embedded only, since most of it is processes that load their modules again; the run of two thousand is made on every engine.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_hundred_events_survive_kills_and_a_redis_that_forgets(core, crew, disposable_redis, platform):
    plan = Plan(
        events=100,
        tills=4,
        till_pause=0.4,
        fault_pause=(0.5, 1.0),
        least_faults=8,
        least_web_kills=2,
        web_kill_every=(30, 45),
        patience=500,
        names=("relay1", "events1", "events2", "messages1"),
    )
    kills = run_under_faults(core, crew, disposable_redis, platform, plan)
    assert sum(kills[name] for name in plan.names) >= 2


@pytest.mark.full
def test_two_thousand_events_survive_a_hundred_faults(core, crew, disposable_redis, platform):
    plan = Plan(
        events=2000,
        tills=6,
        till_pause=0.4,
        fault_pause=(0.5, 1.2),
        least_faults=80,
        least_web_kills=8,
        web_kill_every=(120, 200),
        patience=1500,
        names=("relay1", "relay2", "events1", "events2", "events3", "messages1"),
    )
    kills = run_under_faults(core, crew, disposable_redis, platform, plan)
    assert all(kills[name] for name in (*plan.names, "one of the web's processes", "redis", "flush"))
