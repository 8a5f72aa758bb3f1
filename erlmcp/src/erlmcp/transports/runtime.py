"""One guest, served: what a worker process holds.

It puts the parts of the request path together and is the only thing the supervisor sees of them. It neither
makes sockets nor handles signals; it lives in one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from erlmcp.config.injected_fault import InjectedFault
from erlmcp.config.schema import Settings
from erlmcp.dispatch import sdk_private
from erlmcp.dispatch.errors import GuestError
from erlmcp.dispatch.guest import Guest, GuestInfo
from erlmcp.edge.auth.gate import Gate
from erlmcp.edge.auth.scopes import idle_patterns
from erlmcp.edge.tls import Identity
from erlmcp.sessions.bus import Bus
from erlmcp.sessions.registry import Sessions
from erlmcp.sessions.sealed import KeyRing
from erlmcp.telemetry.meter import Meter
from erlmcp.transports.admission import Admission
from erlmcp.transports.asgi_guest import GuestRoutes
from erlmcp.transports.duplex.channels import Channels
from erlmcp.transports.guest_threads import GuestThreads
from erlmcp.transports.http.server import HttpServer
from erlmcp.transports.injection import Injection
from erlmcp.transports.introduced import Introductions
from erlmcp.transports.legacy_sse.endpoint import SseEndpoint
from erlmcp.transports.resource_metadata import ResourceMetadata
from erlmcp.transports.routes import Routes
from erlmcp.transports.streamable_http.endpoint import Endpoint
from erlmcp.transports.streamable_http.handshake import HandshakeRequests
from erlmcp.transports.streamable_http.service import Service
from erlmcp.transports.tcp.server import TcpServer
from erlmcp.transports.tls import Secured
from erlmcp.transports.websocket.endpoint import WebSocketEndpoint

logger = logging.getLogger(__name__)

PRIVATE: Final = "private"
"""Name of the listener that only this machine reaches; it never speaks TLS."""

TCP: Final = "tcp"
"""Name of the listener whose connections carry lines instead of HTTP."""

GUESTS_SHARE: Final = 0.9
"""Of the time to start, what is the guest's own; after the rest the supervisor ends the process."""
CLOSE_TIMEOUT_S: Final = 5.0
"""How long a guest may take to leave its lifespan."""

FLUSH_TIMEOUT_S: Final = 0.5
"""How long clients of shared channels may take to read the last messages."""


class Counts(msgspec.Struct, frozen=True):
    """What is going on: requests owed an answer, running tasks among them, connections, open streams."""

    in_flight: int
    connections: int
    streams: int
    sessions: int = 0
    """In use at any worker, as far as this one knows."""
    subscriptions: int = 0
    """Of these sessions."""
    channel_subscriptions: int = 0
    """Of the channels of this worker."""


class GuestRuntime:
    """A guest and everything through which it is reached; one for each worker process."""

    def __init__(
        self,
        guest: Guest,
        threads: GuestThreads,
        settings: Settings,
        keys: KeyRing,
        bus: Bus,
        meter: Meter,
        identity: Identity | None = None,
        gate: Gate | None = None,
        *,
        worker: str,
        has_keeper: bool,
    ) -> None:
        self._guest = guest
        self.threads = threads
        self._gate = gate
        self._sessions = sessions = Sessions(keys, bus, settings.mcp, time.time, answers=not has_keeper)
        self._service = Service(guest, settings, keys, meter, bus)
        self._injection = Injection(self._service)
        self._handshake = HandshakeRequests(self._service, sessions, bus, worker)
        self._guest_routes = GuestRoutes(sdk_private.http_routes(guest.found), self._service)
        self.channels = Channels(self._service, bus, gate)
        self._tcp = TcpServer(self.channels)
        self._websocket = WebSocketEndpoint(self.channels)
        self._admission = None
        if gate is not None:
            self._admission = Admission(gate, meter, self._service.rate_limit, self._service.bans)
        endpoint = Endpoint(self._service, self._handshake, self._admission)
        self._sse = SseEndpoint(self.channels, bus, keys)
        others = {settings.mcp.websocket_path: self._websocket.handle}
        if settings.mcp.sse_path:
            others[settings.mcp.sse_path] = self._sse.open_stream
            others[settings.mcp.sse_messages_path] = self._sse.take_message
        metadata = ResourceMetadata(settings.auth)
        routes = Routes(self._service, endpoint, others, metadata, self._guest_routes, self._admission)
        self._http = HttpServer(
            settings.http, meter, routes.handle, self._service.turned_away, self._service.connection_limit
        )
        self._introductions: Introductions | None = None
        if settings.http.proxy_protocol:
            proxies = self._service.connection_limit.proxies
            self._introductions = Introductions(proxies, meter, settings.http.header_timeout_s)
        self._secured = (
            Secured(identity, settings, meter, self._service.bans) if identity is not None else None
        )

    @classmethod
    async def start(
        cls,
        target: str,
        *,
        settings: Settings,
        keys: KeyRing,
        bus: Bus,
        meter: Meter,
        arguments: Sequence[str] = (),
        factory: bool = False,
        identity: Identity | None = None,
        worker: str = "",
        has_keeper: bool = False,
    ) -> GuestRuntime:
        """Load the guest and enter its lifespan. Nothing is accepted before ``listen``.

        Args:
            arguments: what the guest finds in ``sys.argv`` after its own name.
            factory: what the target names is to be called and returns the server.
            identity: what the public listeners prove themselves with; without it they speak no TLS.
            worker: our name on the bus; empty for one that nobody else knows.
            has_keeper: newcomers are told by somebody else which sessions there are.

        Raises:
            GuestError: the guest cannot be found, is not an MCP server, raised at its start, or did not
                come to serve within the time to start.
            ErlmcpError: what ``[auth]`` names cannot be used.
        """
        threads = GuestThreads(settings.max_threads)
        try:
            async with asyncio.timeout(settings.start_timeout_s * GUESTS_SHARE):
                guest = await Guest.load(
                    target,
                    bus=bus,
                    keys=keys,
                    max_streams=settings.mcp.max_streams,
                    arguments=arguments,
                    factory=factory,
                    tasks=settings.tasks.enabled,
                )
        except TimeoutError:
            raise GuestError(
                "guest.never-served",
                f"loading {target!r} did not come to an MCP server, got nothing for"
                f" {settings.start_timeout_s * GUESTS_SHARE:g} s; expected an object or a main() that serves",
                hint="see in the log what it waits for, or raise start_timeout_s",
            ) from None
        await guest.open(guarded=settings.auth.enabled)
        await _tell_idle_rules(guest, settings)
        gate = Gate(settings.auth) if settings.auth.enabled else None
        parts = (guest, threads, settings, keys, bus, meter, identity, gate)
        return cls(*parts, worker=worker or secrets.token_hex(8), has_keeper=has_keeper)

    @property
    def guest(self) -> GuestInfo:
        """Name, version and kind of the guest."""
        return self._guest.info

    def listen(self, sock: socket.socket, name: str) -> None:
        """Accept connections from a socket that listens and does not block; it stays the caller's.

        The listener named ``TCP`` speaks lines, all others HTTP; all but the one named ``PRIVATE`` inside TLS
        when there is an identity.
        """
        server = self._tcp if name == TCP else self._http
        if name == PRIVATE:
            server.listen(sock, name)
        else:
            before = self._introductions.before if self._introductions is not None else None
            server.listen(sock, name, self._secured, before)

    def renew_identity(self, identity: Identity) -> None:
        """Prove ourselves to new clients with this; those that are connected notice nothing.

        Raises:
            ValueError: the listeners speak no TLS, and would have to begin to.
            ssl.SSLError: OpenSSL refuses it; what was in force still is.
        """
        if self._secured is None:
            raise ValueError("the listeners were opened without TLS")
        self._secured.renew(identity)

    def inject(self, name: str, fault: InjectedFault | None) -> None:
        """Begin an injected fault, or end it."""
        self._injection.put(name, fault)

    def stop_listening(self, name: str) -> None:
        """Accept no more from a socket; its connections stay."""
        (self._tcp if name == TCP else self._http).stop_listening(name)

    def begin_drain(self) -> None:
        """Let every client go in good order: answers say ``Connection: close``, streams end with what they
        are owed. Idle connections stay open, so that a request on its way is answered."""
        self._service.draining = self._http.draining = True
        self._service.end_listeners()
        self._handshake.end_streams()
        self.channels.begin_drain()

    def resume(self) -> None:
        """Undo ``begin_drain``: this worker serves on."""
        self._service.draining = self._http.draining = False
        self.channels.resume()

    def counts(self) -> Counts:
        """What is going on now."""
        connections = self._http.connections + self._tcp.connections + self._websocket.connections
        connections += self._secured.handshakes if self._secured is not None else 0
        connections += self._introductions.waiting if self._introductions is not None else 0
        in_flight = self._service.in_flight + self._guest_routes.in_flight + self._service.tasks.running
        in_flight += self._admission.waiting if self._admission is not None else 0
        return Counts(
            in_flight,
            connections,
            self._service.streams,
            sessions=len(self._sessions),
            subscriptions=len(self._sessions.subscriptions),
            channel_subscriptions=len(self.channels.subscriptions),
        )

    async def close(self) -> None:
        """Cancel what is left, close all connections, leave the guest's lifespan. Takes seconds at most."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._service.close(CLOSE_TIMEOUT_S / 2)
                await self._guest_routes.close()
                if self._admission is not None:
                    await self._admission.close()
                if self._gate is not None:
                    await self._gate.close()
                if self._introductions is not None:
                    self._introductions.close()
                if self._secured is not None:
                    self._secured.close()
                self._tcp.close()
                self._sse.close()
                await self.channels.close(FLUSH_TIMEOUT_S)
                self._http.close()
                await self._handshake.close()
                await self._guest.close()
        except Exception:
            logger.exception("the guest did not end in good order")


async def _tell_idle_rules(guest: Guest, settings: Settings) -> None:
    """Warn of rules of scopes that protect nothing now; the guest may come to have what they name."""
    if not (settings.auth.enabled and settings.auth.scopes):
        return
    for kind, pattern in idle_patterns(settings.auth.scopes, await guest.names_offered()):
        logger.warning(
            "auth.rule-protects-nothing: a rule of [[auth.scopes]] is for the %s %r, and %s has none of that"
            " name now; is it spelled as clients call it?",
            kind,
            pattern,
            guest.info.name,
        )
