"""Which sessions were ended before their time, remembered within a bound that never brings one back.

The id of an ended session would open until its greatest age, so its end must be remembered that long. When
there are too many ends to remember, those of the oldest sessions are replaced by one line: whatever began at
that time or before counts as ended. A client that is still there begins a new session then.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

MAX_REMEMBERED: Final = 100_000
"""Ends that are remembered one by one: about 20 MB of memory in each worker."""

_SHARE_DROPPED: Final = 0.1
_BATCH: Final = 4_096


class Ends(msgspec.Struct, frozen=True, array_like=True):
    """Some of what one worker remembers, to tell it to others.

    ``sessions`` are names with the second of the epoch in which each began; whatever began in the second
    ``all_until``, or before, has ended.
    """

    all_until: int
    sessions: list[tuple[str, int]]


class EndedSessions:
    """The ends that one worker knows of. ``max_s`` is the greatest age of a session, seconds."""

    def __init__(self, max_s: float) -> None:
        self._max_s = max_s
        self._began: dict[str, int] = {}
        self._all_until = 0

    def __len__(self) -> int:
        return len(self._began)

    def has(self, sid: str, created_at: int) -> bool:
        """Whether a session was ended."""
        return created_at <= self._all_until or sid in self._began

    def names(self, sid: str) -> bool:
        """Whether the end of this very session is remembered; of one behind the line it is not told."""
        return sid in self._began

    def note(self, sid: str, created_at: int, now: float) -> None:
        """A session was ended; twice is once."""
        if created_at <= self._all_until:
            return
        self._began[sid] = created_at
        if len(self._began) > MAX_REMEMBERED:
            self._make_room(now)

    def take(self, ends: Ends, now: float) -> None:
        """What another worker remembers."""
        self._draw_line(ends.all_until)
        for sid, created_at in ends.sessions:
            self.note(sid, created_at, now)

    def batches(self) -> Iterator[Ends]:
        """Everything that is remembered."""
        known = iter(list(self._began.items()))
        while batch := list(islice(known, _BATCH)):
            yield Ends(self._all_until, batch)
        if self._all_until and not self._began:
            yield Ends(self._all_until, [])

    def _make_room(self, now: float) -> None:
        oldest = int(now - self._max_s)
        self._forget_until(oldest)  # they cannot be opened any more
        if len(self._began) > MAX_REMEMBERED * (1 - _SHARE_DROPPED):
            by_age = sorted(self._began.values())
            self._draw_line(by_age[int(len(by_age) * _SHARE_DROPPED)])

    def _draw_line(self, until: int) -> None:
        if until > self._all_until:
            self._all_until = until
            self._forget_until(until)

    def _forget_until(self, until: int) -> None:
        self._began = {sid: began for sid, began in self._began.items() if began > until}
