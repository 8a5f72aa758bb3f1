"""Which handshake sessions are alive: opens ids, ends sessions everywhere, and forgets idle ones.

The facts travel in the id, so nothing has to be stored for a session to work. What cannot be in an id is kept
here and told over the bus: that a session was ended, and when it was last used. A worker that starts later
asks the others for both. The use of a session is told now and then, not each time, so what is known of
another worker's sessions is when they may have been used last.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

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
from erlmcp.sessions.log_levels import LogLevels
from erlmcp.sessions.sealed import KeyRing, SessionFacts, UnknownSessionError, new_sid
from erlmcp.sessions.subscriptions import Subscriptions

MAX_KNOWN: Final = 100_000
"""Sessions whose last use is remembered by one worker."""

_BATCH: Final = 4_096
_FORGET_AT_ONCE: Final = 4
"""Idle sessions that are forgotten for each one that is told of: more than can come anew."""

_TELL_FRACTION: Final = 10
"""The use of a session is told to other workers at most this often in one idle time."""


class Sessions:
    """The handshake sessions of one worker's point of view. ``clock`` gives seconds of the epoch."""

    def __init__(self, keys: KeyRing, bus: Bus, settings: McpSettings, clock: Callable[[], float]) -> None:
        self._keys = keys
        self._bus = bus
        self._idle_s = settings.session_idle_s
        self._max_s = settings.session_max_s
        self._max_sessions = settings.max_sessions
        self._tell_each_s = self._idle_s / _TELL_FRACTION
        self._clock = clock
        self.on_idle: Callable[[str], None] = _nothing
        """Called with the ``sid`` of a session that has ended because nobody has used it anywhere."""
        self._used_floor = clock()
        self._used: OrderedDict[str, float] = OrderedDict()
        self._told: dict[str, float] = {}
        self._telling = False
        self._ended = EndedSessions(self._max_s)
        self._ends_decoder = msgspec.msgpack.Decoder(Ends)
        self._uses_decoder = msgspec.msgpack.Decoder(list[tuple[str, float]])
        self._unsubscribe = bus.subscribe(self._hear)
        self.subscriptions = Subscriptions(bus, self.is_idle)
        self.log_levels = LogLevels(bus)
        bus.publish(BusEvent(NEWCOMER))

    @property
    def ring_version(self) -> int:
        """Grows when the keys are replaced: an id that was opened before may be unknown now."""
        return self._keys.version

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

    def begin(self, protocol_version: str, client: dict[str, Any]) -> tuple[str, SessionFacts]:
        """A new session: its id, and the facts in it.

        Raises:
            SessionTooLargeError: the client describes itself at too great length.
        """
        facts = SessionFacts(new_sid(), int(self._clock()), protocol_version, client)
        session_id = self._keys.seal(facts)
        self.use(facts.sid)
        return session_id, facts

    def open(self, session_id: str) -> SessionFacts:
        """The facts of a living session; counts as a use of it.

        Raises:
            UnknownSessionError: not ours, ended, idle for too long, or too old. The client is not told which.
        """
        return self.resume(self._keys.unseal(session_id))

    def resume(self, facts: SessionFacts) -> SessionFacts:
        """The facts again, if their session is still alive; counts as a use of it.

        Raises:
            UnknownSessionError: as ``open``.
        """
        now = self._clock()
        last_use = self._used.get(facts.sid, max(float(facts.created_at), self._used_floor))
        if (
            now - facts.created_at > self._max_s
            or now - last_use > self._idle_s
            or self._ended.has(facts.sid, facts.created_at)
        ):
            raise UnknownSessionError
        self.use(facts.sid)
        return facts

    def use(self, sid: str) -> None:
        """The session is in use now; also said from time to time by a stream that stays open."""
        now = self._clock()
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

    def end(self, facts: SessionFacts) -> None:
        """End a session in every worker."""
        self._bus.publish(BusEvent(SESSION_ENDED, facts.sid, msgspec.msgpack.encode(facts.created_at)))

    def close(self) -> None:
        """Hear no more events."""
        self._unsubscribe()
        self.subscriptions.close()
        self.log_levels.close()

    def _hear(self, event: BusEvent) -> None:
        if event.kind == SESSION_USED:
            if not self._telling:  # else it is our own
                self._note_use(event.key, self._clock() + self._tell_each_s)
        elif event.kind == SESSION_ENDED:
            self._note_end(event.key, msgspec.msgpack.decode(event.data, type=int))
        elif event.kind == NEWCOMER:
            self._repeat()
        elif event.kind == SESSIONS_ENDED:
            ends = self._ends_decoder.decode(event.data)
            self._ended.take(ends, self._clock())
            for sid, _ in ends.sessions:
                self._forget_use(sid)
        elif event.kind == SESSIONS_USED:
            now = self._clock()
            for sid, age_s in self._uses_decoder.decode(event.data):
                self._note_use(sid, now - age_s)

    def _repeat(self) -> None:
        """Tell a newcomer which sessions have ended, and which are in use here."""
        for ends in self._ended.batches():
            self._bus.publish(BusEvent(SESSIONS_ENDED, data=msgspec.msgpack.encode(ends)))
        now = self._clock()
        uses = [(sid, now - self._used[sid]) for sid in self._told]
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
            self._used_floor = max(self._used_floor, last_use)  # never end a session that may be in use

    def _forget_idle(self, now: float) -> None:
        """Forget sessions that are idle for too long. An unknown one counts as last used when it began, so
        that none of them comes back to life."""
        for _ in range(_FORGET_AT_ONCE):
            sid, last_use = next(iter(self._used.items()))
            if now - last_use <= self._idle_s:
                return
            self._forget_use(sid)
            self.on_idle(sid)

    def _forget_use(self, sid: str) -> None:
        self._used.pop(sid, None)
        self._told.pop(sid, None)

    def _note_end(self, sid: str, created_at: int) -> None:
        self._ended.note(sid, created_at, self._clock())
        self._forget_use(sid)


def _nothing(_: str) -> None:
    """Nobody wants to know."""
