"""When Python's garbage collector looks at the objects of a worker, which stops the worker meanwhile.

CPython looks at all objects when enough have outlived two looks at the young ones, whether they are garbage
or connections that are held. With ten thousand of those a look takes a tenth of a second and finds nothing,
since what the server is done with refers to itself nowhere. Here all objects are looked at when the heap has
grown since the last time: what a guest leaves to the collector is still found, and bounded.

It looks at young objects when so many more have been made than were let go. Where connections come as fast as
others go that is never, until all that are held are young, and then that look takes as long. Here
what was made lately is looked at ten times a second.

Beyond that young objects are collected as ever: with ten times as many of them, one call in fifty waited for
seventeen others. Measured by ``benchmarks.attack`` and ``benchmarks.http``.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from typing import Any, Final

GROWTH: Final = 1.5
"""A heap so many times as large as after the last look is looked at again,"""

LEAST_BLOCKS: Final = 20_000
"""and at least so many blocks larger: these are looked at in some ten milliseconds."""

YOUNG_S: Final = 0.1
"""So long are objects young, at most."""

_USUAL: Final = gc.get_threshold()
_NOT_NOW: Final = 2**31 - 1
_NEXT: Final = 0
"""As the threshold of the oldest objects: they are looked at together with the young ones, the next time."""


class Collections:
    """Decides when looks are due, and counts those at all objects.

    Made when the guest has been loaded: what it and the SDK consist of stays, and is never looked at again.
    A guest that has set thresholds of its own keeps them, and its collections are only counted.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        gc.collect()
        gc.freeze()
        self._decides = gc.get_threshold() == _USUAL
        self._loaded = sys.getallocatedblocks()
        self._kept = 0
        """Blocks beyond those that were left over by the last look."""
        self._began = 0.0
        self._count = 0
        self._seconds = 0.0
        self._set(_NOT_NOW)
        gc.callbacks.append(self._heard)
        if self._decides:
            self._look_at_young()

    def snapshot(self) -> dict[str, Any]:
        """How many there were and how long they took, JSON-able."""
        return {"full_collections": [self._count, self._seconds]}

    def _look_at_young(self) -> None:
        gc.collect(1)
        self._loop.call_later(YOUNG_S, self._look_at_young)

    def _heard(self, phase: str, info: dict[str, int]) -> None:
        """Called by the collector, in whatever thread has set it off."""
        is_full = info["generation"] == 2
        if phase == "start":
            if is_full:
                self._began = time.perf_counter()
            return
        if is_full:
            self._count += 1
            self._seconds += time.perf_counter() - self._began
        if info["generation"] == 0:
            return
        heap = max(0, sys.getallocatedblocks() - self._loaded)
        if is_full:
            self._kept = heap
            self._set(_NOT_NOW)
        elif heap > self._kept * GROWTH and heap > self._kept + LEAST_BLOCKS:
            self._set(_NEXT)

    def _set(self, oldest: int) -> None:
        if self._decides:
            gc.set_threshold(*_USUAL[:2], oldest)
