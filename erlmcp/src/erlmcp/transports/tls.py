"""The TLS of connections that were accepted by ``erlmcp.transports.accepting``.

asyncio would bind a listening socket to one context for good and count no handshake. Here each connection
takes the context that is in force when it comes, handshakes are bounded in time and number, and a client that
does not speak TLS is told so in its own words before anything of it is read as a message. Contexts are made
by ``erlmcp.edge.tls``; after the handshake the transport's own protocol has the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from erlmcp.config.schema import Settings
from erlmcp.edge.bans import Bans
from erlmcp.edge.tls import Identity, accepted, server_context
from erlmcp.telemetry.logs import Log
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.accepting import Take

LINGER_S: Final = 2.0
"""How long a client that does not speak TLS may take to read why it is turned away."""

_HANDSHAKE: Final = 0x16
"""First byte of every TLS connection: the type of a record that carries a handshake (RFC 8446, 5.1)."""

_WORDS: Final = b"this port speaks TLS only; use https:// or wss://\n"

log = Log(__name__)


@dataclass(frozen=True)
class Spoken:
    """What is spoken inside TLS.

    Attributes:
        protocols: its names for ALPN.
        refusal: what a client hears that speaks it without TLS.
    """

    protocols: tuple[str, ...]
    refusal: bytes


HTTP: Final = Spoken(
    ("http/1.1",),
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_WORDS), _WORDS),
)
LINES: Final = Spoken(
    (),
    b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid request: this port speaks TLS'
    b' only"}}\n',
)


class Secured:
    """TLS in one worker: the contexts in force and the handshakes that run.

    Attributes:
        hsts: the field line of every HTTP answer over TLS (RFC 6797); empty when there is none.
    """

    def __init__(self, identity: Identity, settings: Settings, meter: Meter, bans: Bans) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings.tls
        self._farewell_s = settings.http.keep_alive_timeout_s
        self._meter = meter
        self._bans = bans
        self._contexts: dict[Spoken, ssl.SSLContext] = {}
        self._running: set[asyncio.Task[None]] = set()
        self.hsts = b""
        if settings.tls.hsts_max_age_s and settings.mcp.allowed_hosts:
            self.hsts = b"strict-transport-security: max-age=%d\r\n" % settings.tls.hsts_max_age_s
        self.renew(identity)

    @property
    def handshakes(self) -> int:
        """How many connections are not through their handshake yet."""
        return len(self._running)

    def renew(self, identity: Identity) -> None:
        """Prove ourselves with this from now on; connections that are open go on as they are.

        Raises:
            ssl.SSLError: OpenSSL refuses it; what was in force still is.
        """
        self._contexts = {
            spoken: server_context(identity, minimum=self._settings.minimum, protocols=spoken.protocols)
            for spoken in (HTTP, LINES)
        }

    def take(
        self,
        connection: socket.socket,
        address: str,
        spoken: Spoken,
        make_protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        """Shake hands on a connection that was accepted, and leave it to a new protocol."""
        if self._bans.is_banned(address):  # it costs no handshake
            self._meter.rejected("banned")
            connection.close()
            return
        if len(self._running) >= self._settings.max_handshakes:
            self._meter.rejected("tls-handshakes")
            connection.close()
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._secure(connection, spoken, make_protocol))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def taking(self, spoken: Spoken, make_protocol: Callable[[], asyncio.Protocol]) -> Take:
        """Takes connections into TLS and leaves them to a new protocol."""
        return lambda connection, address: self.take(connection, address, spoken, make_protocol)

    def close(self) -> None:
        """End the handshakes that run."""
        for task in self._running:
            task.cancel()

    async def _secure(
        self, connection: socket.socket, spoken: Spoken, make_protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        deadline = self._loop.time() + self._settings.handshake_timeout_s
        first = await self._first_byte(connection, deadline)
        if first != _HANDSHAKE:
            if first is not None:
                self._meter.rejected("tls-plain")
                await self._turn_away(connection, spoken.refusal if 0x20 <= first < 0x7F else b"")
            connection.close()
            return
        accepted.set(connection)  # in the context of this task alone
        try:
            await self._loop.connect_accepted_socket(
                make_protocol,
                connection,
                ssl=self._contexts[spoken],
                ssl_handshake_timeout=max(deadline - self._loop.time(), 0.001),
                ssl_shutdown_timeout=self._farewell_s,
            )
        except OSError as fault:  # ssl.SSLError is one too
            late = isinstance(fault, ConnectionAbortedError)  # the word of asyncio for it
            self._meter.rejected("tls-timeout" if late else "tls-handshake")
            log.debug("tls.handshake-failed", fault=str(fault))

    async def _first_byte(self, connection: socket.socket, deadline: float) -> int | None:
        """The first byte, which stays unread; None when the client went away or said nothing in time."""
        readable: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(connection, _settle, readable)
        try:
            async with asyncio.timeout_at(deadline):
                await readable
        except TimeoutError:
            self._meter.rejected("tls-timeout")
            return None
        except asyncio.CancelledError:
            connection.close()
            raise
        finally:
            self._loop.remove_reader(connection)
        try:
            seen = connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return None
        return seen[0] if seen else None

    async def _turn_away(self, connection: socket.socket, words: bytes) -> None:
        """Say why and read on for a while: unread input would reset the connection before it is heard."""
        with contextlib.suppress(OSError, TimeoutError):
            connection.send(words)
            connection.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(LINGER_S):
                while await self._loop.sock_recv(connection, 65_536):
                    pass


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
