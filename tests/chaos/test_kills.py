"""Processes get kill -9, Redis forgets: nothing that was committed is lost, and nothing takes effect twice."""

from __future__ import annotations

import random
import signal
import time

import pytest

from server.operations import queries

pytestmark = pytest.mark.committing


def nemesis(crew, redis, names, seed):
    """Do one fault; one that finds its victim ended already does not count."""
    victim = seed.choice([*names, "flush", "redis"])
    if victim == "flush":
        redis.forget()
        crew.kills["flush"] += 1
    elif victim == "redis":
        redis.kill()
        crew.kills["redis"] += 1
    else:
        crew.kill(victim, seed.choice([signal.SIGKILL] * 4 + [signal.SIGTERM]))


def run_under_faults(core, crew, redis, tally, *, events, per_second, pause, least_faults, patience, names):
    seed = random.Random(20260615)
    for name in names:
        role = name.rstrip("0123456789")
        crew.start(name, role, *([str(events), str(per_second)] if role == "producer" else []))
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        time.sleep(seed.uniform(*pause))
        facts, effects = tally()
        finished = len(facts) == events and len(effects) == events
        # Faults must really have happened before the end counts, and they go on until everything is done.
        faults = sum(crew.kills.values())
        if finished and faults >= least_faults:
            break
        if faults < least_faults or len(facts) < events:
            nemesis(crew, redis, names, seed)
        crew.tend()
    time.sleep(1.5)  # whatever still runs twice gets the time to show it
    facts, effects = tally()
    assert facts == set(range(1, events + 1))
    assert {number for number in facts if number not in effects} == set(), f"lost after {crew.kills}"
    assert {number: times for number, times in effects.items() if times > 1} == {}, f"doubled after {crew.kills}"
    assert sum(crew.kills.values()) >= least_faults
    with core.db.reading() as session:
        health = queries.queue_health(session, core.clock.now())
    assert (health.pending, health.dispatched, health.dead) == (0, 0, 0)
    return crew.kills


def test_a_hundred_events_survive_kills_and_a_redis_that_forgets(core, crew, disposable_redis, tally):
    kills = run_under_faults(
        core,
        crew,
        disposable_redis,
        tally,
        events=100,
        per_second=15,
        pause=(0.5, 1.0),
        least_faults=8,
        patience=90,
        names=["producer", "relay1", "worker1", "worker2"],
    )
    assert sum(kills[name] for name in ("relay1", "worker1", "worker2", "producer")) >= 2


@pytest.mark.full
def test_two_thousand_events_survive_a_hundred_faults(core, crew, disposable_redis, tally):
    kills = run_under_faults(
        core,
        crew,
        disposable_redis,
        tally,
        events=2000,
        per_second=25,
        pause=(0.6, 1.4),
        least_faults=80,
        patience=420,
        names=["producer", "relay1", "relay2", "worker1", "worker2", "worker3"],
    )
    assert all(kills[name] for name in ("relay1", "relay2", "worker1", "worker2", "worker3", "redis", "flush"))
