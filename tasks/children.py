"""Child processes of the supervisor: started in groups of their own, started again when they end, stopped as a whole."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from tasks.process import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LONGEST_PAUSE_SECONDS = 30.0
_WELL_AFTER_SECONDS = 20.0
_log = structlog.get_logger("huiban.supervisor")


@dataclass
class Child:
    """One process that is always to run.

    Arguments:
        name: for people, and of its log.
        command: what to run.
        environment: all of it.
        log: file its output is appended to; None leaves it on ours.
        folder: where it runs.
        stop_seconds: how long it may take to stop before it is killed; longer than the job in hand.
        parent_death: signal the kernel sends it when we end without stopping it.
    """

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path | None
    folder: Path
    stop_seconds: float = 15.0
    parent_death: int = signal.SIGKILL
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _started_at: float = field(default=0.0, init=False)
    _deaths: int = field(default=0, init=False)
    _again_at: float = field(default=0.0, init=False)

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it in a process group of its own, so that Ctrl-C reaches only the supervisor, which stops all in order."""
        sink: Any = None if self.log is None else self.log.open("ab")
        try:
            self._process = subprocess.Popen(  # noqa: S603 - commands are our own
                self.command,
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                process_group=0,
                # Runs between fork and exec; we have no other threads that could hold a lock then.
                preexec_fn=functools.partial(die_with_parent, self.parent_death),  # noqa: PLW1509 - for the reason above
            )
        finally:
            if sink is not None:
                sink.close()
        self._started_at = time.monotonic()

    def tend(self) -> None:
        """Start it again when it has ended: at once the first time, then with a growing pause."""
        if self._process is None or self._process.poll() is None:
            return
        now = time.monotonic()
        if not self._again_at:
            # Whatever it left behind goes first, or the new one finds its port taken.
            self._kill_group()
            self._deaths = 0 if now - self._started_at > _WELL_AFTER_SECONDS else self._deaths + 1
            pause = min(0.25 * float(2**self._deaths) - 0.25, _LONGEST_PAUSE_SECONDS)
            self._again_at = now + pause
            _log.warning("child.ended", child=self.name, code=self._process.returncode, again_in_seconds=round(pause, 2))
        if now >= self._again_at:
            self._again_at = 0.0
            self.start()

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process itself; it knows how to stop its own children."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def wait_stopped(self) -> None:
        """Wait until it has ended, kill it when it takes too long, and leave nothing of its group."""
        if self._process is None:
            return
        try:
            self._process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            _log.warning("child.killed", child=self.name)
        self._kill_group()
        self._process.wait()
        self._process = None

    def _kill_group(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
