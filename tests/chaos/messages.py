"""The proof that messages arrive once: many of them under many faults, each accounted for afterwards.

``python -m tests.chaos.messages --messages 100000 --faults 1000 --seed 1`` starts a database server, a Redis, WeChat's witness, the web and
everything behind it, does its faults while messages are asked for and sent, and judges. ``--redis-off 300`` turns Redis off for five minutes
under load instead. It ends with 1 when anything was violated.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.asking import Guests, People, Requests, gather, standing, waiting
from tests.chaos.nemesis import Happened, Nemesis
from tests.chaos.stage import Stage, scratch
from tests.chaos.verdict import Verdict, check_visits, judge, write

_SHORTEST_PAUSE = 0.25


@dataclass(frozen=True)
class Plan:
    """A run.

    Arguments:
        messages: how many are asked for.
        faults: how many happen meanwhile, spread over the messages.
        seed: which.
        engine: of the database.
        members: who get them.
        workers: processes that push.
        kinds: of faults; all when left out.
        patience: seconds until everything must be asked for, and again until everything must be over.
        redis_off: so many seconds without Redis instead of faults.
        guests: whether a member uses the product meanwhile.
        minutes: after so long no more is asked for and nothing more goes wrong; what was asked for by then is judged.
    """

    messages: int
    faults: int
    seed: int = 1
    engine: str = "postgresql"
    members: int = 1000
    workers: int = 2
    kinds: tuple[str, ...] | None = None
    patience: float = 3600.0
    redis_off: float = 0.0
    guests: bool = True
    minutes: float = 0.0


def run(plan: Plan, folder: Path) -> Verdict:
    """Do one run and judge it.

    Arguments:
        plan: what to do.
        folder: for records and logs.
    """
    began = time.monotonic()
    with closing(Stage(plan.engine, folder, workers=plan.workers)) as stage:
        people = gather(stage.core, plan.members, allowances=plan.messages // plan.members + 5)
        stage.start(web=plan.guests)
        guests = Guests(stage.core, stage.web.port)
        if plan.guests:
            guests.start()
        set_up = time.monotonic() - began
        faults, asked, late = (_without_redis if plan.redis_off else _under_faults)(stage, people, plan)
        busy = time.monotonic() - began - set_up
        left = _wait_for_the_end(stage, plan.patience)
        time.sleep(2)  # whatever still runs twice gets the time to show it
        if plan.guests:
            guests.end()
        stage.nursery.stop()
        time.sleep(0.5)
        stage.record.follow()
        verdict = judge(stage.core, stage.record.by_number(), faults, people, asked)
        check_visits(verdict, guests.visits, faults)
        verdict.must(not late, late)
        verdict.must(left == 0, f"{left} pieces of work were left when patience ended")
        verdict.must(len(faults) >= plan.faults or bool(plan.minutes), f"only {len(faults)} faults happened")
        whole = time.monotonic() - began
        text = f"{set_up:.0f} s to set up, {busy:.0f} s of faults ({asked / busy:.0f} messages a second), {whole:.0f} s in all"
        verdict.rows.append(("time", f"{text}; {plan.engine}, seed {plan.seed}"))
        write(verdict, faults, folder)
    return verdict


def _under_faults(stage: Stage, people: People, plan: Plan) -> tuple[list[Happened], int, str]:
    nemesis = Nemesis(stage, plan.seed, plan.kinds)
    # Neither runs away from the other: faults meet messages under way, from the first to the last.
    ahead = max(150, plan.messages * 3 // 100)
    requests = Requests(stage.core, people, plan.messages, ahead, lambda: plan.messages * len(nemesis.log) / plan.faults + ahead)
    requests.start()
    began = said = time.monotonic()
    while requests.asked < plan.messages or len(nemesis.log) < plan.faults:
        if plan.minutes and time.monotonic() > began + plan.minutes * 60:
            break
        if time.monotonic() > began + plan.patience or requests.failure is not None:
            requests.end()
            return (
                nemesis.log,
                requests.asked,
                f"{requests.asked} messages and {len(nemesis.log)} faults when patience ended: {requests.failure!r}",
            )
        time.sleep(_SHORTEST_PAUSE)
        stage.record.follow()
        done = plan.messages if requests.asked == plan.messages else requests.asked - requests.open + ahead
        if len(nemesis.log) < plan.faults and len(nemesis.log) < plan.faults * done / plan.messages:
            nemesis.strike()
        stage.hands.tend()
        if time.monotonic() - said > 30:
            said = time.monotonic()
            print(
                f"{requests.asked} asked for, {stage.record.taken} taken in, {len(nemesis.log)} faults; {standing(stage.core)}", flush=True
            )
    requests.end()
    nemesis.rest()
    return nemesis.log, requests.asked, ""


def _without_redis(stage: Stage, people: People, plan: Plan) -> tuple[list[Happened], int, str]:
    began = time.monotonic()
    before, after = plan.messages // 4, plan.messages // 2

    def limit() -> float:
        # A quarter before, a quarter while Redis is away, the rest once it is back.
        if not away_since:
            return before
        if not back_since:
            return before + (after - before) * (time.monotonic() - away_since[0]) / plan.redis_off
        return plan.messages

    away_since: list[float] = []
    back_since: list[float] = []
    requests = Requests(stage.core, people, plan.messages, plan.messages, limit)
    requests.start()
    faults: list[Happened] = []
    while requests.asked < plan.messages:
        if time.monotonic() - began > plan.patience + plan.redis_off or requests.failure is not None:
            requests.end()
            return faults, requests.asked, f"{requests.asked} messages when patience ended: {requests.failure!r}"
        time.sleep(0.1)
        stage.hands.tend()
        stage.record.follow()
        if not away_since and requests.asked + 50 > before:
            stage.redis.kill()
            away_since.append(time.monotonic())
            went = time.time()
        if away_since and not back_since and time.monotonic() - away_since[0] > plan.redis_off:
            taken_while_away = stage.record.taken
            stage.redis.start()
            back_since.append(time.monotonic())
            faults.append(Happened("redis off", went, time.time()))
            print(
                f"Redis was away for {plan.redis_off:.0f} s; {requests.asked} asked for and {taken_while_away} taken in by then", flush=True
            )
    requests.end()
    return faults, requests.asked, ""


def _wait_for_the_end(stage: Stage, patience: float) -> int:
    deadline = time.monotonic() + patience
    while (left := waiting(stage.core)) and time.monotonic() < deadline:
        stage.hands.tend()
        time.sleep(0.5)
    return left


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.messages", description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=["sqlite", "postgresql", "mariadb"], default="postgresql")
    parser.add_argument("--workers", type=int, default=2, help="processes that push")
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--redis-off", type=float, default=0.0, metavar="SECONDS", help="turn Redis off for so long instead of faults")
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="end the faults after so long, whatever is left, and judge what was asked for"
    )
    parser.add_argument("--alone", action="store_true", help="without the web and a member who uses it")
    parser.add_argument(
        "--patience", type=float, default=3600.0, metavar="SECONDS", help="how long it may take until all is asked for, and until the end"
    )
    parser.add_argument("--folder", type=Path, help="where records and logs go")
    given = parser.parse_args()
    plan = Plan(
        messages=given.messages,
        faults=0 if given.redis_off else given.faults,
        seed=given.seed,
        engine=given.engine,
        members=given.members,
        workers=given.workers,
        patience=given.patience,
        redis_off=given.redis_off,
        guests=not given.alone,
        minutes=given.minutes,
    )
    return 1 if run(plan, given.folder or scratch(given.engine)).violations else 0


if __name__ == "__main__":
    sys.exit(main())
