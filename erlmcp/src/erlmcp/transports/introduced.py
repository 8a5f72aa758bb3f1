"""Connections that a proxy introduces by a PROXY header, before TLS and before the first message.

Only a trusted proxy may introduce anybody; whoever else connects is closed, and so is a proxy that does not
say the header in time. It is read exactly, so that what follows is read by whoever comes next. How it is
written is ``erlmcp.protocol.proxy_header``; who is trusted is ``erlmcp.edge.proxies``.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from erlmcp.edge.proxies import Proxies
from erlmcp.protocol.proxy_header import MAX_BYTES, NoProxyHeaderError, ProxyHeader, read_proxy_header
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.accepting import Take, introduced_as

MAX_WAITING: Final = 1_000
"""Connections at one time whose header has not come; more are closed at once."""

_LOOK_AGAIN_S: Final = 0.02
"""A header whose bytes stay unread until it is whole wakes nobody when more of them come."""


class Introductions:
    """Reads the headers of one worker's connections."""

    def __init__(self, proxies: Proxies, meter: Meter, timeout_s: float) -> None:
        self._proxies = proxies
        self._meter = meter
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """How many connections have not been introduced yet."""
        return len(self._running)

    def before(self, take: Take) -> Take:
        """What takes a connection, behind its introduction."""

        def introduce(connection: socket.socket, address: str) -> None:
            if not self._proxies.trusts(address) or len(self._running) >= MAX_WAITING:
                self._meter.rejected("no-proxy")
                connection.close()
                return
            task = self._loop.create_task(self._introduce(connection, address, take))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        return introduce

    async def _introduce(self, connection: socket.socket, address: str, take: Take) -> None:
        connection.setblocking(False)
        try:
            async with asyncio.timeout(self._timeout_s):
                header = await self._header(connection)
                left = header.size  # they are there, and were only looked at
                while left:
                    left -= len(connection.recv(left))
        except (NoProxyHeaderError, OSError, TimeoutError):
            self._meter.rejected("proxy-header")
            connection.close()
            return
        except asyncio.CancelledError:
            connection.close()
            raise
        client = header.client or address
        introduced_as.set(client)  # in the context of this task, and of the connection that it hands on
        take(connection, client)

    async def _header(self, connection: socket.socket) -> ProxyHeader:
        seen = 0
        while True:
            await self._readable(connection)
            data = connection.recv(MAX_BYTES, socket.MSG_PEEK)
            if not data:
                raise NoProxyHeaderError("the proxy went away")
            header = read_proxy_header(data)
            if header is not None:
                return header
            if len(data) == seen:
                await asyncio.sleep(_LOOK_AGAIN_S)
            seen = len(data)

    async def _readable(self, connection: socket.socket) -> None:
        readable: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(connection, _settle, readable)
        try:
            await readable
        finally:
            self._loop.remove_reader(connection)

    def close(self) -> None:
        """Introduce nobody any more."""
        for task in self._running:
            task.cancel()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
