"""What was said on the streams of sessions, kept for clients that come back for what they have missed.

Memory of one worker, bounded four ways: events and bytes of one stream, bytes of all streams, and age. The
oldest go first. It knows neither who reads nor how a stream goes on: that is
``erlmcp.transports.streamable_http.tracks``.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

import msgspec

Event = tuple[int, bytes]
"""The number of a message in its stream, and the message."""


class EventLimits(msgspec.Struct, frozen=True):
    """How much is kept: of one stream, of all, and for how many seconds."""

    stream_events: int
    stream_bytes: int
    total_bytes: int
    age_s: float


class _Kept:
    __slots__ = ("bytes", "events", "last_at")

    def __init__(self) -> None:
        self.events: deque[tuple[int, float, bytes]] = deque()
        self.bytes = 0
        self.last_at = 0.0


class EventStore:
    """Messages by session, stream and number. ``clock`` gives seconds that never go back."""

    def __init__(self, limits: EventLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._streams: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._of_session: dict[str, set[str]] = {}
        self.bytes = 0
        """Of all messages that are kept."""

    def put(self, sid: str, stream: str, number: int, message: bytes) -> None:
        """Keep a message whose number is above all earlier ones of its stream.

        One that is larger than a stream may be takes everything before it along, so that nothing is missing
        in the middle of what is replayed.
        """
        now = self._clock()
        self._expire(now)
        if len(message) > self._limits.stream_bytes:
            self.forget(sid, stream)
            return
        kept = self._streams.get((sid, stream))
        if kept is None:
            kept = self._streams[sid, stream] = _Kept()
            self._of_session.setdefault(sid, set()).add(stream)
        self._streams.move_to_end((sid, stream))
        kept.events.append((number, now, message))
        kept.last_at = now
        self._grow(kept, len(message))
        while (
            len(kept.events) > self._limits.stream_events
            or kept.bytes > self._limits.stream_bytes
            or now - kept.events[0][1] > self._limits.age_s
        ):
            self._grow(kept, -len(kept.events.popleft()[2]))
        while self.bytes > self._limits.total_bytes:
            self.forget(*next(iter(self._streams)))

    def after(self, sid: str, stream: str, number: int) -> list[Event] | None:
        """What is kept of a stream after a number, in order; None when nothing of it is kept at all."""
        now = self._clock()
        self._expire(now)
        kept = self._streams.get((sid, stream))
        if kept is None:
            return None
        oldest = now - self._limits.age_s
        return [(each, message) for each, at, message in kept.events if each > number and at >= oldest]

    def forget(self, sid: str, stream: str) -> None:
        """Keep nothing of a stream any more; it may begin anew."""
        kept = self._streams.pop((sid, stream), None)
        if kept is None:
            return
        self.bytes -= kept.bytes
        streams = self._of_session[sid]
        streams.discard(stream)
        if not streams:
            del self._of_session[sid]

    def forget_session(self, sid: str) -> None:
        """Keep nothing of a session any more."""
        for stream in list(self._of_session.get(sid, ())):
            self.forget(sid, stream)

    def _grow(self, kept: _Kept, count: int) -> None:
        kept.bytes += count
        self.bytes += count

    def _expire(self, now: float) -> None:
        """Streams are in the order of their last message, so the expired ones are in front."""
        while self._streams:
            (sid, stream), kept = next(iter(self._streams.items()))
            if now - kept.last_at <= self._limits.age_s:
                return
            self.forget(sid, stream)
