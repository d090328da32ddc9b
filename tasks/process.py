"""The core of this process, for code that RQ calls by name and that cannot be handed one."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from types import FrameType

from server.bootstrap import Core

_PR_SET_PDEATHSIG = 1
_cores: list[Core] = []


def install(core: Core) -> None:
    """Make a core the one of this process."""
    _cores[:] = [core]


def current_core() -> Core:
    """Return the core of this process.

    Raises:
        RuntimeError: when the process was started without one.
    """
    if not _cores:
        raise RuntimeError("this process has no core: start it through tasks.worker")
    return _cores[0]


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask the kernel to signal this process when its parent ends, however that happens. Linux only; elsewhere nothing.

    Arguments:
        number: which signal; one that can be handled for a process that has children of its own to stop.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it ended in between
        os.kill(os.getpid(), signal.SIGKILL)


class Stop:
    """Whether we were told to stop; what ``threading.Event`` is, but safe to set from a signal handler.

    An Event is set under a lock that is not reentrant: a handler that interrupts the thread that holds it, in ``wait`` or in
    the handler of an earlier signal, waits for itself. A pipe needs none, and what was written to it wakes every thread.
    """

    def __init__(self) -> None:
        self._told = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def set(self) -> None:
        """Tell everybody."""
        if not self._told:
            self._told = True
            os.write(self._write, b".")

    def is_set(self) -> bool:
        """Return whether somebody told us."""
        return self._told

    def wait(self, seconds: float) -> bool:
        """Wait at most so many seconds to be told; return whether we were."""
        if not self._told:
            select.select([self._read], [], [], seconds)
        return self._told


def stop_on_signals() -> Stop:
    """Return what SIGTERM and SIGINT set: a loop that waits on it ends after the round it is in."""
    stopping = Stop()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopping
