"""A wire with one message on each line: stdio and TCP."""

from __future__ import annotations

import asyncio

from mcp_types import INVALID_REQUEST

from erlmcp.protocol.faults import Fault
from erlmcp.protocol.lines import LINE_END, LineReader, line
from erlmcp.transports.duplex.channels import Channels
from erlmcp.transports.duplex.stream_wire import MOST_GATHERED_BYTES, StreamWire


class LineWire(StreamWire):
    """The framing; how the connection comes about is a subclass's."""

    def __init__(self, channels: Channels) -> None:
        super().__init__(channels)
        self._lines = LineReader(self._limits.max_body_bytes)
        self._line_timer: asyncio.TimerHandle | None = None

    def encode(self, message: bytes) -> bytes:
        """One line."""
        return line(message)

    def answer(self, message: bytes) -> None:
        """As ``Wire``; in one piece because it runs for each call."""
        if self._out is None or self._leaving:
            return
        gathered = self._gathered
        if not gathered:
            self._channels.outbox.put(self)
        gathered.append(message + LINE_END)
        self._gathered_bytes += len(message)
        if self._gathered_bytes > MOST_GATHERED_BYTES:
            self.flush()

    def decode(self, data: bytes) -> None:
        """Cut into lines; one that is too long, or takes too long, ends the connection."""
        if self._line_timer is not None and b"\n" in data:
            self._line_timer.cancel()
            self._line_timer = None
        for message in self._lines.feed(data):
            if not self._leaving:  # the one before may have ended it
                self.deliver(message)
        if self._lines.too_long:
            self._refuse_line(f"a line is longer than {self._limits.max_body_bytes} bytes")
        elif self._lines.in_line and self._line_timer is None:
            self._line_timer = self._loop.call_later(self._limits.body_timeout_s, self._line_is_late)

    def end(self, *, refused: bool) -> None:  # noqa: ARG002 - lines have no words for why
        """The framing knows no goodbye but the end of the stream."""
        self._half_close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._line_timer is not None:
            self._line_timer.cancel()
        super().connection_lost(exc)

    def _line_is_late(self) -> None:
        if self._is_paused:  # it is we who make the client wait
            self._line_timer = self._loop.call_later(self._limits.body_timeout_s, self._line_is_late)
            return
        self._refuse_line(f"a line took longer than {self._limits.body_timeout_s:g} s")

    def _refuse_line(self, why: str) -> None:
        if self._channel is not None:
            self._channel.refuse(Fault(INVALID_REQUEST, f"Invalid request: {why}"))
