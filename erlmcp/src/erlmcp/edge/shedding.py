"""Whether this worker has more to do than it can: then new work is refused before everything is late.

What is measured is how late the event loop comes to a timer: that is how long whatever has arrived waits for
its turn. One slow handler makes it late once; only a worker that is late each time for a while sheds, and it
goes on until it was punctual for as long. How much may be under way at one time is bounded besides, by
``limits.max_in_flight``.
"""

from __future__ import annotations

import asyncio
from typing import Final

from erlmcp.config.schema import LimitSettings
from erlmcp.telemetry.logs import Log

log = Log(__name__)

_INTERVAL_S: Final = 0.1
NEVER_SHED: Final = frozenset({"ping", "server/discover", "tasks/cancel"})
"""Requests that cost next to nothing, and by which a client finds out that we live or takes work from us.
Notifications, answers and the end of a session are no requests, and always taken."""


class Shedding:
    """Watches one event loop; ``active`` says whether new work is to be refused."""

    def __init__(self, settings: LimitSettings, loop: asyncio.AbstractEventLoop) -> None:
        self._lag_s = settings.shed_lag_s
        self._after_s = settings.shed_after_s
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._turning_since: float | None = None
        self.active = False
        if self._lag_s:
            self._wait()

    def refuses(self, method: str) -> bool:
        """Whether a request of this method is not to be served now."""
        return self.active and method not in NEVER_SHED

    def _wait(self) -> None:
        self._due = self._loop.time() + _INTERVAL_S
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        self.note(now - self._due, now)
        self._wait()

    def note(self, late_s: float, now: float) -> None:
        """A timer came so late.

        Args:
            late_s: seconds.
            now: of the event loop's clock.
        """
        if (late_s > self._lag_s) is self.active:
            self._turning_since = None  # as before
            return
        if self._turning_since is None:
            self._turning_since = now
        elif now - self._turning_since >= self._after_s:
            self._turning_since = None
            self.active = not self.active
            if self.active:
                log.warning("load.shedding", lag_s=round(late_s, 3))
            else:
                log.info("load.shedding-ended")

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
