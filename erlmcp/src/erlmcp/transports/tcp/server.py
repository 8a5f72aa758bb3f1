"""MCP over TCP: newline-delimited JSON-RPC, both eras, one channel for each connection.

Connect, and the first request decides the era. Cancel by ``notifications/cancelled``. Either side ends by
closing; the server answers what it owes first when it drains.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

from erlmcp.transports.accepting import Accepting
from erlmcp.transports.duplex.channels import Channels
from erlmcp.transports.duplex.line_wire import LineWire
from erlmcp.transports.duplex.peer import Peer
from erlmcp.transports.duplex.stream_wire import both
from erlmcp.transports.tls import LINES, Secured, TlsAccepting

TRANSPORT: Final = "tcp"

_HTTP: Final = (b"HTTP/1.1", b"HTTP/1.0")
"""How the first line of every browser ends, whatever a page makes it send after it."""


class TcpWire(LineWire):
    """The server's end of one TCP connection."""

    transport_name = TRANSPORT

    def __init__(self, server: TcpServer) -> None:
        super().__init__(server.channels)
        self._server = server
        self._has_heard = False

    def deliver(self, message: bytes) -> None:
        """One line. A browser is shown out at its first: the lines that follow are chosen by a page."""
        if not self._has_heard:
            self._has_heard = True
            if message.rstrip().endswith(_HTTP):
                self._refuse_line("these are lines of JSON, not HTTP")
                return
        super().deliver(message)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or close it at once when there are too many."""
        both_ways = both(transport)
        if not self._channels.has_room:
            self._leaving = True
            both_ways.abort()
            return
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # a client that is gone already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._server.wires.add(self)
        self.open(both_ways, both_ways, Peer(TRANSPORT, address))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._server.wires.discard(self)
        super().connection_lost(exc)


class TcpServer:
    """All TCP connections of one worker."""

    def __init__(self, channels: Channels) -> None:
        self.channels = channels
        self.wires: set[TcpWire] = set()
        self._accepting: dict[str, Accepting | TlsAccepting] = {}

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self.wires)

    def listen(self, sock: socket.socket, name: str, secured: Secured | None = None) -> None:
        """Accept connections from a socket that already listens; it stays the caller's."""
        if name in self._accepting:
            return
        if secured is None:
            self._accepting[name] = Accepting(self.channels.service.loop, sock, lambda: TcpWire(self))
        else:
            self._accepting[name] = TlsAccepting(sock, secured, LINES, lambda: TcpWire(self))

    def stop_listening(self, name: str) -> None:
        """Accept no more from a socket; connections stay."""
        accepting = self._accepting.pop(name, None)
        if accepting is not None:
            accepting.stop()

    def close(self) -> None:
        """Accept no more; the connections are closed with their channels."""
        for name in list(self._accepting):
            self.stop_listening(name)
