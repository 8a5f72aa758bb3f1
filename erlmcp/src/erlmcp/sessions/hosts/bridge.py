"""One host among several: passes its events on to the others, and theirs on to it, whatever the line does.

Nothing here waits: what cannot be sent yet waits in a bounded outbox. A host knows that it hears everything
because it hears itself: every sign of life of its own must come back in time. What was missed (a number was
passed over, or the line was down) is told as a gap, so that whoever depends on it asks again. The line is
``erlmcp.sessions.hosts.redis_link``; what the events mean is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from erlmcp.sessions.bus import CHANGES, KINDS, WORKER_GONE, BusEvent
from erlmcp.sessions.hosts.letters import BadLetterError, Letters
from erlmcp.sessions.hosts.peers import Heard, Peers
from erlmcp.sessions.outbox import Outbox
from erlmcp.telemetry.logs import Log

SIGNS_IN_TIMEOUT: Final = 3
"""Signs of life in the time after which a host counts as gone."""
MAX_BATCH_LETTERS: Final = 64
MAX_BATCH_BYTES: Final = 1024 * 1024
"""Of events sent at once; a larger one goes alone."""

log = Log(__name__)


class Line(Protocol):
    """What carries letters to all hosts, this one included."""

    def wake(self) -> None:
        """There is something to send."""

    def cut(self, why: str) -> None:
        """The line does not work, though it seems to; make a new one."""


@dataclass
class Counts:
    """What was done since the start.

    Attributes:
        sent: letters given to the line.
        heard: letters of other hosts.
        dropped: events that did not fit while they waited, or were too large.
        refused: what came over the line and was no letter of a host that shares our keys.
        gaps: how often something may have been missed.
    """

    sent: int = 0
    heard: int = 0
    dropped: int = 0
    refused: int = 0
    gaps: int = 0


class Bridge:
    """This host's end.

    Args:
        letters: writes and opens letters.
        timeout_s: after which silence means that somebody is gone.
        clock: seconds that never go back.
        on_event: takes an event of another host.
        on_gap: called when events may have been missed, also each time the line is up again.
    """

    def __init__(
        self,
        letters: Letters,
        timeout_s: float,
        clock: Callable[[], float],
        *,
        on_event: Callable[[BusEvent], None],
        on_gap: Callable[[], None],
    ) -> None:
        self.counts = Counts()
        self.line: Line | None = None
        self.round_trip_s = 0.0
        """Of the last sign of life that came back."""
        self._letters = letters
        self._timeout_s = timeout_s
        self._clock = clock
        self._on_event = on_event
        self._on_gap = on_gap
        self._peers = Peers(timeout_s)
        self._outbox = Outbox()
        self._drops_told = 0
        self._number = 0
        self._signs: dict[int, float] = {}
        self._up_since: float | None = None
        self._back_at = 0.0
        self._why_down = "not connected yet"
        self._down_since = clock()
        self._events = msgspec.msgpack.Decoder(BusEvent)
        self._refusals_logged = 0

    # --- to the others --------------------------------------------------------------------------

    def send(self, event: BusEvent) -> None:
        """Tell every other host, when the line lets us; never waits."""
        self._outbox.put(msgspec.msgpack.encode(event), mergeable=event.kind in CHANGES)
        if self.line is not None:
            self.line.wake()

    def take(self) -> list[bytes]:
        """The next letters to be sent; none when there is nothing to say."""
        batch: list[bytes] = []
        size = 0
        while len(batch) < MAX_BATCH_LETTERS and size < MAX_BATCH_BYTES:
            waiting = self._outbox.take()
            if waiting is None:
                break
            self._skip_dropped()
            self._write(self._events.decode(waiting), batch)
            size = sum(map(len, batch))
        self.counts.sent += len(batch)
        return batch

    def _skip_dropped(self) -> None:
        """Pass a number over, so that the others notice that they miss something."""
        dropped = self._outbox.dropped - self._drops_told
        if dropped:
            self._drops_told = self._outbox.dropped
            self.counts.dropped += dropped
            self._number += 1
            log.warning("bus.events-dropped", dropped=dropped)

    def _write(self, event: BusEvent | None, batch: list[bytes]) -> None:
        try:
            letter = self._letters.write(self._number + 1, event)
        except BadLetterError as fault:
            self.counts.dropped += 1
            log.warning("bus.event-too-large", kind="" if event is None else event.kind, fault=str(fault))
            return
        self._number += 1
        batch.append(letter)

    def sign_of_life(self) -> bytes:
        """A letter that says no more than that we live; it is due several times in a timeout."""
        batch: list[bytes] = []
        self._write(None, batch)
        self._signs[self._number] = self._clock()
        return batch[0]

    # --- from the others ------------------------------------------------------------------------

    def hear(self, data: bytes) -> None:
        """Something came over the line."""
        now = self._clock()
        try:
            writer, envelope = self._letters.writer_of(data)
            if writer == self._letters.host:
                self._hear_own(envelope.number, now)
                return
            letter = self._letters.open(envelope)
        except BadLetterError as fault:
            self._refuse(fault)
            return
        heard = self._peers.hear(letter.host, letter.number, now)
        if heard is Heard.OLD:
            return
        self.counts.heard += 1
        if heard is Heard.GAP:
            self._gap()
        if letter.event is not None and letter.event.kind in KINDS:
            self._on_event(letter.event)

    def _hear_own(self, number: int, now: float) -> None:
        written_at = self._signs.pop(number, None)
        if written_at is None:
            return
        for earlier in [each for each in self._signs if each < number]:
            del self._signs[earlier]
        self.round_trip_s = now - written_at
        self._back_at = now

    def _refuse(self, fault: BadLetterError) -> None:
        self.counts.refused += 1
        if self.counts.refused > self._refusals_logged * 2:
            self._refusals_logged = self.counts.refused
            log.warning("bus.letter-refused", refused=self.counts.refused, fault=str(fault))

    def _gap(self) -> None:
        self.counts.gaps += 1
        self._on_gap()

    # --- the line -------------------------------------------------------------------------------

    def line_up(self) -> None:
        """We can hear and speak from now on; what was said before may have been missed."""
        now = self._clock()
        log.info("bus.up", down_s=round(now - self._down_since, 3))
        self._up_since = self._back_at = now
        self._signs.clear()
        self._peers.excuse(now)
        self._gap()

    def line_down(self, why: str) -> None:
        """Nothing can be heard or said; also told each time that a new line could not be made."""
        if self._up_since is not None or why != self._why_down:
            log.warning("bus.down", fault=why)
        if self._up_since is not None:
            self._down_since = self._clock()
        self._up_since = None
        self._why_down = why

    def look_around(self) -> None:
        """Notice who has gone; to be called as often as signs of life are due."""
        now = self._clock()
        if self._up_since is None:
            return
        if now - self._back_at > self._timeout_s and self.line is not None:
            self.line.cut(f"nothing we say comes back for {self._timeout_s:g} s")
            return
        for host in self._peers.silent(now):
            log.warning("bus.host-gone", host=host)
            self._on_event(BusEvent(WORKER_GONE, f"{host}:"))

    # --- what others read -----------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether other hosts can be heard and hear us."""
        return self._up_since is not None

    @property
    def hosts(self) -> int:
        """How many other hosts are heard."""
        return len(self._peers) if self.is_up else 0

    def description(self) -> str:
        """How it stands, for a person."""
        if self._up_since is None:
            return f"down for {self._clock() - self._down_since:.0f} s: {self._why_down}"
        refused = f", {self.counts.refused} letters refused" if self.counts.refused else ""
        return f"{self.hosts} other hosts, {self.round_trip_s * 1000:.1f} ms there and back{refused}"
