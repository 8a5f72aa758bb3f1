"""Which connection is closed for a new one, when a worker holds as many as it may.

Whoever only holds connections would else keep everybody out until each has run into its time limit, and then
hold them again. So those that nobody waits at make room: first those that never asked anything, the oldest
before the others, then those that have been idle longest. What is being served is never closed, and neither
is what has been quiet for less than a second: a client may be about to ask. How many there may be is counted
where they are held (``erlmcp.transports.http.server``, ``erlmcp.transports.duplex.channels``).
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Generic, NamedTuple, TypeVar

QUIET_S: Final = 1.0
"""For how long a connection must have been quiet before it makes room."""

LOOK_EVERY_S: Final = 1.0
"""All connections are looked at no more often than this: with ten thousand it takes some milliseconds."""

Each = TypeVar("Each")


class Quiet(NamedTuple):
    """How a connection is quiet; in the order in which they make room."""

    has_asked: bool
    since: float


class MakingRoom(Generic[Each]):
    """Closes one connection for each that comes.

    Args:
        everyone: the connections that there are.
        quiet: how one is quiet; None while it is served.
        close: closes one at once, and counts it no more.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        everyone: Callable[[], Iterable[Each]],
        quiet: Callable[[Each], Quiet | None],
        close: Callable[[Each], None],
    ) -> None:
        self._loop = loop
        self._everyone = everyone
        self._quiet = quiet
        self._close = close
        self._next: deque[tuple[Quiet, weakref.ref[Each]]] = deque()
        self._look_again_at = 0.0

    def make(self) -> bool:
        """Close one; False if all are in use."""
        if not self._next and self._loop.time() >= self._look_again_at:
            self._look()
        while self._next:
            was_quiet, reference = self._next.popleft()
            each = reference()
            if each is not None and self._quiet(each) == was_quiet:  # it has not been used since
                self._close(each)
                return True
        return False

    def _look(self) -> None:
        now = self._loop.time()
        self._look_again_at = now + LOOK_EVERY_S
        found = [
            (how, weakref.ref(each))
            for each in self._everyone()
            if (how := self._quiet(each)) is not None and how.since <= now - QUIET_S
        ]
        self._next = deque(sorted(found, key=lambda one: one[0]))
