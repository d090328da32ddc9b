"""What a planted fault is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A fault.

    Arguments:
        name: what is wrong then.
        tests: files of which one test at least must turn red.
        changes: file, text, and what stands there instead.
        servers: whether it is looked for on PostgreSQL and MariaDB as well.
    """

    name: str
    tests: tuple[str, ...]
    changes: tuple[tuple[str, str, str], ...]
    servers: bool = False
