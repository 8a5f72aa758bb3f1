"""The lines of requests that HTTP refused before they were of MCP: so many a second, and a sum of the rest.

Who sends what is no request chooses how often, and a line costs more than the refusal. So a flood may neither
take the processor nor fill the disk with lines that say the same. Requests of MCP have their lines in
``erlmcp.telemetry.access``; every refusal is counted by ``erlmcp.telemetry.meter``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from erlmcp.telemetry.correlation import Correlation
from erlmcp.telemetry.logs import Log, fields_of

_SECOND_S: Final = 1.0


class Refusals:
    """The lines of one worker.

    Args:
        log: where they go.
        most: that have a line of their own, in a second.
    """

    def __init__(self, log: Log, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._log = log
        self._most = most
        self._loop = loop
        self._told = 0
        self._more: Counter[tuple[str, int]] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, method: bytes, status: int, correlation: Correlation) -> None:
        """A request was refused with a status; its method is empty if it could not be read."""
        if self._timer is None:
            self._timer = self._loop.call_later(_SECOND_S, self._end_second)
        verb = method.decode("latin-1")
        if self._told < self._most:
            self._told += 1
            self._log.info("refused", http_method=verb, status=status, **fields_of(correlation))
        else:
            self._more[verb, status] += 1

    def close(self) -> None:
        """Write the sums that are still owed."""
        if self._timer is not None:
            self._timer.cancel()
            self._end_second()

    def _end_second(self) -> None:
        self._timer = None
        self._told = 0
        more, self._more = self._more, Counter()
        for (verb, status), count in more.items():
            self._log.info("refused-more", http_method=verb, status=status, count=count)
