"""A wire over a byte stream: ordered writes with a bound, a slow reader cut with its cause, an orderly end.

The asyncio transport keeps what is unsent; this counts it. Framing and the meaning of a close are a
subclass's, see ``erlmcp.transports.duplex.line_wire`` and ``erlmcp.transports.websocket``.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from typing import Final, cast

from erlmcp.telemetry.logs import Log
from erlmcp.transports.duplex.channel import DuplexChannel
from erlmcp.transports.duplex.channels import Channels
from erlmcp.transports.duplex.peer import Peer

LINGER_S: Final = 2.0
"""How long a client may take to read the last messages and close, before the connection is closed for it."""

EOF_GRACE_S: Final = 1.0
"""How long requests may go on whose client has closed its sending half."""

MOST_GATHERED_BYTES: Final = 64 * 1024
"""Answers that wait for the end of the turn, together; beyond it they are written at once."""

log = Log(__name__)


class StreamWire(asyncio.Protocol, ABC):
    """The server's end of one connection; asyncio calls it, and its channel does."""

    transport_name: str

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._service = channels.service
        self._loop = channels.service.loop
        self._limits = channels.service.settings.http
        self._out: asyncio.WriteTransport | None = None
        self._in: asyncio.ReadTransport | None = None
        self._channel: DuplexChannel | None = None
        self._since = channels.service.loop.time()
        self._leaving = False
        self._ended = False
        self._held = False
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._write_paused = False
        self._unsent = 0
        self._relief: asyncio.Future[None] | None = None
        self._slow_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._first_timer: asyncio.TimerHandle | None = None

    # -- what a subclass says --

    @abstractmethod
    def encode(self, message: bytes) -> bytes:
        """The bytes of one message on the wire."""

    @abstractmethod
    def decode(self, data: bytes) -> None:
        """Take bytes that came; hand complete messages to ``deliver``."""

    @abstractmethod
    def end(self, *, refused: bool) -> None:
        """Tell the client that nothing more comes, as far as the framing has words for it."""

    # -- life --

    def open(self, out: asyncio.WriteTransport, into: asyncio.ReadTransport, peer: Peer) -> None:
        """Begin to serve over these two halves."""
        self._out, self._in = out, into
        self._channels.connections.add(self)
        out.set_write_buffer_limits(high=self._limits.max_stream_buffer_bytes // 2)
        self._channel = self._channels.open(self, peer)
        self._first_timer = self._loop.call_later(self._limits.keep_alive_timeout_s, self._first_is_late)

    def forget_silence(self) -> None:
        """Let the client take as long as it likes before its first request."""
        if self._first_timer is not None:
            self._first_timer.cancel()

    def deliver(self, message: bytes) -> None:
        """One complete message has come."""
        if self._channel is not None and not self._leaving:
            self._channel.receive(message)

    def data_received(self, data: bytes) -> None:
        """Bytes of the client; what comes after the end is dropped, so that the client can read it."""
        self._service.meter.received_bytes += len(data)
        if not self._leaving:
            self.decode(data)

    def eof_received(self) -> bool:
        """The client will send no more: that is how it leaves. What is nearly done is still answered.

        Inside TLS it is not: asyncio closes the other direction as well.
        """
        if self._leaving or self._channel is None or self._out is None or not self._out.can_write_eof():
            return False
        self._ended = True
        self._linger_timer = self._loop.call_later(EOF_GRACE_S, self._out.close)
        self._channel.finish()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        """The connection is gone."""
        self._leaving = True
        self._channels.connections.discard(self)
        self._gathered.clear()
        for timer in (self._slow_timer, self._linger_timer, self._first_timer):
            if timer is not None:
                timer.cancel()
        self._wake()
        channel, self._channel = self._channel, None
        if channel is not None:
            self._channels.closed(channel)

    @property
    def silent_since(self) -> float | None:
        """When it was opened, if no request has come on it since."""
        return None if self._channel is None or self._channel.has_begun else self._since

    def drop(self) -> None:
        """Close at once."""
        self._leaving = True
        self._channels.connections.discard(self)
        if self._out is not None:
            self._out.abort()
        channel, self._channel = self._channel, None
        if channel is not None:
            self._channels.closed(channel)

    # -- Wire --

    def send(self, message: bytes) -> None:
        """Send one message; what is unsent counts, so one large message alone cuts nobody."""
        if self._out is None or self._leaving:
            return
        self.flush()
        unsent = self._out.get_write_buffer_size()
        if unsent and unsent + len(message) > self._limits.max_stream_buffer_bytes:
            self.cut("slow-reader", f"{unsent} bytes were not read")
        else:
            self._write(self.encode(message))

    def answer(self, message: bytes) -> None:
        """Send one answer, together with those to all clients of this turn of the loop."""
        if self._out is None or self._leaving:
            return
        if not self._gathered:
            self._channels.outbox.put(self)
        data = self.encode(message)
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes > MOST_GATHERED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the answers that wait for the end of the turn."""
        if self._gathered:
            gathered, self._gathered, self._gathered_bytes = self._gathered, [], 0
            if self._out is not None and not self._out.is_closing():
                self._write(b"".join(gathered))

    def _write(self, data: bytes) -> None:
        assert self._out is not None
        self._service.meter.sent_bytes += len(data)
        self._out.write(data)

    @property
    def is_behind(self) -> bool:
        """Whether the client reads slower than it is answered."""
        return self._write_paused

    async def relief(self) -> None:
        """Wait while the client has much unread."""
        while self._write_paused and not self._leaving:
            if self._relief is None:
                self._relief = self._loop.create_future()
            await asyncio.shield(self._relief)

    def hold(self, *, reading: bool) -> None:
        """Pause or resume reading on the channel's behalf."""
        self._held = not reading
        self._read_or_not()

    def leave(self) -> None:
        """Close in good order."""
        self._end(refused=False)

    def refuse(self) -> None:
        """Close because of what the client sent."""
        self._end(refused=True)

    def cut(self, reason: str, detail: str) -> None:
        """Close at once, and say why."""
        if self._leaving or self._out is None:
            return
        self._leaving = True
        self._service.meter.rejected(reason)
        log.warning("client.cut", transport=self.transport_name, reason=reason, detail=detail)
        self._out.abort()
        self._wake()

    # -- asyncio's flow control --

    def pause_writing(self) -> None:
        """The client reads slower than it is written to: it is not read from either, until it has read."""
        self._write_paused = True
        self._unsent = 0 if self._out is None else self._out.get_write_buffer_size()
        self._slow_timer = self._loop.call_later(self._limits.keep_alive_timeout_s, self._look_at_reader)
        self._read_or_not()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._write_paused = False
        if self._slow_timer is not None:
            self._slow_timer.cancel()
        self._wake()
        self._read_or_not()

    def _look_at_reader(self) -> None:
        unsent = 0 if self._out is None else self._out.get_write_buffer_size()
        if unsent >= self._unsent:
            self.cut("slow-reader", f"nothing was read for {self._limits.keep_alive_timeout_s:g} s")
            return
        self._unsent = unsent
        self._slow_timer = self._loop.call_later(self._limits.keep_alive_timeout_s, self._look_at_reader)

    def _read_or_not(self) -> None:
        if self._in is None or self._in.is_closing():
            return
        if self._is_paused and not self._leaving:
            self._in.pause_reading()
        else:
            self._in.resume_reading()

    @property
    def _is_paused(self) -> bool:
        return self._held or self._write_paused

    def _wake(self) -> None:
        relief, self._relief = self._relief, None
        if relief is not None and not relief.done():
            relief.set_result(None)

    # -- closing --

    def _first_is_late(self) -> None:
        """A connection that asks nothing does not stay; one that has begun may be quiet for ever."""
        if self._channel is not None and not self._channel.has_begun:
            self._service.meter.rejected("silent")
            self.leave()

    def _end(self, *, refused: bool) -> None:
        if self._leaving or self._out is None:
            return
        self.flush()
        self.end(refused=refused)
        self._leaving = True
        self._linger()

    def _linger(self) -> None:
        assert self._out is not None
        self._wake()
        self._read_or_not()
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        self._linger_timer = self._loop.call_later(LINGER_S, self._out.abort)

    def _half_close(self) -> None:
        """No more of us; the client may read to the end before its own close ends the connection."""
        assert self._out is not None
        if self._out.can_write_eof() and not self._ended:
            with contextlib.suppress(OSError, NotImplementedError):
                self._out.write_eof()
        else:
            self._out.close()


def both(transport: asyncio.BaseTransport) -> asyncio.Transport:
    """The transport as both halves; uvloop has a class of its own."""
    return cast("asyncio.Transport", transport)
