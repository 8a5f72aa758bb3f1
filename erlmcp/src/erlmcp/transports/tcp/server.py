"""MCP over TCP: newline-delimited JSON-RPC, both eras, one channel for each connection.

Connect, and the first request decides the era. Cancel by ``notifications/cancelled``. Either side ends by
closing; the server answers what it owes first when it drains. With ``[auth]`` the first line is a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final

from erlmcp.edge.auth.gate import Gate
from erlmcp.edge.bans import BAD_TOKEN
from erlmcp.protocol.grants import Denial, Grant
from erlmcp.telemetry.logs import Log
from erlmcp.transports.accepting import Listeners, Take, address_of
from erlmcp.transports.admission import NOBODY_KNOWS
from erlmcp.transports.duplex.channel import DuplexChannel
from erlmcp.transports.duplex.channels import Channels
from erlmcp.transports.duplex.line_wire import LineWire
from erlmcp.transports.duplex.peer import Peer
from erlmcp.transports.duplex.stream_wire import both
from erlmcp.transports.tcp.greeting import MALFORMED, MAX_LINE_BYTES, fault_of, token_in_line
from erlmcp.transports.tls import LINES, Secured

TRANSPORT: Final = "tcp"
log = Log(__name__)

_HTTP: Final = (b"HTTP/1.1", b"HTTP/1.0")
"""How the first line of every browser ends, whatever a page makes it send after it."""


class TcpWire(LineWire):
    """The server's end of one TCP connection."""

    transport_name = TRANSPORT

    def __init__(self, server: TcpServer) -> None:
        super().__init__(server.channels)
        self._server = server
        self._has_heard = False
        self._gate: Gate | None = server.channels.gate
        self._peer: Peer | None = None
        self._unread = 0
        self._token_timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        self._settled: DuplexChannel | None = None
        """The channel, once nothing but messages can come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or close it at once when there are too many."""
        both_ways = both(transport)
        address = address_of(transport)
        if not self._service.connection_limit.has_room(address) or not self._channels.has_room():
            self._leaving = True
            both_ways.abort()
            return
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # a client that is gone already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._server.wires.add(self)
        self._service.connection_limit.opened(address)
        self._peer = Peer(TRANSPORT, address)
        self.open(both_ways, both_ways, self._peer)
        if self._gate is not None:
            self._token_timer = self._loop.call_later(self._limits.header_timeout_s, self._token_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._server.wires.discard(self)
        if self._peer is not None:
            self._service.connection_limit.closed(self._peer.address)
        if self._token_timer is not None:
            self._token_timer.cancel()
        if self._asking is not None:
            self._asking.cancel()
        super().connection_lost(exc)
        self._settled = None

    @property
    def silent_since(self) -> float | None:
        """When it was opened, if no whole line has come on it since."""
        return None if self._has_heard else self._since

    def data_received(self, data: bytes) -> None:
        """Bytes of the client; whole messages of a client that is known go straight to its channel."""
        settled = self._settled
        if settled is not None and not self._leaving and (messages := self._lines.whole(data)):
            self._service.meter.received_bytes += len(data)
            for message in messages:
                if not self._leaving:  # one of them may have ended it
                    settled.receive(message)
        else:
            super().data_received(data)

    # -- the access token --

    def decode(self, data: bytes) -> None:
        """Take lines; before there is a token only little is kept."""
        if self._token_timer is not None and b"\n" not in data:
            self._unread += len(data)
            if self._unread > MAX_LINE_BYTES:
                self._turn_away(MALFORMED)
                return
        super().decode(data)

    def deliver(self, message: bytes) -> None:
        """A line: the token, if it has not come yet, else a message.

        A browser is shown out at its first: the lines that follow are chosen by a page.
        """
        is_first, self._has_heard = not self._has_heard, True
        if is_first and message.rstrip().endswith(_HTTP):
            self._refuse_line("these are lines of JSON, not HTTP")
        elif self._token_timer is None:
            self._settled = self._channel
            super().deliver(message)
        elif self._asking is not None:
            self._early.append(message)  # what came in one piece with the token; no more is read
        elif not self._leaving:
            self._take_token(message)

    def _take_token(self, line: bytes) -> None:
        assert self._gate is not None
        token = token_in_line(line)
        verdict = token if isinstance(token, Denial) else self._gate.judge_token(token)
        if verdict is None:
            self.hold(reading=False)
            self._asking = self._loop.create_task(self._ask(self._gate, str(token)))
        else:
            self._take_verdict(verdict)

    async def _ask(self, gate: Gate, token: str) -> None:
        verdict: Grant | Denial = NOBODY_KNOWS
        try:
            verdict = await gate.ask_token(token)
        except Exception:
            log.exception("auth.asking-failed")
        self._asking = None
        self._loop.call_soon(self._take_verdict, verdict)  # outside of any task, as usual

    def _take_verdict(self, verdict: Grant | Denial) -> None:
        if self._leaving:
            return
        if isinstance(verdict, Denial):
            self._turn_away(verdict)
            return
        self._service.meter.token_judged("accepted")
        self._stop_waiting()
        if self._channel is not None and self._peer is not None:
            self._peer.grant = verdict
            self._channels.watch(self._channel, verdict)
        if self._held:
            self.hold(reading=True)
        early, self._early = self._early, []
        for message in early:
            self.deliver(message)

    def _token_is_late(self) -> None:
        self._turn_away(Denial(401, "", f"no token came within {self._limits.header_timeout_s:g} s"))

    def _stop_waiting(self) -> None:
        if self._token_timer is not None:
            self._token_timer.cancel()
            self._token_timer = None

    def _turn_away(self, denial: Denial) -> None:
        self._stop_waiting()
        self._service.meter.token_judged(denial.outcome)
        if denial.is_offence and self._peer is not None:
            self._service.bans.offended(self._peer.address, BAD_TOKEN)
        if self._channel is not None:
            metadata_url = self._gate.metadata_url if self._gate is not None else ""
            self._channel.turn_away(fault_of(denial, metadata_url), "auth")


class TcpServer:
    """All TCP connections of one worker."""

    def __init__(self, channels: Channels) -> None:
        self.channels = channels
        self.wires: set[TcpWire] = set()
        self._listeners = Listeners(channels.service.loop)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self.wires)

    def listen(
        self,
        sock: socket.socket,
        name: str,
        secured: Secured | None = None,
        before: Callable[[Take], Take] | None = None,
    ) -> None:
        """Accept connections from a socket that already listens; it stays the caller's."""
        secure = None if secured is None else secured.taking(LINES, lambda: TcpWire(self))
        self._listeners.add(name, sock, lambda: TcpWire(self), secure, before)

    def stop_listening(self, name: str) -> None:
        """Accept no more from a socket; connections stay."""
        self._listeners.stop(name)

    def close(self) -> None:
        """Accept no more; the connections are closed with their channels."""
        self._listeners.stop_all()
