"""Tills that report points over HTTP, repeat what was not answered under the same key, and now and then lose an answer that came."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing

from tests.races.callers import Answer, Call, Line

_LOSES_EVERY = 10


class Tills(threading.Thread):
    """A few tills at work on one list of commands, in a thread of their own so that the test can do its faults meanwhile.

    Arguments:
        port: of the web.
        calls: the commands.
        tills: how many connections.
        pause: between two commands of one till, at most, in seconds.
        seed: of their pauses.
        on_answer: told after each answer how many there are, while the other tills wait for theirs.
    """

    def __init__(
        self, port: int, calls: Sequence[Call], *, tills: int, pause: float, seed: random.Random, on_answer: Callable[[int], None]
    ) -> None:
        super().__init__(daemon=True)
        self.answers: dict[int, Answer] = {}
        self.cut: Counter[str] = Counter()
        self._port, self._calls, self._tills, self._pause, self._seed = port, calls, tills, pause, seed
        self._on_answer = on_answer
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as failure:  # noqa: BLE001 - raised again where the test waits for us
            self._failure = failure

    async def _work(self) -> None:
        waiting = iter(enumerate(self._calls))

        async def one() -> None:
            with closing(Line(self._port, patience_seconds=240, cut=self.cut)) as line:
                for place, call in waiting:
                    self.answers[place] = await line.ask(call, lose_answer=place % _LOSES_EVERY == 0)
                    self._on_answer(len(self.answers))
                    await asyncio.sleep(self._seed.uniform(0, self._pause))

        await asyncio.gather(*(one() for _ in range(self._tills)))

    def finished(self) -> bool:
        """Tell whether every command is answered.

        Raises:
            Exception: what broke a till.
        """
        if self._failure is not None:
            raise self._failure
        return len(self.answers) == len(self._calls)
