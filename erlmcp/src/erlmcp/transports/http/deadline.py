"""The one time limit that holds on a connection at a moment.

There is one timer for each connection, and it is re-armed late: most requests end before any limit matters,
so setting a limit is two assignments. ``erlmcp.transports.http.connection`` owns it and knows what each limit
is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping


class Deadline:
    """The limit in force: its ``name``, empty when there is none.

    Args:
        limits_s: how long each limit is.

    Attributes:
        on_expired: called with the name of the limit that has passed; it is in force no more.
    """

    __slots__ = ("_at", "_limits_s", "_loop", "_timer", "_timer_at", "name", "on_expired")

    def __init__(self, loop: asyncio.AbstractEventLoop, limits_s: Mapping[str, float]) -> None:
        self.name = ""
        self.on_expired: Callable[[str], None] = _nothing
        self._loop = loop
        self._limits_s = limits_s
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def set(self, name: str) -> None:
        """Put a limit in force, from now on, instead of the one before."""
        self.name = name
        self._at = self._loop.time() + self._limits_s[name]
        if self._timer is None or self._timer_at > self._at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = self._at
            self._timer = self._loop.call_at(self._at, self._time_is_up)

    @property
    def since(self) -> float:
        """When the limit in force was set, in the time of the loop."""
        return self._at - self._limits_s[self.name]

    def clear(self, *names: str) -> None:
        """Put none in force; with names only if it is one of them."""
        if not names or self.name in names:
            self.name = ""

    def cancel(self) -> None:
        """The connection is gone: no limit is set any more."""
        self.name = ""
        self.on_expired = _nothing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_up(self) -> None:
        self._timer = None
        if not self.name:
            return
        if self._loop.time() < self._at:
            self._timer_at = self._at
            self._timer = self._loop.call_at(self._at, self._time_is_up)
            return
        expired, self.name = self.name, ""
        self.on_expired(expired)


def _nothing(expired: str) -> None:
    """In place of the callback of a connection that is not there: they would keep each other."""
