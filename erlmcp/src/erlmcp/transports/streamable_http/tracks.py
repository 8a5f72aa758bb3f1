"""The streams of handshake sessions that a client can come back to.

A track is what one stream says, whoever reads it: the connection of the POST that began it, a GET that came
back for it, or another worker to which that GET was made. It numbers and keeps what is said; how a reader
finds its track is ``get_streams``.
"""

from __future__ import annotations

import re
import secrets
from typing import Final, Protocol

from erlmcp.protocol import sse
from erlmcp.protocol.jsonrpc import RequestId
from erlmcp.sessions.event_store import Event, EventStore
from erlmcp.sessions.sealed import SessionFacts

CALL: Final = "c"
STANDING: Final = "s"

PRIMED_VERSIONS: Final = frozenset({"2025-11-25"})
"""Revisions whose clients understand an event without data; older ones take it for a broken message."""

_EVENT_ID = re.compile(r"([cs][0-9a-f]{16})-([0-9]{1,15})")


class Reader(Protocol):
    """Where a track is heard now."""

    def send(self, data: bytes) -> None:
        """Pass on some whole events."""
        ...

    def end(self, data: bytes = b"") -> None:
        """Nothing more comes here, after a last piece if one is given."""
        ...


class Track:
    """One stream of one session."""

    __slots__ = (
        "_is_primed",
        "_reader",
        "_retry_ms",
        "_store",
        "left_at",
        "name",
        "number",
        "request_id",
        "sid",
    )

    def __init__(
        self, store: EventStore, sid: str, name: str, retry_ms: int, *, is_primed: bool, number: int
    ) -> None:
        self.sid = sid
        self.name = name
        self.number = number
        """Of the last message."""
        self.left_at: float | None = None
        """When the last reader of a standing stream has left; kept by whoever watches for that."""
        self.request_id: RequestId | None = None
        """Of the call whose stream it is."""
        self._store = store
        self._is_primed = is_primed
        self._retry_ms = retry_ms
        self._reader: Reader | None = None

    @property
    def is_read(self) -> bool:
        """Whether somebody reads it now."""
        return self._reader is not None

    def attach(self, reader: Reader, after: int = 0) -> None:
        """Let a reader have what came after a number, and then whatever comes; the one before it leaves."""
        self.part()
        missed = self.replay(after, self._store.after(self.sid, self.name, after) or [])
        if missed:
            reader.send(missed)
        self._reader = reader

    def replay(self, after: int, events: list[Event]) -> bytes:
        """What a reader is sent first."""
        head = sse.priming(self._id(after), self._retry_ms) if self._is_primed else b""
        return head + b"".join(sse.event(message, self._id(number)) for number, message in events)

    def emit(self, message: bytes) -> None:
        """Say something."""
        data = self._keep(message)
        if self._reader is not None:
            self._reader.send(data)

    def finish(self, message: bytes) -> None:
        """Say the last thing; what was said stays to be replayed for a while."""
        data = self._keep(message)
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.end(data)

    def part(self) -> None:
        """Close the reader's connection and let it come back; what is said meanwhile is kept."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.end(sse.retry(self._retry_ms))

    def left(self, reader: Reader) -> bool:
        """The reader has gone away by itself; whether nobody reads the track now."""
        if self._reader is reader:
            self._reader = None
        return self._reader is None

    def _keep(self, message: bytes) -> bytes:
        self.number += 1
        self._store.put(self.sid, self.name, self.number, message)
        return sse.event(message, self._id(self.number))

    def _id(self, number: int) -> bytes:
        return b"%b-%d" % (self.name.encode("ascii"), number)


class Tracks:
    """The calls of this worker that have begun to stream, and what is kept of those that are over."""

    def __init__(self, store: EventStore, retry_ms: int) -> None:
        self.store = store
        self._retry_ms = retry_ms
        self._running: dict[tuple[str, str], Track] = {}

    def begin(self, facts: SessionFacts, request_id: RequestId) -> Track:
        """The stream of a call."""
        track = self.make(facts.sid, new_name(CALL), is_primed=is_primed(facts))
        track.request_id = request_id
        self._running[facts.sid, track.name] = track
        return track

    def finish(self, track: Track, message: bytes) -> None:
        """The call is answered."""
        self._running.pop((track.sid, track.name), None)
        track.finish(message)

    def find(self, sid: str, name: str) -> Track | None:
        """The stream of a running call."""
        return self._running.get((sid, name))

    def make(self, sid: str, name: str, *, is_primed: bool, number: int = 0) -> Track:
        """A stream that the caller looks after."""
        return Track(self.store, sid, name, self._retry_ms, is_primed=is_primed, number=number)

    @property
    def parting(self) -> bytes:
        """The last piece on a connection to whose stream the client shall come back."""
        return sse.retry(self._retry_ms)


def is_primed(facts: SessionFacts) -> bool:
    """Whether the streams of a session begin with an event without data."""
    return facts.protocol_version in PRIMED_VERSIONS


def new_name(kind: str) -> str:
    """A name that no other stream has, on whatever worker."""
    return kind + secrets.token_hex(8)


def position_of(event_id: str) -> tuple[str, int] | None:
    """The stream and the number in an event id; None when it is none of ours."""
    found = _EVENT_ID.fullmatch(event_id)
    return None if found is None else (found[1], int(found[2]))
