"""Everything the run of the messages starts: servers, wires, the oracle, the processes behind the web, and the web."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from config.settings import load_settings
from server.bootstrap import build_core
from server.migrations.runner import upgrade
from tasks.queues import connect
from tests.chaos.oracle import Record
from tests.chaos.servers import Redis, database_server
from tests.races.web import Web, environment_of

ROOT = Path(__file__).parents[2]
_LONGEST_PAUSE = 4.0
_YOUNG_SECONDS = 10.0


@dataclass
class Life:
    """One life of a process; ``pid`` is 0 once it has ended."""

    name: str
    number: int
    pid: int
    began: float = field(default_factory=time.monotonic)

    @property
    def caller(self) -> str:
        """What the oracle knows it by."""
        return f"{self.name}.{self.number}"


class Hands:
    """Processes behind the web that are started again when they end: at once when we killed them, with a growing pause when they went by themselves.

    Arguments:
        nursery: forks them.
        own: variables of one by its name and the number of its life.
        log: file their output is appended to.
    """

    def __init__(self, nursery: Helper, own, log: Path) -> None:
        self._nursery, self._own, self._log = nursery, own, log
        self._lives: dict[str, Life] = {}
        self._arguments: dict[str, tuple[str, ...]] = {}
        self._pauses: dict[str, float] = {}
        self._again: dict[str, float] = {}
        self.stopped = 0

    @property
    def names(self) -> list[str]:
        return list(self._arguments)

    def start(self, name: str, *arguments: str) -> None:
        self._arguments[name] = arguments
        self._begin(name)

    def _begin(self, name: str) -> None:
        number = self._lives[name].number + 1 if name in self._lives else 1
        variables = [f"{key}={value}" for key, value in self._own(name, number).items()]
        self._nursery.tell(" ".join([name, str(self._log), *self._arguments[name], *variables]))
        while (line := self._nursery.line().split())[0] != name:
            self._note_end(line)
        self._lives[name] = Life(name, number, int(line[1]))

    def _note_end(self, line: list[str]) -> None:
        for life in self._lives.values():
            if line[0] == "ended" and life.pid == int(line[1]):
                life.pid = 0

    def _notice(self) -> None:
        for line in self._nursery.lines_at_hand():
            self._note_end(line.split())

    def signal(self, name: str, number: int) -> str | None:
        """Send a signal; return the life that it met, or None when it had ended."""
        self._notice()
        life = self._lives[name]
        if not life.pid:
            return None
        os.kill(life.pid, number)
        if number == signal.SIGKILL:
            while life.pid:
                self._note_end(self._nursery.line().split())
            self._pauses.pop(name, None)
            self._again[name] = 0.0
        return life.caller

    def tend(self) -> None:
        """Start again whatever has ended."""
        self._notice()
        now = time.monotonic()
        for name, life in list(self._lives.items()):
            if life.pid:
                continue
            if name not in self._again:
                young = now - life.began < _YOUNG_SECONDS
                self._pauses[name] = min(self._pauses.get(name, 0.25) * 2, _LONGEST_PAUSE) if young else 0.0
                self._again[name] = now + self._pauses[name]
                self.stopped += 1
            if now >= self._again[name]:
                del self._again[name]
                self._begin(name)


class Helper:
    """A process that takes commands on its standard input and answers in lines: the oracle, the wires, the nursery."""

    def __init__(self, *command: str, environment: dict[str, str] | None = None) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environment, stdin=pipe, stdout=pipe)
        self._said = b""

    def line(self) -> str:
        """Return the next line it says."""
        while b"\n" not in self._said:
            more = os.read(self._process.stdout.fileno(), 65536)
            assert more, "it ended"
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()

    def lines_at_hand(self) -> list[str]:
        """Return what it has said by now."""
        while select.select([self._process.stdout], [], [], 0)[0]:
            more = os.read(self._process.stdout.fileno(), 65536)
            assert more, "it ended"
            self._said += more
        *lines, self._said = self._said.split(b"\n")
        return [line.decode() for line in lines]

    def tell(self, command: str) -> None:
        """Give it a command."""
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()
        self._process.kill()
        self._process.wait(timeout=30)


class Stage:
    """A product with all its processes, on servers that may be killed.

    Arguments:
        engine: of the database.
        folder: for records and logs.
        workers: how many processes push messages.
    """

    def __init__(self, engine: str, folder: Path, *, workers: int) -> None:
        self._stack = ExitStack()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._build(engine, workers)
        except BaseException:
            self.close()
            raise

    def _build(self, engine: str, workers: int) -> None:
        self.database = self._stack.enter_context(database_server(engine))
        self.redis = Redis(self.folder / "redis")
        self._stack.callback(self.redis.stop)
        self.record = Record(self.folder / "wechat.jsonl")
        self.oracle = Helper("tests.chaos.oracle", str(self.folder / "wechat.jsonl"))
        self._stack.callback(self.oracle.stop)
        targets = [f"wechat=127.0.0.1:{self.oracle.line()}", f"redis=127.0.0.1:{self.redis.port}"]
        if self.database.port:
            targets.append(f"database=127.0.0.1:{self.database.port}")
        self.wires = Helper("tests.chaos.wires", *targets)
        self._stack.callback(self.wires.stop)
        ports = dict(self.wires.line().split() for _ in targets)
        settings = load_settings(
            database_url=self.database.url,
            data_dir=self.folder / "data",
            log_format="text",
            log_level="ERROR",
            wechat_api_base="http://127.0.0.1:9/",
        )
        self.core = build_core(settings)
        self._stack.callback(self.core.close)
        upgrade(self.core.db.engine)
        addresses = {"HUIBAN_REDIS_URL": f"redis://127.0.0.1:{ports['redis']}/0", "HUIBAN_POOL_SIZE": "8"}
        environment = environment_of(settings, **addresses)

        def own(name: str, life: int) -> dict[str, str]:
            found = {"HUIBAN_WECHAT_API_BASE": f"http://127.0.0.1:{ports['wechat']}/{name}.{life}/"}
            # Some reach the database over the wire that is cut and held; all would cost a quarter of the machine.
            if "database" in ports and name in {"messages2", "relay2"}:
                found["HUIBAN_DATABASE_URL"] = self.database.address(int(ports["database"]), "messages")
            return found

        # Whoever is forked by the nursery ends with it.
        self.nursery = Helper("tests.chaos.senders", environment=environment)
        self._stack.callback(self.nursery.stop)
        assert self.nursery.line() == "ready"
        self.hands = Hands(self.nursery, own, self.folder / "hands.log")
        self.web = Web(environment | own("web", 1), self.folder / "web.log")
        self._stack.callback(self.web.stop)
        self._roles = [
            ("relay1", "relay"),
            ("relay2", "relay"),
            ("tick1", "tick"),
            ("events1", "worker", "events"),
            ("schedule1", "worker", "schedule"),
        ]
        self._roles += [(f"messages{number}", "worker", "messages") for number in range(1, workers + 1)]

    def start(self, *, web: bool) -> None:
        """Start everything, and wait until it is at work: faults that meet nobody prove nothing."""
        if web:
            self.web.start()
        for name, *arguments in self._roles:
            self.hands.start(name, *arguments)
        client = connect(f"redis://127.0.0.1:{self.redis.port}/0")
        while client.scard("rq:workers") < sum(role[1] == "worker" for role in self._roles):
            time.sleep(0.1)
            self.hands.tend()
        if web:
            self.web.wait()

    def close(self) -> None:
        self._stack.close()


def scratch(name: str) -> Path:
    """Return a new folder for the records of a run."""
    return Path(tempfile.gettempdir()) / f"huiban-messages-{name}-{int(time.time())}"
