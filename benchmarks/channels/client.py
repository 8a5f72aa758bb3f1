"""The load generator: connections that keep a number of calls under way, until the time is over.

``python -m benchmarks.channels.client`` reads one ``Order`` as JSON and writes one line of JSON, what it has
counted. Every answer must have the length of the first; that one and every fiftieth is decoded and looked at.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import uvloop
from benchmarks.channels.framing import LEAST_ID, MOST_ID, Framed, Lines, WebSocket
from benchmarks.http.messages import HOST, ID_MARK, is_right

_LOOK_AT_EVERY: Final = 50
_LAST_ANSWERS_S: Final = 15.0
_PERCENTILES: Final = 100


class Order(msgspec.Struct, frozen=True):
    """What is to be done.

    Attributes:
        depth: calls that each connection keeps under way.
        body: of a call, with the mark where its id goes.
    """

    port: int
    framing: str
    path: str
    connections: int
    depth: int
    duration_s: float
    body: str


class Counted(msgspec.Struct, frozen=True):
    """What was counted; ``late`` calls were not answered, ``wrong`` answers were not right."""

    requests: int
    elapsed_s: float
    p50_ms: float
    p99_ms: float
    bytes: int
    wrong: int
    late: int


@dataclass
class Tally:
    """What all connections count together."""

    answers: int = 0
    bytes: int = 0
    wrong: int = 0
    under_way: int = 0
    over: bool = False
    latencies_s: list[float] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, framed: Framed, order: Order, tally: Tally) -> None:
        before, _, after = order.body.partition(f'"{ID_MARK}"')
        self._before, self._after = before.encode(), after.encode()
        self._framed = framed
        self._depth = order.depth
        self._tally = tally
        self._greeted = not framed.greeting
        self._rest = b""
        self._length = 0
        self._next_id = LEAST_ID
        self._answered = 0
        self._next_look = 1
        self._timed_answer = 0
        self._timed_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or greet first."""
        self._transport: Any = transport
        if self._greeted:
            self._ask(self._depth)
        else:
            self._transport.write(self._framed.greeting)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server has gone away; what it owes stays under way."""

    def data_received(self, data: bytes) -> None:
        """Count the answers that are complete, and ask as many times again."""
        data = self._rest + data
        if not self._greeted:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self._tally.wrong += 1
                return
            self._greeted = True
            self._ask(self._depth)
        if not self._length:
            self._length = self._framed.first_length(data) or 0
        count = len(data) // self._length if self._length else 0
        self._rest = data[count * self._length :] if count else data
        if count:
            self._take(data[: count * self._length], count)

    def _take(self, answers: bytes, count: int) -> None:
        tally = self._tally
        if not self._framed.are_whole(answers, self._length):
            tally.wrong += count
        self._answered += count
        if self._answered >= self._next_look:
            self._next_look = self._answered + _LOOK_AT_EVERY
            self._look_at(self._framed.message(answers[-self._length :]))
        if self._timed_answer and self._answered >= self._timed_answer:
            tally.latencies_s.append(time.perf_counter() - self._timed_at)
            self._timed_answer = 0
        tally.answers += count
        tally.bytes += len(answers)
        tally.under_way -= count
        if not tally.over:
            self._ask(count)

    def _look_at(self, message: bytes) -> None:
        request_id = msgspec.json.decode(message).get("id")
        asked = isinstance(request_id, int) and LEAST_ID <= request_id < self._next_id
        if not asked or not is_right(message, request_id):
            self._tally.wrong += 1

    def _ask(self, count: int) -> None:
        request, first = self._framed.request, self._next_id
        self._next_id = first + count
        if self._next_id > MOST_ID:
            self._next_id = LEAST_ID + count
            first = LEAST_ID
        before, after = self._before, self._after
        self._transport.write(b"".join([request(before, first + n, after) for n in range(count)]))
        self._tally.under_way += count
        if not self._timed_answer:
            self._timed_answer = self._answered + self._depth
            self._timed_at = time.perf_counter()


async def load(order: Order) -> Counted:
    """Load the server as ordered."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    framed: Framed = Lines() if order.framing == "lines" else WebSocket(f"{HOST}:{order.port}", order.path)
    began = time.perf_counter()
    opened = [
        await loop.create_connection(lambda: Connection(framed, order, tally), HOST, order.port)
        for _ in range(order.connections)
    ]
    await asyncio.sleep(order.duration_s)
    tally.over = True
    deadline = loop.time() + _LAST_ANSWERS_S
    while (tally.under_way or not tally.answers) and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    elapsed_s = time.perf_counter() - began
    for transport, _ in opened:
        transport.close()
    found = tally.latencies_s
    tail = statistics.quantiles(found if len(found) > 1 else [0.0, 0.0], n=_PERCENTILES)
    return Counted(
        tally.answers, elapsed_s, tail[49] * 1e3, tail[98] * 1e3, tally.bytes, tally.wrong, tally.under_way
    )


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(load(asked))) + b"\n")
