"""A wire whose outgoing half is an event stream; what comes in is POSTed and handed to the channel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from erlmcp.protocol import sse
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.streamable_http.service import Service


class SseWire:
    """The stream of one client.

    Args:
        service: what all streams of this worker share.
        exchange: the GET request.
        on_end: called once when the stream is over, whoever ended it.
    """

    def __init__(self, service: Service, exchange: Exchange, on_end: Callable[[], None]) -> None:
        self._service = service
        self._exchange = exchange
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    def start(self, post_to: str) -> None:
        """Open the stream by telling the client where to send its messages."""
        self._service.standing_streams += 1
        self._exchange.on_gone = self._finish
        self._exchange.start_stream()
        self._exchange.send(sse.endpoint_event(post_to))
        self._ping_later()

    def send(self, message: bytes) -> None:
        """One event. A reader that leaves too much unread is cut by the connection."""
        self._exchange.send(sse.event(message))

    def answer(self, message: bytes) -> None:
        """One event without the bound."""
        self._exchange.send(sse.event(message), bounded=False)

    is_behind = True
    """Its connection does not tell, so answers wait for its relief."""

    async def relief(self) -> None:
        """Wait while the client has much unread."""
        await self._exchange.relief()

    def hold(self, *, reading: bool) -> None:
        """Messages come one by one and are bounded where they come in."""

    def leave(self) -> None:
        """End the stream; the client may open another."""
        if not self._over:
            self._exchange.end()
            self._finish()

    def refuse(self) -> None:
        """End the stream."""
        self.leave()

    def _ping_later(self) -> None:
        self._timer = self._service.loop.call_later(self._service.settings.mcp.ping_interval_s, self._ping)

    def _ping(self) -> None:
        self._exchange.send(sse.PING)
        self._ping_later()

    def _finish(self) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._service.standing_streams -= 1
        self._on_end()
