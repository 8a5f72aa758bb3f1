"""A wire with one message in each text frame: what comes after the upgrade to WebSocket.

Plain messages are read by ``erlmcp.transports.websocket.frames``, all else by the ``websockets`` package,
which does no I/O; this moves their bytes. No extensions are offered, so a small frame cannot become a large
message. MCP itself says nothing of WebSocket: the rules are those of stdio, with pings, and with close codes
(1001 drain, 1003 binary, 1007 no UTF-8, 1008 too slow, 1009 too large).
"""

from __future__ import annotations

import asyncio
from typing import Final

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from erlmcp.edge.bans import MALFORMED
from erlmcp.transports.duplex.channels import Channels
from erlmcp.transports.duplex.peer import Peer
from erlmcp.transports.duplex.stream_wire import MOST_GATHERED_BYTES, StreamWire
from erlmcp.transports.websocket.frames import FrameReader, is_utf8

TRANSPORT: Final = "websocket"
_MESSAGES: Final = frozenset({Opcode.TEXT, Opcode.CONT})
_BROKEN: Final = frozenset({CloseCode.PROTOCOL_ERROR, CloseCode.UNSUPPORTED_DATA, CloseCode.INVALID_DATA})
"""Why a connection is closed whose client does not keep to WebSocket."""

_LENGTH_16: Final = 126
_LENGTH_64: Final = 65_536
"""From these sizes on the length of a frame takes two bytes more, and eight."""


class WebSocketWire(StreamWire):
    """The server's end of one WebSocket connection."""

    transport_name = TRANSPORT

    def __init__(self, channels: Channels, wires: set[WebSocketWire]) -> None:
        super().__init__(channels)
        self._wires = wires
        self._address = ""
        self._protocol = ServerProtocol(state=OPEN, max_size=self._limits.max_body_bytes)
        self._frames = FrameReader(self._limits.max_body_bytes)
        self._pieces: list[bytes] = []
        self._in_message = False
        """Whether a message has begun whose last fragment has not come."""
        self._message_timer: asyncio.TimerHandle | None = None
        self._heard = False
        self._ping_timer: asyncio.TimerHandle | None = None

    def take_over(self, transport: asyncio.Transport, early: bytes, peer: Peer) -> None:
        """Begin to serve a connection that has been upgraded; ``early`` came behind the request."""
        self._wires.add(self)
        self._address = peer.address
        self._service.connection_limit.opened(peer.address)  # HTTP has let go of it
        transport.set_protocol(self)
        self.open(transport, transport, peer)
        self._ping_later()
        transport.resume_reading()
        if early:
            self.data_received(early)

    # -- framing --

    def encode(self, message: bytes) -> bytes:
        """One text frame; nothing once the client has said goodbye, since nothing can follow that."""
        return text_frame(message) if self._protocol.state is OPEN else b""

    def answer(self, message: bytes) -> None:
        """As ``Wire``; in one piece because it runs for each call."""
        if self._out is None or self._leaving or self._protocol.state is not OPEN:
            return
        gathered = self._gathered
        if not gathered:
            self._channels.outbox.put(self)
        gathered.append(text_frame(message))
        self._gathered_bytes += len(message)
        if self._gathered_bytes > MOST_GATHERED_BYTES:
            self.flush()

    def data_received(self, data: bytes) -> None:
        """Bytes of the client; also while closing, to see that it closes too."""
        self._heard = True
        self._service.meter.received_bytes += len(data)
        self.decode(data)

    def decode(self, data: bytes) -> None:
        """Take messages; whatever breaks the rules closes the connection with its code.

        What came before a goodbye or a broken rule is taken, also when it came in the same read.
        """
        messages = self._frames.feed(data)
        for message in messages:
            self.deliver(message)
        if self._frames.kept:
            self._read_on(has_frame=bool(messages))
        elif self._message_timer is not None:
            self._watch_message(has_frame=True)

    def _read_on(self, *, has_frame: bool) -> None:
        """Take what is not a plain message, as far as it has come."""
        frames = self._frames
        while rest := frames.rest():
            has_frame |= self._take_by_package(rest)
            if self._protocol.state is not OPEN:
                frames.is_over = True
            for message in frames.feed(b""):
                self.deliver(message)
        self._flush()
        self._watch_message(has_frame=has_frame)

    def _take_by_package(self, data: bytes) -> bool:
        """Whether any frame has come to its end."""
        self._protocol.receive_data(data)
        events = self._protocol.events_received()
        for event in events:
            if isinstance(event, Frame) and not self._take(event):
                break
        return bool(events)

    def end(self, *, refused: bool) -> None:
        """The closing handshake: going away, or the client broke a rule."""
        self._frames.is_over = True
        if self._protocol.state is OPEN:
            self._protocol.send_close(CloseCode.POLICY_VIOLATION if refused else CloseCode.GOING_AWAY)
        self._flush()

    def eof_received(self) -> bool:
        """A client that is gone without a goodbye."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._wires.discard(self)
        self._service.connection_limit.closed(self._address)
        for timer in (self._ping_timer, self._message_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _take(self, frame: Frame) -> bool:
        """Whether what follows may be taken, too."""
        if frame.opcode is Opcode.BINARY:
            self._protocol.fail(CloseCode.UNSUPPORTED_DATA, "messages are text")
            return False
        if frame.opcode not in _MESSAGES:
            return True  # pings are answered by the protocol
        if frame.data:
            self._pieces.append(bytes(frame.data))
        self._in_message = not frame.fin
        if not frame.fin:
            return True
        message, self._pieces = b"".join(self._pieces), []
        if not is_utf8(message):
            self._protocol.fail(CloseCode.INVALID_DATA, "a text frame is UTF-8")
            return False
        self.deliver(message)
        return not self._leaving

    def _flush(self) -> None:
        """Send what the protocol wants to send; an empty piece is its word for the end."""
        if self._out is None or self._out.is_closing():
            return
        self.flush()
        for piece in self._protocol.data_to_send():
            if piece:
                self._write(piece)
            else:
                self._finish()

    def _finish(self) -> None:
        """The protocol is over: no more of us, and the client may read to the end."""
        if not self._leaving:
            sent = self._protocol.close_sent
            if self._protocol.close_rcvd is None and sent is not None:
                self._service.meter.rejected(f"websocket-{int(sent.code)}")
                if sent.code in _BROKEN:
                    self._service.bans.offended(self._address, MALFORMED)
            self._leaving = True
            self._linger()
        self._half_close()

    # -- time --

    def _watch_message(self, *, has_frame: bool) -> None:
        """A message that has begun must end in time, and so must a frame of which only bytes come."""
        if self._message_timer is not None and has_frame and not self._in_message:
            self._message_timer.cancel()
            self._message_timer = None
        if self._message_timer is None and (self._in_message or self._frames.kept or not has_frame):
            self._message_timer = self._loop.call_later(self._limits.body_timeout_s, self._message_is_late)

    def _message_is_late(self) -> None:
        self._message_timer = None
        if self._is_paused:  # it is we who make the client wait
            self._message_timer = self._loop.call_later(self._limits.body_timeout_s, self._message_is_late)
        elif self._protocol.state is OPEN:
            late = f"a message took longer than {self._limits.body_timeout_s:g} s"
            self._protocol.fail(CloseCode.POLICY_VIOLATION, late)
            self._frames.is_over = True
            self._flush()

    def _ping_later(self) -> None:
        self._heard = False
        interval_s = self._service.settings.mcp.ping_interval_s
        self._ping_timer = self._loop.call_later(interval_s, self._ping, False)

    def _ping(self, asked: bool) -> None:
        """A client that has been silent is asked whether it lives, and cut when it does not say so."""
        if self._leaving or self._protocol.state is not OPEN:
            return
        if self._heard or self._is_paused:
            self._ping_later()
        elif asked:
            self.cut("ping-timeout", "a ping was not answered")
        else:
            self._protocol.send_ping(b"")
            self._flush()
            self._ping_timer = self._loop.call_later(
                self._service.settings.mcp.ping_interval_s, self._ping, True
            )


def text_frame(message: bytes) -> bytes:
    """A whole message of a server as it goes over the wire: it needs no mask and no state (RFC 6455, 5.2)."""
    size = len(message)
    if size < _LENGTH_16:
        return b"\x81%c" % size + message
    if size < _LENGTH_64:
        return b"\x81\x7e" + size.to_bytes(2, "big") + message
    return b"\x81\x7f" + size.to_bytes(8, "big") + message
