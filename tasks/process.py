"""The core of this process, for code that RQ calls by name and that cannot be handed one."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
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


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set: a loop that waits on it ends after the round it is in."""
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopping
