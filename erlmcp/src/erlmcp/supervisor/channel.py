"""The channel between the master and one worker: framed messages over a socket pair, bounded both ways.

A frame is four bytes of length, big end first, and a message of ``erlmcp.supervisor.messages``. Commands
are few and always sent. Relayed events can be many: past a bound of unsent bytes they wait in an outbox
where equal changes become one, and past its bound the oldest are dropped and counted. `ChannelBus` is the
worker's ``erlmcp.sessions.bus.Bus`` on top of it; the master only passes events on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec

from erlmcp.sessions.bus import CHANGES, KEPT, BusEvent
from erlmcp.sessions.outbox import Outbox
from erlmcp.supervisor.messages import Message, Relay, decode, encode
from erlmcp.telemetry.logs import Log

MAX_FRAME_BYTES = 16 * 1024 * 1024
MAX_UNSENT_BYTES = 1024 * 1024
_LENGTH_BYTES = 4

log = Log(__name__)


class FrameError(Exception):
    """What came over the channel is no frame of ours; the channel cannot go on."""


class FrameReader:
    """Cuts a stream of bytes into frames; does no I/O."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now.

        Raises:
            FrameError: a frame says that it is longer than `MAX_FRAME_BYTES`.
        """
        self._buffer += data
        frames = []
        position = 0
        while len(self._buffer) - position >= _LENGTH_BYTES:
            start = position + _LENGTH_BYTES
            length = int.from_bytes(self._buffer[position:start], "big")
            if length > MAX_FRAME_BYTES:
                raise FrameError(f"a frame of {length} bytes; at most {MAX_FRAME_BYTES}")
            if len(self._buffer) - start < length:
                break
            frames.append(bytes(self._buffer[start : start + length]))
            position = start + length
        del self._buffer[:position]
        return frames


def frame(message: Message) -> bytes:
    """The bytes of one message on the wire.

    Raises:
        FrameError: it is longer than `MAX_FRAME_BYTES`.
    """
    data = encode(message)
    if len(data) > MAX_FRAME_BYTES:
        raise FrameError(f"a message of {len(data)} bytes; at most {MAX_FRAME_BYTES}")
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


def relay_of(event: BusEvent) -> Relay:
    """An event as it travels."""
    return Relay(msgspec.Raw(msgspec.msgpack.encode(event)), event.kind in CHANGES, event.kind in KEPT)


def event_of(relay: Relay) -> BusEvent:
    """The event that was sent.

    Raises:
        msgspec.MsgspecError: it is none that this release can read.
    """
    return msgspec.msgpack.decode(relay.event, type=BusEvent)


class Channel(asyncio.Protocol):
    """One end. Give it to ``loop.create_connection(sock=...)``.

    Args:
        on_message: called for each message, in order.
        on_lost: called once when the other end is gone.
    """

    def __init__(self, on_message: Callable[[Message], None], on_lost: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._outbox = Outbox()
        self._paused = False
        self._drops_logged = 0

    @property
    def lost(self) -> bool:
        """Nothing can be sent any more."""
        return self._transport is None or self._transport.is_closing()

    def send(self, message: Message) -> None:
        """Send a message of our own; silently nothing when the other end is gone."""
        if self._transport is not None:
            self._transport.write(frame(message))

    def relay(self, data: bytes, *, mergeable: bool) -> None:
        """Send the frame of an event, or let it wait its turn; never blocks."""
        if self._transport is None:
            return
        if not self._paused:
            self._transport.write(data)
            return
        self._outbox.put(data, mergeable=mergeable)
        if self._outbox.dropped > self._drops_logged * 2:
            self._drops_logged = self._outbox.dropped
            log.warning("channel.events-dropped", dropped=self._outbox.dropped)

    def close(self) -> None:
        """Close after what is unsent."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The channel is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=MAX_UNSENT_BYTES)

    def data_received(self, data: bytes) -> None:
        """Deliver every complete message; a broken one ends the channel."""
        try:
            messages = [decode(each) for each in self._reader.feed(data)]
        except (FrameError, msgspec.MsgspecError):
            log.exception("channel.broken")
            if self._transport is not None:
                self._transport.abort()
            return
        for message in messages:
            self._on_message(message)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        """The other end is gone."""
        self._transport = None
        self._on_lost()

    def pause_writing(self) -> None:
        """The other end reads slowly: events wait from now on."""
        self._paused = True

    def resume_writing(self) -> None:
        """It reads again: send what waited until it is slow again."""
        self._paused = False
        while not self._paused and self._transport is not None:
            data = self._outbox.take()
            if data is None:
                return
            self._transport.write(data)


class ChannelBus:
    """The bus of one worker: local listeners at once, all other workers over the master."""

    def __init__(self) -> None:
        self._channel: Channel | None = None
        self._listeners: dict[int, Callable[[BusEvent], None]] = {}
        self._next = 0

    def attach(self, channel: Channel) -> None:
        """Connect to the master; events before this stay local."""
        self._channel = channel

    def publish(self, event: BusEvent) -> None:
        """Tell everybody; never blocks. An event too large for a frame stays in this worker."""
        self._deliver(event)
        if self._channel is None:
            return
        mergeable = event.kind in CHANGES
        try:
            data = frame(relay_of(event))
        except FrameError as fault:
            log.warning("bus.event-too-large", kind=event.kind, fault=str(fault))
            return
        self._channel.relay(data, mergeable=mergeable)

    def subscribe(self, listener: Callable[[BusEvent], None]) -> Callable[[], None]:
        """Hear every event of this worker and of the others; the result ends it and may be called twice."""
        number = self._next
        self._next += 1
        self._listeners[number] = listener

        def unsubscribe() -> None:
            self._listeners.pop(number, None)

        return unsubscribe

    def receive(self, relay: Relay) -> None:
        """An event of another worker has come; one that this release cannot read is dropped."""
        try:
            event = event_of(relay)
        except msgspec.MsgspecError as fault:
            log.warning("bus.unreadable-event", fault=str(fault))
            return
        self._deliver(event)

    def _deliver(self, event: BusEvent) -> None:
        for listener in list(self._listeners.values()):
            try:
                listener(event)
            except Exception:  # one listener's fault must not cost the others the event
                log.exception("bus.listener-failed", kind=event.kind)
