"""The tellers of the bank and shop tests: processes of many threads that move points or coupons at random, and are killed at any moment.

Run as ``python -m tests.properties.bank PLAN``; settings come from the environment. One process loads the product and forks the tellers, and
another one for each that ends, until it is told to stop. What a teller was told to have been done, it writes down at once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from config.settings import load_settings
from server.bootstrap import build_vault, load_models
from server.kernel.amounts import Points
from server.kernel.db import Base, Database, is_transient
from server.kernel.engines import make_engine
from server.kernel.errors import DomainError
from server.kernel.source import Source
from server.points import queries, service
from server.points.rules import DebtPolicy
from tasks.process import die_with_parent, stop_on_signals
from tests.conftest import START
from tests.factories.points import SYSTEM

RATE, WINDOW = 60, 40
WEIGHTS = {"gift": 30, "spend": 22, "hold": 10, "close": 12, "give_back": 10, "take_back": 8, "transfer": 8, "sweep": 3, "merge": 1}


@dataclass(frozen=True)
class Plan:
    """What the tellers know.

    Arguments:
        folder: for what they write down.
        members: ids; the last ``guests`` of them may be merged into the others.
        guests: how many.
        began: the machine's instant of the beginning; each second since is an hour of the bank.
        processes, threads: how many tellers there are, and clients in each.
        seed: of the dice.
        client: module and class of the clients.
        facts: what these clients know besides.
    """

    folder: str
    members: list[str]
    guests: int
    began: float
    processes: int
    threads: int
    seed: int
    client: str = "tests.properties.bank:Client"
    facts: dict[str, Any] = field(default_factory=dict)

    def save(self):
        path = Path(self.folder) / "plan.json"
        path.write_text(json.dumps(asdict(self)))
        return str(path)


class Client:
    """One client: it does one thing after another, each a transaction."""

    weights = WEIGHTS

    def __init__(self, database, plan, name, seed):
        self.database = database
        self.plan = plan
        self.members = [UUID(member) for member in plan.members]
        self.die = random.Random(f"{plan.seed}-{seed}")
        self.name = f"{name}-{seed}"
        self.held = []
        self.number = 0

    def work(self, stopping):
        with (Path(self.plan.folder) / f"{self.name}.done").open("wb", buffering=0) as done:
            while not stopping.is_set():
                name = self.die.choices(list(self.weights), self.weights.values())[0]
                command = getattr(self, name)()
                if command is None:
                    continue
                try:
                    views = self.database.run(command)
                except DomainError:
                    continue
                except DBAPIError as error:
                    if error.statement is None:  # the server has no place left: who died holds one until it notices
                        stopping.wait(0.2)
                    elif not is_transient(error):
                        raise
                    continue
                for line in self.told(views or ()):
                    done.write(f"{line}\n".encode())

    def told(self, views):
        """Return a line for each thing that a command answered."""
        return [f"{source.key} {view.id} {view.points}" for source, view in views]

    # --- what is done ---------------------------------------------------------------------------------------------

    def now(self):
        return START + timedelta(hours=time.time() - self.plan.began)

    def member(self):
        return self.die.choice(self.members)

    def common(self, key):
        return {"source": Source("bank", key), "reason": "Bank", "actor": SYSTEM, "now": self.now()}

    def one(self, kind):
        """Return a number that several clients think of at the same time, and now and then again."""
        place = int((time.time() - self.plan.began) * RATE) + self.die.randrange(WINDOW)
        return place, self.common(f"{kind}:{place}")

    def fresh(self, kind):
        self.number += 1
        return self.common(f"{kind}:{self.name}:{self.number}")

    def gift(self):
        place, common = self.one("gift")
        times = {
            "expires_at": None if place % 3 == 0 else START + timedelta(hours=place % 97),
            "available_at": START + timedelta(hours=place % 61) if place % 4 == 0 else None,
        }

        def command(session):
            return [(common["source"], service.accrue(session, self.owner(place), Points(gift_of(place)), **times, **common))]

        return command

    def owner(self, place):
        return self.members[place % len(self.members)]

    def spend(self):
        place, common = self.one("spend")
        return lambda session: [(common["source"], service.redeem(session, self.owner(place), Points(spent_of(place)), **common))]

    def hold(self):
        common, member, ttl = self.fresh("hold"), self.member(), timedelta(hours=self.die.randint(1, 9))

        def command(session):
            view = service.reserve(session, member, Points(self.die.randint(1, 20)), ttl=ttl, **common)
            self.held.append(view.id)
            return [(common["source"], view)]

        return command

    def close(self):
        if not self.held:
            return None
        held, pays = self.held.pop(self.die.randrange(len(self.held))), self.die.random() < 0.5

        def command(session):
            if pays:
                service.redeem_reservation(session, held, reason="Paid", actor=SYSTEM, now=self.now())
            else:
                service.release(session, held, actor=SYSTEM, now=self.now())

        return command

    def give_back(self):
        place, _ = self.one("spend")
        part = self.die.randrange(4)
        common = self.common(f"back:{place - WINDOW}:{part}")
        spent = Source("bank", f"spend:{place - WINDOW}")
        return lambda session: [(common["source"], service.return_redemption(session, spent, Points(part + 1), **common))]

    def take_back(self):
        place, _ = self.one("gift")
        part, policy = self.die.randrange(3), self.die.choice(list(DebtPolicy))
        common = self.common(f"take:{place - WINDOW}:{part}")

        def command(session):
            entry_id = queries.entry_of_source(session, Source("bank", f"gift:{place - WINDOW}"))
            if entry_id is None:
                return None
            return [(common["source"], service.reverse(session, entry_id, Points(part + 5), policy=policy, **common))]

        return command

    def transfer(self):
        """From one member to another, in one transaction: two locks in any order."""
        count, pair = self.die.randint(1, 9), self.die.sample(self.members, 2)
        both = self.fresh("from"), self.fresh("to")

        def command(session):
            views = [
                service.adjust(session, member, Points(amount), **common)
                for member, amount, common in zip(pair, (-count, count), both, strict=True)
            ]
            return [(common["source"], view) for common, view in zip(both, views, strict=True)]

        return command

    def sweep(self):
        sweep = self.die.choice([service.unlock_due, service.expire_due, service.release_due])

        def command(session):
            sweep(session, self.now(), limit=20)

        return command

    def merge(self):
        gone = self.die.choice(self.members[-self.plan.guests :])
        stays = self.die.choice(self.members[: -self.plan.guests])
        table = Base.metadata.tables["members"]

        def command(session):
            session.execute(sa.select(table.c.id).where(table.c.id.in_([gone, stays])).order_by(table.c.id).with_for_update())
            service.merge_members(session, gone, stays, now=self.now())

        return command


def gift_of(place):
    return 1 + place % 50


def spent_of(place):
    return 1 + place % 37


def work_in_threads(database, plan, name, stopping):
    """Let all clients of one teller work; return the threads."""
    module, _, kind = plan.client.partition(":")
    make = getattr(import_module(module), kind)
    clients = [make(database, plan, name, f"{name}-{number}") for number in range(plan.threads)]
    threads = [threading.Thread(target=client.work, args=(stopping,)) for client in clients]
    for thread in threads:
        thread.start()
    return threads


def teller(plan, number):
    """Be one teller until told to stop."""
    die_with_parent()
    stopping = stop_on_signals()
    settings = load_settings()
    database = Database(make_engine(settings.resolved_database_url, pool_size=plan.threads), build_vault(settings), settings.zone)
    for thread in work_in_threads(database, plan, f"teller-{number}", stopping):
        thread.join()


def main():
    die_with_parent()
    load_models()
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text()))
    stopped, running, number = [], set(), 0
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    while True:
        while not stopped and len(running) < plan.processes:
            number += 1
            child = os.fork()
            if not child:
                teller(plan, number)
                os._exit(0)
            running.add(child)
        for child in list(running) if stopped else ():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        if not running:
            return 0
        ended, _ = os.waitpid(-1, os.WNOHANG)
        running.discard(ended)
        time.sleep(0 if ended else 0.02)


if __name__ == "__main__":
    sys.exit(main())
