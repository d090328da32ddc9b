"""WeChat as a witness: a process of its own that survives every fault and writes down each call, so that nothing the product says need be believed.

It keeps no allowances and refuses no repetition: a message that is sent twice is to be seen twice. Who calls stands in the path
(``/messages1.3/cgi-bin/…`` is the third process of that name), what it is about in the message's first field.

Run as ``python -m tests.chaos.oracle RECORD``; it prints its port. Commands come line by line on its standard input:
``spoil HOW COUNT`` lets the next calls go wrong in that way, ``revoke`` makes every token unknown.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.process import die_with_parent

# What a caller is told, and whether that leaves no doubt that nothing was sent.
REFUSALS = {"busy": -1, "quota": 45009, "refused": 40003, "token": 40001}
# Ways in which nobody but us knows what became of the call; those that end in ``before`` took nothing in.
SPOILED = ("html", "html_before", "http_502", "http_502_before", "hang", "hang_before", "cut", "cut_before")
TURNED_AWAY = "http_429"
SLOW = "slow"
SUBJECT = "Message "  # and its number: the field by which a message is known here
_SLOW_SECONDS = 1.5
_HANG_SECONDS = 30.0
_LATENCY_SECONDS = (0.005, 0.02)


@dataclass
class Call:
    """A call as it was seen.

    Arguments:
        number: of the message.
        caller: the process that made it, with the count of its lives.
        came_at: when it was complete, by the machine's clock.
        taken: whether the member got the message.
        how: what the caller was told; None while it had not been told anything.
        told_at: when.
    """

    number: int
    caller: str
    came_at: float
    taken: bool = False
    how: str | None = None
    told_at: float | None = None

    @property
    def refused(self) -> bool:
        """Whether the caller was told that nothing was sent."""
        return self.how in REFUSALS or self.how == TURNED_AWAY


class Record:
    """What the oracle wrote, read while it writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self.calls: dict[int, Call] = {}
        self.taken = 0

    def follow(self) -> int:
        """Read what is new; return how many messages were taken in so far."""
        if not self._path.exists():
            return 0
        with self._path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            mark = json.loads(line)
            if mark["event"] == "came":
                self.calls[mark["call"]] = Call(mark["number"], mark["caller"], mark["at"])
            elif mark["event"] == "taken":
                self.calls[mark["call"]].taken = True
                self.taken += 1
            else:
                self.calls[mark["call"]].how, self.calls[mark["call"]].told_at = mark["how"], mark["at"]
        return self.taken

    def by_number(self) -> dict[int, list[Call]]:
        """Return the calls of each message in the order they came."""
        found: dict[int, list[Call]] = {}
        for call in self.calls.values():
            found.setdefault(call.number, []).append(call)
        return found


class _Oracle:
    def __init__(self, record: Path) -> None:
        self._file = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._calls = itertools.count(1)
        self._token = 1
        self._spoils: list[list] = []

    def command(self, line: str) -> None:
        word, *rest = line.split()
        if word == "revoke":
            self._token += 1
        elif word == "spoil":
            self._spoils.append([rest[0], int(rest[1])])

    def _write(self, **mark) -> None:
        os.write(self._file, json.dumps({**mark, "at": time.time()}).encode() + b"\n")

    def _spoil(self) -> str:
        while self._spoils:
            self._spoils[0][1] -= 1
            if self._spoils[0][1] >= 0:
                return self._spoils[0][0]
            del self._spoils[0]
        return "ok"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass
        writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = head.split(" ", 2)[1]
        length = next((int(line.partition(":")[2]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0)
        body = await reader.readexactly(length)
        if "/message/subscribe/send" in target:
            return await self._send(writer, target, json.loads(body))
        if "/stable_token" in target:
            return await self._answer(writer, {"access_token": f"token-{self._token}", "expires_in": 7200})
        if "/msg_sec_check" in target:
            return await self._answer(writer, {"errcode": 0, "result": {"suggest": "pass", "label": 100}, "trace_id": "t"})
        return await self._answer(writer, {"errcode": 404, "errmsg": "unknown"})

    async def _send(self, writer: asyncio.StreamWriter, target: str, body: dict) -> bool:
        call, number = next(self._calls), int(body["data"]["thing1"]["value"].removeprefix(SUBJECT))
        self._write(event="came", call=call, number=number, caller=target.split("/")[1])
        await asyncio.sleep(random.uniform(*_LATENCY_SECONDS))
        how = "token" if f"access_token=token-{self._token}" not in target else self._spoil()
        if how in REFUSALS or how == TURNED_AWAY:
            self._write(event="told", call=call, how=how)
            refusal = {"errcode": REFUSALS.get(how, 0), "errmsg": how}
            return await (self._page(writer, "429 Too Many Requests") if how == TURNED_AWAY else self._answer(writer, refusal))
        if not how.endswith("_before"):
            self._write(event="taken", call=call)
        if how == SLOW:
            await asyncio.sleep(_SLOW_SECONDS)
        self._write(event="told", call=call, how=how)
        return await self._end(writer, how, call)

    async def _end(self, writer: asyncio.StreamWriter, how: str, call: int) -> bool:
        if how.startswith("html"):
            return await self._page(writer, "200 OK")
        if how.startswith("http_502"):
            return await self._page(writer, "502 Bad Gateway")
        if how.startswith("hang"):
            await asyncio.sleep(_HANG_SECONDS)
        if how.startswith(("hang", "cut")):
            return False
        return await self._answer(writer, {"errcode": 0, "errmsg": "ok", "msgid": 3_000_000_000_000_000_000 + call})

    @staticmethod
    async def _answer(writer: asyncio.StreamWriter, body: dict) -> bool:
        text = json.dumps(body).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
        await writer.drain()
        return True

    @staticmethod
    async def _page(writer: asyncio.StreamWriter, status: str) -> bool:
        text = b"<html>a proxy's page</html>"
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(text)}\r\n\r\n"
        writer.write(head.encode() + text)
        await writer.drain()
        return True


async def _main(record: Path) -> None:
    oracle = _Oracle(record)
    server = await asyncio.start_server(oracle.serve, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        oracle.command(line.decode())


if __name__ == "__main__":
    die_with_parent()
    asyncio.run(_main(Path(sys.argv[1])))
