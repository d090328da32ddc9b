"""Becomes the web that operation starts; ends with the process that started it. ``python -m tests.races.serve PORT``."""

from __future__ import annotations

import os
import signal
import sys

from tasks.process import die_with_parent
from tasks.supervisor import web_command


def main() -> None:
    # SIGTERM, for the web has workers of its own to take along; the wish outlives the exec.
    die_with_parent(signal.SIGTERM)
    command = web_command("127.0.0.1", int(sys.argv[1]))
    os.execv(command[0], command)  # noqa: S606 - the product's own command


if __name__ == "__main__":
    main()
