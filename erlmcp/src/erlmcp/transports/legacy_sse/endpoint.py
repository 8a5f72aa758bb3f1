"""HTTP+SSE, the transport of 2024-11-05: a GET opens the stream, POSTs to the address it names send messages.

The stream lives in one worker; a POST may reach any other, which passes it on over the bus and answers when
the owner has taken it. Only the handshake era is served. Nothing is resumed: a new GET is a new session.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Final
from urllib.parse import parse_qs

from erlmcp.edge.host_origin import preflight_fields
from erlmcp.protocol.eras import HANDSHAKE
from erlmcp.protocol.headers import is_json
from erlmcp.sessions.bus import SSE_MESSAGE, SSE_TAKEN, Bus, BusEvent
from erlmcp.sessions.sealed import KeyRing
from erlmcp.transports.duplex.channel import DuplexChannel
from erlmcp.transports.duplex.channels import Channels
from erlmcp.transports.duplex.peer import Peer
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.legacy_sse.stream_ids import StreamIds
from erlmcp.transports.legacy_sse.wire import SseWire
from erlmcp.transports.streamable_http.answers import turn_away

TRANSPORT: Final = "sse"
OWNER_TIMEOUT_S: Final = 2.0
"""How long the owner of a stream may take to say that it has taken a message."""
MAX_ASKING: Final = 256
"""POSTs that wait for the owner of their stream at once."""

_NONCE_CHARS: Final = 22
_RETRY: Final = b"retry-after: 1\r\n"


class SseEndpoint:
    """Answers the GETs and POSTs of this transport."""

    def __init__(self, channels: Channels, bus: Bus, keys: KeyRing) -> None:
        self._channels = channels
        self._service = channels.service
        self._bus = bus
        self._ids = StreamIds(keys)
        self._streams: dict[str, DuplexChannel] = {}
        self._asking: dict[str, asyncio.Future[None]] = {}
        self._post_path = channels.service.settings.mcp.sse_messages_path
        self._unsubscribe = bus.subscribe(self._hear)

    # -- the stream --

    def open_stream(self, exchange: Exchange) -> None:
        """Answer a GET with the stream."""
        if not _is_method(exchange, b"GET"):
            return
        if self._service.draining or not self._channels.has_room():
            turn_away(exchange, 503, "no more streams are opened now", _RETRY)
            return
        if self._service.capacity_fault(stream=True) is not None:
            turn_away(exchange, 429, "too many open streams", _RETRY)
            return
        stream_id = self._ids.new(exchange.request.principal)

        def ended() -> None:
            channel = self._streams.pop(stream_id)
            self._channels.closed(channel)

        wire = SseWire(self._service, exchange, ended)
        peer = Peer(TRANSPORT, exchange.request.peer, exchange.request)
        self._streams[stream_id] = self._channels.open(wire, peer, HANDSHAKE)
        wire.start(f"{self._post_path}?session_id={stream_id}")

    # -- messages --

    def take_message(self, exchange: Exchange) -> None:
        """Answer a POST: 202 when its stream has the message, 404 when there is no such stream."""
        if not _is_method(exchange, b"POST"):
            return
        request = exchange.request
        if not is_json(request.headers):
            turn_away(exchange, 415, "Content-Type must be application/json")
            return
        stream_id = parse_qs(request.query.decode("latin-1")).get("session_id", [""])[0]
        if not self._ids.is_ours(stream_id, request.principal):
            self._unknown(exchange)
        elif stream_id in self._streams:
            self._deliver(exchange, self._streams[stream_id])
        elif len(self._asking) >= MAX_ASKING:
            turn_away(exchange, 503, "too many messages are on their way", _RETRY)
        else:
            self._service.in_background(self._service.loop.create_task(self._pass_on(exchange, stream_id)))

    def _deliver(self, exchange: Exchange, channel: DuplexChannel) -> None:
        if channel.is_full:
            turn_away(exchange, 503, "messages wait for the answer to initialize", _RETRY)
            return
        exchange.respond(202, b"Accepted")
        channel.receive(exchange.request.body)

    async def _pass_on(self, exchange: Exchange, stream_id: str) -> None:
        """Let the worker that has the stream take the message, if there is one."""
        nonce = secrets.token_urlsafe(16)
        taken = self._asking[nonce] = self._service.loop.create_future()
        try:
            body = nonce.encode("ascii") + exchange.request.body
            self._bus.publish(BusEvent(SSE_MESSAGE, stream_id, body))
            async with asyncio.timeout(OWNER_TIMEOUT_S):
                await taken
        except TimeoutError:
            self._unknown(exchange)
        else:
            exchange.respond(202, b"Accepted")
        finally:
            del self._asking[nonce]

    def _hear(self, event: BusEvent) -> None:
        if event.kind == SSE_TAKEN:
            taken = self._asking.get(event.key)
            if taken is not None and not taken.done():
                taken.set_result(None)
        elif event.kind == SSE_MESSAGE:
            channel = self._streams.get(event.key)
            if channel is not None and not channel.is_full:
                nonce = event.data[:_NONCE_CHARS].decode("ascii")
                self._bus.publish(BusEvent(SSE_TAKEN, nonce))
                channel.receive(event.data[_NONCE_CHARS:])

    def _unknown(self, exchange: Exchange) -> None:
        self._service.meter.rejected("session")
        turn_away(exchange, 404, "there is no such session: open a new stream")

    def close(self) -> None:
        """Hear no more of other workers; the streams are closed with their channels."""
        self._unsubscribe()


def _is_method(exchange: Exchange, method: bytes) -> bool:
    """Whether it is the one method that is served here; any other is answered."""
    request = exchange.request
    if request.method == method:
        return True
    if request.method == b"OPTIONS":
        exchange.respond(204, fields=preflight_fields(request.headers))
    else:
        turn_away(exchange, 405, f"only {method.decode()} is served here", b"allow: %b, OPTIONS\r\n" % method)
    return False
