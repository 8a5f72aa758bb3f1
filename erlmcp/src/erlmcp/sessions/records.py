"""What is known of handshake sessions beside their ids: which have ended, and when each was last used.

It is told over the bus, so that whoever asks any worker gets the same answer; one that starts later asks for
all of it. The use of a session is told now and then, not each time, so what is known of another worker's
sessions is when they may have been used last. An end outweighs every use, whichever is heard first. It knows
no keys and no ids: that is ``erlmcp.sessions.registry``. The master of several workers keeps a copy that
outlives each of them (``erlmcp.supervisor.keeper``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from erlmcp.config.schema import McpSettings
from erlmcp.sessions.bus import (
    NEWCOMER,
    SESSION_ENDED,
    SESSION_USED,
    SESSIONS_ENDED,
    SESSIONS_USED,
    Bus,
    BusEvent,
)
from erlmcp.sessions.ended import EndedSessions, Ends
from erlmcp.sessions.sealed import SessionFacts

MAX_KNOWN: Final = 100_000
"""Sessions whose last use is remembered by one worker."""

_BATCH: Final = 4_096
_FORGET_AT_ONCE: Final = 4
"""Idle sessions that are forgotten for each one that is told of: more than can come anew."""

_TELL_FRACTION: Final = 10
"""The use of a session is told to other workers at most this often in one idle time."""


class SessionRecords:
    """Ends and uses.

    Args:
        bus: reaches the other workers.
        settings: the limits.
        clock: seconds of the epoch.
        answers: whether a newcomer is told everything by us; False where somebody else does it for all.
    """

    def __init__(
        self, bus: Bus, settings: McpSettings, clock: Callable[[], float], *, answers: bool = True
    ) -> None:
        self._bus = bus
        self._idle_s = settings.session_idle_s
        self._max_s = settings.session_max_s
        self._max_sessions = settings.max_sessions
        self._tell_each_s = self._idle_s / _TELL_FRACTION
        self._clock = clock
        self._answers = answers
        self.on_idle: Callable[[str], None] = _nothing
        """Called with the ``sid`` of a session that has ended because nobody has used it anywhere."""
        self.on_late_end: Callable[[str], None] = _nothing
        """Called with the ``sid`` of a session whose end was missed and is heard of by a repetition."""
        self._used_floor = clock()
        self._used: OrderedDict[str, float] = OrderedDict()
        self._told: dict[str, float] = {}
        self._telling = False
        self.ended = EndedSessions(self._max_s)
        self._ends_decoder = msgspec.msgpack.Decoder(Ends)
        self._uses_decoder = msgspec.msgpack.Decoder(list[tuple[str, float]])
        self._unsubscribe = bus.subscribe(self._hear)

    def full_for_s(self) -> float:
        """How long no further session can begin, if nobody ends one; 0 when one can begin now.

        Counted are the sessions of all workers that share the bus; two that begin in the same moment at two
        of them may both be the last.
        """
        now = self._clock()
        while self._used:
            sid, last_use = next(iter(self._used.items()))
            if now - last_use <= self._idle_s:
                break
            self._forget_use(sid)
            self.on_idle(sid)
        if len(self._used) < self._max_sessions:
            return 0.0
        return self._idle_s - (now - next(iter(self._used.values())))

    def __len__(self) -> int:
        """Sessions in use."""
        return len(self._used)

    def use_if_alive(self, facts: SessionFacts) -> bool:
        """Whether a session has not ended, is in use and not too old; then it is in use now."""
        sid, created_at = facts.sid, facts.created_at
        now = self._clock()
        last_use = self._used.get(sid) or max(float(created_at), self._used_floor)
        if now - created_at > self._max_s or now - last_use > self._idle_s or self.ended.has(sid, created_at):
            return False
        self._use(sid, now)
        return True

    def use(self, sid: str) -> None:
        """The session is in use now; also said from time to time by a stream that stays open."""
        if not self.has_ended(sid):
            self._use(sid, self._clock())

    def _use(self, sid: str, now: float) -> None:
        self._note_use(sid, now)
        if now - self._told.get(sid, -self._idle_s) >= self._tell_each_s:
            self._told[sid] = now
            self._telling = True
            self._bus.publish(BusEvent(SESSION_USED, sid))
            self._telling = False
            self._forget_idle(now)

    def is_idle(self, sid: str) -> bool:
        """Whether a session has not been used for so long that it has ended."""
        return self._clock() - self._used.get(sid, self._used_floor) > self._idle_s

    def has_ended(self, sid: str) -> bool:
        """Whether somebody has ended the session; what is said of it later, or was on its way, is void."""
        return self.ended.names(sid)

    def end(self, facts: SessionFacts) -> None:
        """End a session in every worker."""
        self._bus.publish(BusEvent(SESSION_ENDED, facts.sid, msgspec.msgpack.encode(facts.created_at)))

    def close(self) -> None:
        """Hear no more events."""
        self._unsubscribe()

    def _hear(self, event: BusEvent) -> None:
        if event.kind == SESSION_USED:
            if not self._telling:  # else it is our own
                now = self._clock()
                self._hear_use(event.key, now + self._tell_each_s)
                self._forget_idle(now)  # who serves no session himself would remember them all
        elif event.kind == SESSION_ENDED:
            self.ended.note(event.key, msgspec.msgpack.decode(event.data, type=int), self._clock())
            self._forget_use(event.key)
        elif event.kind == NEWCOMER:
            if self._answers:
                self._repeat()
        elif event.kind == SESSIONS_ENDED:
            self._hear_ends(self._ends_decoder.decode(event.data))
        elif event.kind == SESSIONS_USED:
            now = self._clock()
            for sid, age_s in self._uses_decoder.decode(event.data):
                self._hear_use(sid, now - age_s)

    def _hear_use(self, sid: str, at: float) -> None:
        """A use may have been on its way longer than the end of its session, and is void then."""
        if not self.has_ended(sid):
            self._note_use(sid, at)

    def _hear_ends(self, ends: Ends) -> None:
        late = [sid for sid, _ in ends.sessions if not self.has_ended(sid)]
        self.ended.take(ends, self._clock())
        for sid in late:
            self._forget_use(sid)
            self.on_late_end(sid)

    def _repeat(self) -> None:
        """Tell a newcomer which sessions have ended, and which are in use."""
        for ends in self.ended.batches():
            self._bus.publish(BusEvent(SESSIONS_ENDED, data=msgspec.msgpack.encode(ends)))
        now = self._clock()
        uses = [(sid, now - at) for sid, at in self._used.items()]
        for start in range(0, len(uses), _BATCH):
            batch = msgspec.msgpack.encode(uses[start : start + _BATCH])
            self._bus.publish(BusEvent(SESSIONS_USED, data=batch))

    def _note_use(self, sid: str, at: float) -> None:
        used = self._used
        if used.get(sid, 0.0) < at:
            used[sid] = at
            used.move_to_end(sid)
            if len(used) > MAX_KNOWN:
                forgotten, last_use = next(iter(used.items()))
                self._forget_use(forgotten)
                self._used_floor = max(self._used_floor, last_use)  # never end one that may be in use

    def _forget_idle(self, now: float) -> None:
        """Forget sessions that are idle for too long. An unknown one counts as last used when it began, so
        that none of them comes back to life."""
        for _ in range(min(_FORGET_AT_ONCE, len(self._used))):
            sid, last_use = next(iter(self._used.items()))
            if now - last_use <= self._idle_s:
                return
            self._forget_use(sid)
            self.on_idle(sid)

    def _forget_use(self, sid: str) -> None:
        self._used.pop(sid, None)
        self._told.pop(sid, None)


def _nothing(_: str) -> None:
    """Nobody wants to know."""
