"""The upgrade from HTTP to WebSocket: checked like any request, then the connection changes its protocol.

Host and Origin have been checked before; browsers do not ask before they open a WebSocket, so that check is
the only guard against pages of strangers.
"""

from __future__ import annotations

from typing import Final

from websockets.datastructures import Headers as WebSocketHeaders
from websockets.http11 import Request as UpgradeRequest
from websockets.http11 import Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from erlmcp.transports.duplex.channels import Channels
from erlmcp.transports.duplex.peer import Peer
from erlmcp.transports.http import heads
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.http.request import HttpRequest
from erlmcp.transports.streamable_http.answers import turn_away
from erlmcp.transports.websocket.wire import TRANSPORT, WebSocketWire

SUBPROTOCOL: Final = Subprotocol("mcp")
_RETRY: Final = b"retry-after: 1\r\n"
_NOT_OURS: Final = frozenset({b"content-length", b"content-type", b"date", b"connection"})


class WebSocketEndpoint:
    """Answers upgrade requests, and holds the connections that came of them."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._wires: set[WebSocketWire] = set()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._wires)

    def handle(self, exchange: Exchange) -> None:
        """Upgrade one connection, or say why not."""
        request = exchange.request
        if self._channels.service.draining or not self._channels.has_room():
            turn_away(exchange, 503, "no more connections are taken now", _RETRY)
            return
        response = _judge(request)
        if response.status_code != 101:
            self._channels.service.meter.rejected("upgrade")
            exchange.respond(
                response.status_code, bytes(response.body or b""), _fields(response, heads.PLAIN_TEXT)
            )
            return
        upgrade = b"connection: upgrade\r\n"
        transport, early = exchange.switch(_fields(response, upgrade))
        peer = Peer(TRANSPORT, request.peer, request)
        WebSocketWire(self._channels, self._wires).take_over(transport, early, peer)


def _judge(request: HttpRequest) -> Response:
    """The answer to an upgrade request, by the rules of RFC 6455."""
    headers = WebSocketHeaders()
    for name, value in request.headers.pairs():
        headers[name.decode("latin-1")] = value.decode("latin-1")
    asked = UpgradeRequest(
        request.path.decode("latin-1"),
        headers,
        method=request.method.decode("ascii"),
        protocol="HTTP/1.1" if request.is_1_1 else "HTTP/1.0",
    )
    return ServerProtocol(subprotocols=[SUBPROTOCOL]).accept(asked)


def _fields(response: Response, first: bytes) -> bytes:
    lines = [first]
    for name, value in response.headers.raw_items():
        encoded = name.lower().encode("ascii")
        if encoded not in _NOT_OURS:
            lines.append(heads.field(encoded, value))
    return b"".join(lines)
