"""A client that opens streams and holds them: a process of its own, so that its memory is not the server's.

``python -m benchmarks.memory.holder get|listen PORT COUNT`` says ``open`` on a line when every stream is,
holds them until its input ends, then says how many the server has closed meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from typing import Any, Final

import uvloop
from benchmarks.http.messages import ENVELOPE, FIELDS, HOST, MODERN_VERSION, PATH
from benchmarks.memory.sessions import fields_of, open_session
from benchmarks.memory.wire import Connection, post_bytes

_AT_ONCE: Final = 100
_OPEN_TIMEOUT_S: Final = 60.0
_LISTEN: Final = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "subscriptions/listen",
        "params": {"_meta": ENVELOPE, "notifications": {"toolsListChanged": True}},
    }
).encode()
_LISTEN_FIELDS: Final = {"mcp-protocol-version": MODERN_VERSION, "mcp-method": "subscriptions/listen"}
_ACKNOWLEDGED: Final = b"notifications/subscriptions/acknowledged"


class Stream(asyncio.Protocol):
    """One open stream. ``opened`` is done when the server has begun to answer with it."""

    def __init__(self, request: bytes, sign: bytes, lost: list[Stream]) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._sign = sign
        self._lost = lost
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        ours: Any = transport
        ours.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Look for the sign that it is open; what comes later is dropped."""
        if self.opened.done():
            return
        self._data += data
        if self._data.startswith(b"HTTP/1.1 200 ") and self._sign in self._data:
            self.opened.set_result(None)
            self._data = b""
        elif not self._data.startswith(b"HTTP/1.1 200 "[: len(self._data)]):
            self.opened.set_exception(ConnectionError(f"no stream: {self._data[:200]!r}"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The server has closed it."""
        self._lost.append(self)
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("closed before it was open"))


def requests_for(kind: str, port: int, count: int) -> tuple[list[bytes], bytes]:
    """The requests that open streams of a kind, and the sign in the answer that it is open."""
    if kind == "listen":
        return [post_bytes(port, _LISTEN, _LISTEN_FIELDS)] * count, _ACKNOWLEDGED
    with Connection(port) as connection:
        sessions = [open_session(connection) for _ in range(count)]
    requests = []
    for session in sessions:
        fields = {**FIELDS, **fields_of(session), "accept": "text/event-stream"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if name != "content-type")
        requests.append(f"GET {PATH} HTTP/1.1\r\nhost: {HOST}:{port}\r\n{lines}\r\n".encode())
    return requests, b"\r\n\r\n"


async def hold(kind: str, port: int, count: int) -> None:
    """Open, say so, hold, and say how many were lost."""
    loop = asyncio.get_running_loop()
    lost: list[Stream] = []
    requests, sign = requests_for(kind, port, count)
    transports = []
    for start in range(0, count, _AT_ONCE):
        opened = [
            await loop.create_connection(lambda request=request: Stream(request, sign, lost), HOST, port)
            for request in requests[start : start + _AT_ONCE]
        ]
        async with asyncio.timeout(_OPEN_TIMEOUT_S):
            await asyncio.gather(*(stream.opened for _, stream in opened))
        transports += [transport for transport, _ in opened]
    print("open", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(len(lost), flush=True)


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(hold(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
