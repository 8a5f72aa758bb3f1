"""Load at an even rate on an open loop, which ``wrk`` cannot make: its pauses are whole milliseconds.

A request's clock starts when it was due, whether or not a connection was free by then: a server that falls
behind is not forgiven what it made others wait. The loop never sleeps if it has a core of its own.
Runs as a process of its own, see ``load``: an ``Order`` on stdin, a ``Counted`` on stdout.
"""

from __future__ import annotations

import gc
import re
import select
import socket
import sys
import time
from collections import deque
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
    """Times from when a request was due to the end of its answer, in ms; ``bad``: refused, broken or late."""

    requests: int
    elapsed_s: float
    p50_ms: float
    p99_ms: float
    bytes: int
    bad: int


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
        self._times: list[float] = []
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
        times = sorted(self._times) or [0.0]
        p50_ms, p99_ms = (times[int(len(times) * share)] * 1e3 for share in (0.5, 0.99))
        return Counted(len(self._times), elapsed_s, p50_ms, p99_ms, self._bytes, self._bad)

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
            self._times.append(time.perf_counter() - self._due.pop(number))
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
