"""Listening sockets, their connections, and what the connections share.

The endpoint is plugged in as one function that takes an ``Exchange``. Listening sockets belong to somebody
else: they are duplicated, so that stopping to accept closes nothing that another process still uses.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from erlmcp.config.schema import HttpSettings
from erlmcp.edge.addresses import network_of
from erlmcp.edge.bans import MALFORMED
from erlmcp.edge.connection_limit import ConnectionLimit
from erlmcp.protocol.headers import Headers
from erlmcp.telemetry.correlation import Correlation
from erlmcp.telemetry.descriptors import connections_that_fit
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.accepting import Listeners, Take
from erlmcp.transports.http import heads
from erlmcp.transports.http.connection import HttpConnection
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.http.known_heads import KnownHead, KnownHeads
from erlmcp.transports.http.tls_connection import TlsHttpConnection
from erlmcp.transports.making_room import MakingRoom, Quiet
from erlmcp.transports.outbox import Outbox
from erlmcp.transports.tls import HTTP, Secured

LINGER_S: Final = 2.0
"""How long bytes of a refused request are read and dropped, so that the client can read the answer."""

BANNED: Final = b"this address is shut out for a while\n"
MALFORMED_STATUSES: Final = (400, 431)
"""Of requests that no proper client sends; what is only too slow or too large may come from one."""


def quiet(connection: HttpConnection) -> Quiet | None:
    """How a connection is quiet: it has not sent a whole head, or not yet the next one."""
    waits_for = connection.deadline.name
    if waits_for not in ("first", "header", "keep-alive") or not connection.idle:
        return None
    return Quiet(waits_for == "keep-alive", connection.deadline.since)


class HttpServer:
    """All HTTP connections of one worker."""

    def __init__(
        self,
        limits: HttpSettings,
        meter: Meter,
        handler: Callable[[Exchange], None],
        on_refused: Callable[[bytes, int, Correlation], None] = lambda *_: None,
        connection_limit: ConnectionLimit | None = None,
    ) -> None:
        self.limits = limits
        self.meter = meter
        self.handler = handler
        self.on_refused = on_refused
        self._connection_limit = connection_limit
        self.time_limits_s = {
            "first": limits.header_timeout_s,
            "header": limits.header_timeout_s,
            "body": limits.body_timeout_s,
            "keep-alive": limits.keep_alive_timeout_s,
            "linger": LINGER_S,
            "flush": limits.keep_alive_timeout_s,
        }
        self.draining = False
        self.known_heads = KnownHeads(limits)
        self.loop = asyncio.get_running_loop()
        self.outbox = Outbox(self.loop)
        self._max_connections = connections_that_fit(limits.max_connections)
        self._connections: set[HttpConnection] = set()
        self._room = MakingRoom(self.loop, lambda: self._connections, quiet, self._make_room)
        if connection_limit is not None:
            connection_limit.bans.when_banned(self.drop)
        self._listeners = Listeners(self.loop)
        self._date = b""
        self._date_until = 0.0
        self._json_head = b""

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def listen(
        self,
        sock: socket.socket,
        name: str,
        secured: Secured | None = None,
        before: Callable[[Take], Take] | None = None,
    ) -> None:
        """Accept connections from a socket that already listens; it stays the caller's."""
        secure = None
        if secured is not None:
            hsts = secured.hsts
            secure = secured.taking(HTTP, lambda: TlsHttpConnection(self, hsts))
        self._listeners.add(name, sock, lambda: HttpConnection(self), secure, before)

    def stop_listening(self, name: str) -> None:
        """Accept no more from a socket; connections stay."""
        self._listeners.stop(name)

    def admit(self, connection: HttpConnection) -> bool:
        """Count a new connection; False when there are too many."""
        if self._connection_limit is not None and not self._connection_limit.has_room(connection.peer):
            return False
        if len(self._connections) >= self._max_connections and not self._room.make():
            self.meter.rejected("connections")
            return False
        if self._connection_limit is not None:
            self._connection_limit.opened(connection.peer)
        self._connections.add(connection)
        return True

    def forget(self, connection: HttpConnection) -> None:
        """A connection is closed, or has become another transport's; it may be told again."""
        if connection in self._connections:
            self._connections.remove(connection)
            if self._connection_limit is not None:
                self._connection_limit.closed(connection.peer)

    def _make_room(self, connection: HttpConnection) -> None:
        self.meter.rejected("made-room")
        connection.close(at_once=True)
        self.forget(connection)

    def date(self) -> bytes:
        """The date field line; made once a second."""
        now = self.loop.time()
        if now >= self._date_until:
            self._date = b"date: " + formatdate(usegmt=True).encode("ascii") + b"\r\n"
            self._date_until = now + 1.0
            self._json_head = heads.STATUS_LINE[200] + self._date + heads.JSON
        return self._date

    def json_head(self) -> bytes:
        """The beginning of most answers: status, date and type; made once a second."""
        if self.loop.time() >= self._date_until:
            self.date()
        return self._json_head

    def refused(self, peer: str, status: int) -> None:
        """Count a request that could not be read."""
        self.meter.rejected(f"http-{status}")
        if self._connection_limit is not None and status in MALFORMED_STATUSES:
            self._connection_limit.bans.offended(peer, MALFORMED)

    def drop(self, network: str) -> None:
        """Close the connections of an address; what they are being answered is lost."""
        for connection in list(self._connections):
            if network_of(connection.peer) == network:
                connection.close(at_once=not connection.idle)

    def speaks_for_others(self, address: str) -> bool:
        """Whether a trusted proxy connects from this address."""
        return self._connection_limit is not None and self._connection_limit.proxies.trusts(address)

    def client_of(self, known: KnownHead) -> str:
        """Whom a trusted proxy speaks for with this head; empty if it does not say."""
        if known.client is None:
            known.client = self._told_by("", known.request.headers)
        return known.client

    def takes_long_way(self, proxy: str, known: KnownHead) -> bool:
        """Whether a request with a known head cannot be answered at once: it is told more, or turned away."""
        return self.draining or (bool(proxy) and self._is_banned(self.client_of(known)))

    def handle(self, exchange: Exchange, proxy: str) -> None:
        """Have a request answered, which a trusted proxy may have brought."""
        request = exchange.request
        if proxy:
            request.peer = self._told_by(proxy, request.headers)
            if self._is_banned(request.peer):
                self.meter.rejected("banned")
                exchange.respond(403, BANNED, heads.PLAIN_TEXT)
                return
        self.handler(exchange)

    def _told_by(self, proxy: str, headers: Headers) -> str:
        assert self._connection_limit is not None, "else nobody is trusted"
        return self._connection_limit.proxies.client_of(proxy, headers)

    def _is_banned(self, address: str) -> bool:
        return self._connection_limit is not None and self._connection_limit.bans.is_banned(address)

    def close(self) -> None:
        """Accept no more and close every connection; what is being answered is lost."""
        self._listeners.stop_all()
        for connection in list(self._connections):
            connection.close(at_once=not connection.idle)
