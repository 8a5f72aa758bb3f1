"""The least level of log messages that each session wants to hear, known to every worker.

A client sets it once, at whatever worker, and its calls may log at any other. A worker that starts later asks
for what there is. Who leaves messages out is ``erlmcp.dispatch.context``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from erlmcp.sessions.bus import LOG_LEVELS, NEWCOMER, SESSION_ENDED, Bus, BusEvent

MAX_IN_ALL: Final = 20_000
"""Sessions whose level is kept; beyond it the one set longest ago hears everything again."""

_BATCH: Final = 1_024


class LogLevels:
    """The levels of all sessions.

    Args:
        bus: reaches the other workers.
        has_ended: whether a session was ended; a level of it that is heard later is void.
        answers: whether a newcomer is told everything by us; False where somebody else does it for all.
    """

    def __init__(
        self, bus: Bus, has_ended: Callable[[str], bool] = lambda _: False, *, answers: bool = True
    ) -> None:
        self._bus = bus
        self._has_ended = has_ended
        self._answers = answers
        self._levels: OrderedDict[str, str] = OrderedDict()
        self._decoder = msgspec.msgpack.Decoder(dict[str, str])
        self._unsubscribe = bus.subscribe(self._hear)

    def set(self, sid: str, level: str) -> None:
        """Set the level of a session, at every worker."""
        self._bus.publish(_told({sid: level}))

    def of(self, sid: str) -> str | None:
        """The level of a session; None when it has set none."""
        return self._levels.get(sid)

    def forget(self, sid: str) -> None:
        """The session has ended; the other workers know."""
        self._levels.pop(sid, None)

    def close(self) -> None:
        """Hear no more events."""
        self._unsubscribe()

    def _hear(self, event: BusEvent) -> None:
        if event.kind == LOG_LEVELS:
            for sid, level in self._decoder.decode(event.data).items():
                if not self._has_ended(sid):
                    self._note(sid, level)
        elif event.kind == SESSION_ENDED:
            self.forget(event.key)
        elif event.kind == NEWCOMER and self._answers:
            self._repeat()

    def _note(self, sid: str, level: str) -> None:
        self._levels[sid] = level
        self._levels.move_to_end(sid)
        if len(self._levels) > MAX_IN_ALL:
            self._levels.popitem(last=False)

    def _repeat(self) -> None:
        every = list(self._levels.items())
        for start in range(0, len(every), _BATCH):
            self._bus.publish(_told(dict(every[start : start + _BATCH])))


def _told(levels: dict[str, str]) -> BusEvent:
    return BusEvent(LOG_LEVELS, data=msgspec.msgpack.encode(levels))
