"""Wires between the product and what it talks to: they can be held still, and they can be cut.

Run as ``python -m tests.chaos.wires NAME=HOST:PORT…``; it prints ``NAME PORT`` for each. Commands come line by line on its standard input:
``stall NAME SECONDS`` lets nothing through in either direction for so long, ``cut NAME`` breaks every connection.
"""

from __future__ import annotations

import asyncio
import sys

from tasks.process import die_with_parent


class _Wire:
    def __init__(self, target: str) -> None:
        self.target = target
        self.ends: set[_End] = set()
        self.held = False

    def stall(self, seconds: float) -> None:
        self.held = True
        for end in self.ends:
            end.hold()
        asyncio.get_running_loop().call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self.held = False
        for end in list(self.ends):
            end.go_on()

    def cut(self) -> None:
        for end in list(self.ends):
            end.break_off()


class _End(asyncio.Protocol):
    """One end of a connection; what it gets it writes to the other."""

    def __init__(self, wire: _Wire, other: _End | None = None) -> None:
        self._wire, self.other = wire, other
        self._kept: list[bytes] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport) -> None:
        self.transport = transport
        self._wire.ends.add(self)
        if self._wire.held:
            self.hold()
        if self.other is None:
            host, _, port = self._wire.target.partition(":")
            asyncio.get_running_loop().create_task(self._reach(host, int(port)))

    async def _reach(self, host: str, port: int) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: _FarEnd(self._wire, self), host, port)
        except OSError:
            self.break_off()

    def data_received(self, data: bytes) -> None:
        self._kept.append(data)
        self._pass_on()

    def _pass_on(self) -> None:
        if self.other is not None and self.other.transport is not None and not self._wire.held:
            for data in self._kept:
                self.other.transport.write(data)
            self._kept.clear()

    def hold(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def go_on(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
        self._pass_on()

    def meet(self, other: _End) -> None:
        self.other = other
        self._pass_on()

    def break_off(self) -> None:
        for end in (self, self.other):
            if end is not None and end.transport is not None:
                end.transport.abort()

    def connection_lost(self, _error) -> None:
        self._wire.ends.discard(self)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class _FarEnd(_End):
    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        self.other.meet(self)


async def _main(wanted: list[str]) -> None:
    wires: dict[str, _Wire] = {}
    servers = []
    for text in wanted:
        name, _, target = text.partition("=")
        wire = wires[name] = _Wire(target)
        server = await asyncio.get_running_loop().create_server(lambda wire=wire: _End(wire), "127.0.0.1", 0, backlog=256)
        servers.append(server)
        print(name, server.sockets[0].getsockname()[1], flush=True)
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        word, name, *rest = line.decode().split()
        if word == "stall":
            wires[name].stall(float(rest[0]))
        else:
            wires[name].cut()


if __name__ == "__main__":
    die_with_parent()
    asyncio.run(_main(sys.argv[1:]))
