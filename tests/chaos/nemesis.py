"""Faults: what can go wrong, drawn by a seed, and a log of what went wrong when, and for whom."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tests.chaos.oracle import SLOW, TURNED_AWAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.stage import Stage


@dataclass(frozen=True)
class Happened:
    """One fault: from when until when it acted, by the machine's clock, and which life of a process it met (empty: whoever was there)."""

    kind: str
    began: float
    ended: float
    victim: str = ""

    @property
    def of_database(self) -> bool:
        """Whether it kept the product from its database."""
        return self.kind.startswith("database")


# Kind → how often it is drawn. What costs the machine most, a process that loads the product again, is not drawn most.
WEIGHTS = {
    "kill messages": 14,
    "kill relay": 5,
    "kill tick": 2,
    "kill events": 3,
    "kill schedule": 5,
    "stop messages": 3,
    "freeze messages": 4,
    "database kill": 4,
    "database cut": 4,
    "database wire stall": 4,
    "database wire cut": 4,
    "redis kill": 5,
    "redis forget": 12,
    "redis wire stall": 4,
    "redis wire cut": 4,
    "token revoked": 10,
    "wechat busy": 6,
    "wechat quota": 4,
    "wechat refused": 3,
    f"wechat {TURNED_AWAY}": 3,
    "wechat html": 4,
    "wechat html_before": 3,
    "wechat http_502": 3,
    "wechat http_502_before": 3,
    "wechat hang": 3,
    "wechat hang_before": 2,
    "wechat cut": 6,
    "wechat cut_before": 3,
    f"wechat {SLOW}": 3,
    "wechat wire stall": 2,
    "wechat wire cut": 4,
}


class Nemesis:
    """Does faults on a stage.

    Arguments:
        stage: whom they meet.
        seed: which ones.
        kinds: those that may be drawn; all that the engine can have when left out.
    """

    def __init__(self, stage: Stage, seed: int, kinds: tuple[str, ...] | None = None) -> None:
        self._stage, self._seed = stage, random.Random(seed)
        possible = [kind for kind in WEIGHTS if stage.database.port or not kind.startswith("database")]
        self._kinds = [kind for kind in possible if kinds is None or kind in kinds]
        self._bag: list[str] = []
        self.log: list[Happened] = []
        self._file = stage.folder / "faults.jsonl"
        self._waiting: list[threading.Timer] = []

    def strike(self) -> None:
        """Do one fault; one whose victim had ended does not count and another is done instead."""
        for _ in range(20):
            happened = self._do(self._draw())
            if happened is not None:
                self.log.append(happened)
                with self._file.open("a") as file:
                    file.write(json.dumps(asdict(happened)) + "\n")
                return

    def _draw(self) -> str:
        # From a bag that holds each kind as often as it weighs, so that no run is without one of them by chance.
        if not self._bag:
            self._bag = [kind for kind in self._kinds for _ in range(WEIGHTS[kind])]
            self._seed.shuffle(self._bag)
            # The first round of a short run meets as many kinds as it has faults.
            if not self.log:
                first = self._kinds.copy()
                self._seed.shuffle(first)
                self._bag += first
        return self._bag.pop()

    def _do(self, kind: str) -> Happened | None:
        began = time.time()
        first, _, rest = kind.partition(" ")
        action: Callable[[str], str | None] = {
            "kill": self._kill,
            "stop": self._stop,
            "freeze": self._freeze,
            "database": self._database,
            "redis": self._redis,
            "token": self._token,
            "wechat": self._wechat,
        }[first]
        self._until = 0.0
        victim = action(rest)
        return None if victim is None else Happened(kind, began, max(time.time(), self._until), victim)

    def _one(self, role: str) -> str:
        return self._seed.choice([name for name in self._stage.hands.names if name.rstrip("0123456789") == role])

    def _kill(self, role: str) -> str | None:
        return self._stage.hands.signal(self._one(role), signal.SIGKILL)

    def _stop(self, role: str) -> str | None:
        return self._stage.hands.signal(self._one(role), signal.SIGTERM)

    def _freeze(self, role: str) -> str | None:
        name, seconds = self._one(role), self._seed.uniform(2, 5)
        victim = self._stage.hands.signal(name, signal.SIGSTOP)
        if victim is not None:
            self._until = time.time() + seconds
            self._later(seconds, lambda: self._stage.hands.signal(name, signal.SIGCONT))
        return victim

    def _database(self, what: str) -> str:
        if what == "kill":
            self._stage.database.kill()
        elif what == "cut":
            self._stage.database.cut()
        else:
            self._wire("database", what.removeprefix("wire "), self._seed.uniform(1, 6))
        return ""

    def _redis(self, what: str) -> str:
        if what == "kill":
            self._stage.redis.kill()
            time.sleep(self._seed.uniform(0.1, 1.0))
            self._stage.redis.start()
        elif what == "forget":
            self._stage.redis.forget()
        else:
            self._wire("redis", what.removeprefix("wire "), self._seed.uniform(0.5, 4))
        return ""

    def _token(self, _what: str) -> str:
        self._stage.oracle.tell("revoke")
        return ""

    def _wechat(self, how: str) -> str:
        if how.startswith("wire"):
            # Half of the stalls outlast a call's patience.
            self._wire("wechat", how.removeprefix("wire "), self._seed.uniform(1, 5))
        else:
            self._stage.oracle.tell(f"spoil {how} {self._seed.randint(1, 6)}")
        return ""

    def _wire(self, name: str, what: str, seconds: float) -> None:
        if what == "stall":
            self._stage.wires.tell(f"stall {name} {seconds:.2f}")
            self._until = time.time() + seconds
        else:
            self._stage.wires.tell(f"cut {name}")

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()
        self._waiting.append(timer)

    def rest(self) -> None:
        """Wait until nothing acts any more."""
        for timer in self._waiting:
            timer.join()
