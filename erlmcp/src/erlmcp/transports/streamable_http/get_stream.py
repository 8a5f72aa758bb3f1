"""One open GET: the standing stream of a session, or a stream that the client has come back for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from erlmcp.protocol import sse
from erlmcp.transports.http.exchange import Exchange
from erlmcp.transports.streamable_http.service import Service


class GetStream:
    """An open GET. What is sent on it comes from a track.

    Args:
        service: what all streams of this worker share.
        exchange: the GET request.
        on_ping: called at each ping; the session is in use as long as a stream of it is open.
        on_end: called once when the stream is over, whoever ended it.
    """

    def __init__(
        self,
        service: Service,
        exchange: Exchange,
        *,
        on_ping: Callable[[], None],
        on_end: Callable[[GetStream], None],
    ) -> None:
        self._service = service
        self._exchange = exchange
        self._on_ping = on_ping
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    def start(self) -> None:
        """Open the stream; a first comment lets the client see at once that it is open."""
        self._service.standing_streams += 1
        self._exchange.on_gone = self._finish
        self._exchange.start_stream()
        self._ping()

    def send(self, data: bytes) -> None:
        """Send some whole events. A reader that leaves too much unread is cut by the connection."""
        self._exchange.send(data)

    def end(self, data: bytes = b"") -> None:
        """Close the stream in good order, after a last piece if one is given."""
        if not self._over:
            self._exchange.end(data)
            self._finish()

    def _ping(self) -> None:
        self._exchange.send(sse.PING)
        self._on_ping()
        self._timer = self._service.loop.call_later(self._service.settings.mcp.ping_interval_s, self._ping)

    def _finish(self) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._service.standing_streams -= 1
        self._on_end(self)
