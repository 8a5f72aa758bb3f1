"""Load at an even rate on an open loop, which ``wrk`` cannot make: its pauses are whole milliseconds.

A request's clock starts when it was due, whether or not a connection was free by then: a server that falls
behind is not forgiven what it made others wait. The loop never sleeps if it has a core of its own.

On a machine that is itself stopped for milliseconds a few times a second, as virtual ones are, the p99 of a
whole run tells nothing but that: after a stop of 5 ms even a bare server is behind for another 12 ms at 70 %
of its rate. So the run is cut into slices, and ``tail`` is that of the median slice.
Runs as a process of its own, see ``load``: an ``Order`` on stdin, a ``Counted`` on stdout.
"""

from __future__ import annotations

import gc
import re
import select
import socket
import statistics
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec
from benchmarks.http.messages import HOST, ID_MARK, PATH

_FIRST_ID: Final = 1_000_000
_LAST_ID: Final = 9_999_999
_ID_DIGITS: Final = 7
_TRACE_MARK: Final = "@TRACE@"
_ANSWER_TIMEOUT_S: Final = 8.0
_READ_BYTES: Final = 65_536
_STATUS: Final = b"HTTP/1.1 200"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
_SLICE_S: Final = 0.02
_LEAST_IN_SLICE: Final = 500
"""A p99 of fewer requests is their slowest or next."""
_WHOLE: Final = 0.9
"""The first slice and the last have fewer requests than this share of the others."""


class Order(msgspec.Struct):
    """What to send: fields and body with their marks, sessions to use in turn (or none), and how fast.

    Where others use the core too (``shares_core``), the loop sleeps until there is something to do.
    """

    port: int
    fields: dict[str, str]
    body: str
    sessions: list[str]
    connections: int
    rate_per_s: float
    duration_s: float
    shares_core: bool = False


class Counted(msgspec.Struct):
    """Times from when a request was due to the end of its answer, in ms; ``bad``: refused, broken or late.

    ``tail`` is the p99 over the p50 of the median slice of the run.
    """

    requests: int
    elapsed_s: float
    p50_ms: float
    p99_ms: float
    bytes: int
    bad: int
    tail: float


class Requests:
    """The requests, each with an id of its own."""

    def __init__(self, order: Order) -> None:
        before, after = order.body.split(f'"{ID_MARK}"')
        length = len((before + after).encode()) + _ID_DIGITS
        fields = "".join(f"{name}: {value}\r\n" for name, value in order.fields.items())
        head = f"POST {PATH} HTTP/1.1\r\nhost: {HOST}:{order.port}\r\ncontent-length: {length}\r\n{fields}"
        sessions = [f"mcp-session-id: {session}\r\n" for session in order.sessions] or [""]
        self._prepared = [(f"{head}{session}\r\n{before}", after) for session in sessions]
        self._traced = _TRACE_MARK in fields
        self._next = 0

    def __next__(self) -> bytes:
        number = self._next
        self._next += 1
        request_id = str(_FIRST_ID + number % (_LAST_ID - _FIRST_ID + 1))
        before, after = self._prepared[number % len(self._prepared)]
        if self._traced:
            before = before.replace(_TRACE_MARK, request_id)
        return (before + request_id + after).encode()


class Pacer:
    """Sends when a request is due and a connection is free, and reads what comes."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._requests = Requests(order)
        self._poll = select.epoll()
        self._free: deque[int] = deque()
        self._sockets: dict[int, socket.socket] = {}
        self._due: dict[int, float] = {}
        self._read: dict[int, bytes] = {}
        self._times: list[tuple[float, float]] = []
        """When each was due, and how long it took."""
        self._bytes = 0
        self._bad = 0

    def run(self) -> Counted:
        """Run for the ordered time, then wait for what is under way.

        Raises:
            OSError: the server takes no connection.
        """
        order = self._order
        for _ in range(order.connections):
            self._connect()
        interval, began = 1 / order.rate_per_s, time.perf_counter()
        ends, due = began + order.duration_s, began
        while (now := time.perf_counter()) < ends:
            while due <= now and self._free:
                self._send(due)
                due += interval
            if order.shares_core:
                select.select([self._poll], [], [], max(0.0, due - time.perf_counter()))
            self._receive()
        elapsed_s = time.perf_counter() - began
        while self._due and time.perf_counter() < ends + _ANSWER_TIMEOUT_S:
            self._receive()
        self._bad += len(self._due)
        p50_s, p99_s = _percentiles([took for _, took in self._times] or [0.0])
        tail = tail_of(self._times, order.rate_per_s)
        return Counted(len(self._times), elapsed_s, p50_s * 1e3, p99_s * 1e3, self._bytes, self._bad, tail)

    def _connect(self) -> None:
        connection = socket.create_connection((HOST, self._order.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        number = connection.fileno()
        self._sockets[number], self._read[number] = connection, b""
        self._poll.register(number, select.EPOLLIN)
        self._free.append(number)

    def _send(self, due: float) -> None:
        number = self._free.popleft()
        request = next(self._requests)
        self._due[number] = due
        if self._sockets[number].send(request) != len(request):
            raise OSError("a request of a few hundred bytes did not fit into an empty socket")

    def _receive(self) -> None:
        for number, _ in self._poll.poll(0):
            try:
                data = self._sockets[number].recv(_READ_BYTES)
            except ConnectionError:
                data = b""
            if not data:
                self._lose(number)
                continue
            answer = self._read[number] + data
            if not _is_whole(answer):
                self._read[number] = answer
                continue
            due = self._due.pop(number)
            self._times.append((due, time.perf_counter() - due))
            self._bytes += len(answer)
            self._bad += not answer.startswith(_STATUS)
            self._read[number] = b""
            self._free.append(number)

    def _lose(self, number: int) -> None:
        """A connection that the server ended: what was under way on it is lost, another takes its place."""
        self._bad += self._due.pop(number, None) is not None
        self._poll.unregister(number)
        self._sockets.pop(number).close()
        if number in self._free:
            self._free.remove(number)
        self._connect()


def tail_of(times: Sequence[tuple[float, float]], rate_per_s: float) -> float:
    """The p99 over the p50 in the median slice; ``times`` are when a request was due and how long it took.

    0 if there were too few requests for one slice.
    """
    slice_s = max(_SLICE_S, _LEAST_IN_SLICE / rate_per_s)
    slices: dict[int, list[float]] = {}
    for due, took in times:
        slices.setdefault(int(due / slice_s), []).append(took)
    most = slice_s * rate_per_s
    whole = [each for each in slices.values() if len(each) >= most * _WHOLE]
    ratios = [p99 / p50 for p50, p99 in map(_percentiles, whole) if p50]
    return statistics.median(ratios) if ratios else 0.0


def _percentiles(times: list[float]) -> tuple[float, float]:
    ordered = sorted(times)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]


def _is_whole(answer: bytes) -> bool:
    """Whether an answer has ended. An answer without a length comes in chunks."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    length = _LENGTH.search(head + b"\r\n")
    return len(body) >= int(length[1]) if length else (b"\r\n" + body).endswith(_LAST_CHUNK)


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    gc.disable()
    sys.stdout.buffer.write(msgspec.json.encode(Pacer(given).run()))
