"""A crowd of hostile clients: a process of its own, so that its work is not the good client's.

``python -m benchmarks.attack.crowd HTTP_PORT TCP_PORT COUNT ENOUGH SECONDS`` says ``held`` when ENOUGH of
COUNT are open (and fails if that takes longer), goes on until its input ends, then says as JSON what became
of them. Whom the server closes, comes again. They come from addresses 127.1.0.1 and up, two hundred
connections each; those that flood have one of their own.
"""

from __future__ import annotations

import asyncio
import json
import math
import resource
import sys
from collections import Counter, deque
from contextlib import suppress
from typing import Any, Final

import uvloop
from benchmarks.attack.kinds import FLOODER, Kind, kinds
from benchmarks.http.messages import HOST

PER_ADDRESS: Final = 200
FLOODERS: Final = 50
FLOODERS_ADDRESS: Final = "127.2.0.1"
_TICK_S: Final = 0.01
_DRIP_TICKS: Final = 200
_OPENED_IN_A_TICK: Final = 20


class Hostile(asyncio.Protocol):
    """One of them, for as long as the server lets it."""

    def __init__(self, crowd: Crowd, kind: Kind, address: str) -> None:
        self.kind = kind
        self.address = address
        self.is_open = False
        self._crowd = crowd
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self.is_open = True
        self._crowd.come(self)
        if self.kind.opening:
            self._transport.write(self.kind.opening)
        if not self.kind.reads:
            self._transport.pause_reading()

    def drip(self) -> None:
        """Send a little more."""
        self._transport.write(self.kind.drip)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        """The server has closed it: it comes again."""
        self.is_open = False
        self._crowd.lose(self)


class Crowd:
    """All of them. ``held``: how many are connected now, without those that flood."""

    def __init__(self, http_port: int, lines_port: int, count: int, enough: int, timeout_s: int) -> None:
        self.held = 0
        self._dripping: deque[Hostile] = deque()
        self._ports = {False: http_port, True: lines_port}
        self._closed: Counter[str] = Counter()
        self._failed = 0
        self._least = count
        self._enough = enough
        self._timeout_s = timeout_s
        members = [kind for kind in kinds(http_port) for _ in range(round(kind.share * count))]
        self._absent = deque(
            Hostile(self, kind, f"127.1.{number // PER_ADDRESS}.1") for number, kind in enumerate(members)
        )
        self._absent.extend(Hostile(self, FLOODER, FLOODERS_ADDRESS) for _ in range(min(FLOODERS, count)))

    def come(self, member: Hostile) -> None:
        """One is connected."""
        self.held += member.kind is not FLOODER
        if member.kind.drip:
            self._dripping.append(member)

    def lose(self, member: Hostile) -> None:
        """One was closed by the server."""
        self.held -= member.kind is not FLOODER
        self._least = min(self._least, self.held)
        self._closed[member.kind.name] += 1
        self._absent.append(Hostile(self, member.kind, member.address))

    async def run(self) -> None:
        """Hold on until the input ends."""
        ending = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ending.set)
        going_on = asyncio.create_task(self._go_on())
        async with asyncio.timeout(self._timeout_s):
            while self.held < self._enough:  # noqa: ASYNC110 - all that comes in meanwhile is its doing
                await asyncio.sleep(_TICK_S)
        print("held", flush=True)
        self._least = self.held
        await ending.wait()
        going_on.cancel()
        told = {"least_held": self._least, "closed": dict(self._closed), "failed": self._failed}
        print(json.dumps(told), flush=True)

    async def _go_on(self) -> None:
        while True:
            coming = [self._absent.popleft() for _ in range(min(_OPENED_IN_A_TICK, len(self._absent)))]
            await asyncio.gather(*map(self._come, coming))
            for _ in range(math.ceil(len(self._dripping) / _DRIP_TICKS)):
                member = self._dripping.popleft()
                if member.is_open:
                    member.drip()
                    self._dripping.append(member)
            await asyncio.sleep(_TICK_S)

    async def _come(self, member: Hostile) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(5.0):
                await loop.create_connection(
                    lambda: member, HOST, self._ports[member.kind.lines], local_addr=(member.address, 0)
                )
        except (OSError, TimeoutError):
            self._failed += 1
            self._absent.append(member)


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with suppress(KeyboardInterrupt):
        uvloop.run(Crowd(*map(int, sys.argv[1:6])).run())
