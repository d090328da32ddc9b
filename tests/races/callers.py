"""Callers of the API with connections of their own, who repeat a request under the same key until it is answered."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

_ANSWER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    replayed: bool
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Call:
    """A command, and how its bytes are made: anew for each attempt, since a signature is good once.

    Arguments:
        path: of the API.
        body: JSON, or None.
        key: its ``Idempotency-Key``, the same at every attempt.
        sign: makes the headers that say who calls, from path and body.
    """

    path: str
    body: bytes
    key: str
    sign: Callable[[str, bytes], dict[str, str]]

    def request(self) -> bytes:
        headers = {"Host": "test", "Content-Type": "application/json", "Content-Length": str(len(self.body)), "Idempotency-Key": self.key}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in (headers | self.sign(self.path, self.body)).items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body


def member_call(token: str, path: str, key: str, body: Any = None) -> Call:
    """Return a command of a member who shows a token."""
    return Call(path, b"" if body is None else json.dumps(body).encode(), key, lambda _path, _body: {"Authorization": f"Bearer {token}"})


def partner_call(key_id: str, secret: str, path: str, key: str, body: Any) -> Call:
    """Return a command that a partner signs."""

    def sign(path: str, body: bytes) -> dict[str, str]:
        stamp, nonce = str(int(time.time())), secrets.token_hex(16)
        text = "\n".join(["POST", path, stamp, nonce, hashlib.sha256(body).hexdigest()])
        return {
            "X-Huiban-Key": key_id,
            "X-Huiban-Timestamp": stamp,
            "X-Huiban-Nonce": nonce,
            "X-Huiban-Signature": hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest(),
        }

    return Call(path, json.dumps(body).encode(), key, sign)


@dataclass
class Line:
    """One connection that is kept, and opened again when it breaks.

    Arguments:
        port: of the web.
        patience_seconds: how long a request is repeated in all.
    """

    port: int
    patience_seconds: float = 120.0
    cut: Counter[str] = field(default_factory=Counter)
    _ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, call: Call, *, lose_answer: bool = False) -> Answer:
        """Send a command until it is answered.

        Arguments:
            call: what to send.
            lose_answer: let the connection break when the first answer begins to arrive: the command was done, and the caller does not know.
        """
        deadline = time.monotonic() + self.patience_seconds
        while True:
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    answer = await self._exchange(call.request(), lose_answer=lose_answer)
            except (OSError, EOFError) as error:
                self.close()
                self.cut["on purpose" if lose_answer else type(error).__name__] += 1
                lose_answer = lose_answer and isinstance(error, ConnectionRefusedError)
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)
            else:
                if answer.status == HTTPStatus.CONFLICT and answer.json["code"] == "request_in_progress":
                    # The attempt before, whose answer was lost, is still at work: docs/connect-till.md says to ask again.
                    self.cut["in progress"] += 1
                    await asyncio.sleep(0.2)
                    continue
                return answer

    async def _exchange(self, request: bytes, *, lose_answer: bool) -> Answer:
        if self._ends is None:
            self._ends = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._ends
        writer.write(request)
        if lose_answer:
            await reader.readexactly(1)
            raise EOFError
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        return Answer(int(head[9:12]), b"\r\nidempotency-replayed: true" in head, await reader.readexactly(length))

    def close(self) -> None:
        if self._ends is not None:
            self._ends[1].close()
            self._ends = None


def ask_all(port: int, calls: Sequence[Call], *, connections: int) -> list[Answer]:
    """Send every command over so many connections at once; return the answers in the commands' order."""
    answers: dict[int, Answer] = {}
    waiting = iter(enumerate(calls))

    async def work() -> None:
        with closing(Line(port)) as line:
            for number, call in waiting:
                answers[number] = await line.ask(call)

    async def all_of_them() -> None:
        await asyncio.gather(*(work() for _ in range(connections)))

    asyncio.run(all_of_them())
    return [answers[number] for number in range(len(calls))]
