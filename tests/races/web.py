"""The web as operation starts it, in a process group that can be killed as a whole, on a port that stays the same."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.journeys.driver import free_port

if TYPE_CHECKING:
    from config.settings import Settings

ROOT = Path(__file__).parents[2]
_START_SECONDS = 180.0


def environment_of(settings: Settings, **more: str) -> dict[str, str]:
    """Return the environment of a process on the test's database: quiet, and without a limit for a crowd that is one address."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HUIBAN_", "COV_"))},
        "HUIBAN_DATABASE_URL": settings.database_url,
        "HUIBAN_DATA_DIR": str(settings.data_dir),
        "HUIBAN_LOG_LEVEL": "WARNING",
        "HUIBAN_RATE_LIMIT": "",
        **more,
    }


class Web:
    """Granian with the product, killed and started again at will.

    Arguments:
        environment: from ``environment_of``.
        log: file its output is appended to.
    """

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.port = free_port()
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.races.serve", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, process_group=0)

    def tend(self) -> None:
        """Start it again when it has ended."""
        if self._process is not None and self._process.poll() is not None:
            self.start()

    def serves(self) -> bool:
        """Tell whether a process answers over HTTP; the socket alone listens before the workers have loaded anything."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
        return False

    def wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self.serves():
            assert self._process is not None
            assert self._process.poll() is None, self._log.read_text()[-4000:]
            assert time.monotonic() < deadline, self._log.read_text()[-4000:]
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill the whole group at once, as a power cut does."""
        process = self._process  # ours to wait for, even when another thread starts the next one meanwhile
        assert process is not None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)

    def kill_a_worker(self, seed: random.Random) -> bool:
        """Kill one of the processes that answer; granian itself starts another. Return whether there was one."""
        assert self._process is not None
        pid = self._process.pid
        with suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if children:
                os.kill(int(seed.choice(children)), signal.SIGKILL)
                return True
        return False

    def stop(self) -> None:
        if self._process is not None:
            self.kill()
